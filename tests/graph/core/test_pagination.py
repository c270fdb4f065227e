"""Lists page by page: key-set cursors that neither repeat nor skip."""

from datetime import UTC, datetime
from typing import Any

import pytest

import documents
from resolvers.reads import counts
from tests.support.asking import ask, refusal

pytestmark = pytest.mark.usefixtures("database")

NAMES = """query($first: Int, $after: String, $last: Int, $before: String, $order: [OrganisationOrder!]) {
  organisations(first: $first, after: $after, last: $last, before: $before, orderBy: $order) {
    nodes { name url } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""


async def organisations(*names: str | None) -> list[documents.Organisation]:
    made = [documents.Organisation(url=f"https://o.example/{n:03}", name=name) for n, name in enumerate(names)]
    for organisation in made:
        await organisation.insert()
    return made


async def page(**variables: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await ask(NAMES, **variables))["organisations"]
    return found


async def walk(size: int, **variables: Any) -> list[str]:
    """Every url, page by page from the beginning."""
    urls: list[str] = []
    after = None
    while True:
        found = await page(first=size, after=after, **variables)
        urls += [node["url"][-3:] for node in found["nodes"]]
        if not found["pageInfo"]["hasNextPage"]:
            return urls
        after = found["pageInfo"]["endCursor"]


async def walk_back(size: int, **variables: Any) -> list[str]:
    """Every url, page by page from the end."""
    urls: list[str] = []
    before = None
    while True:
        found = await page(last=size, before=before, **variables)
        urls = [node["url"][-3:] for node in found["nodes"]] + urls
        if not found["pageInfo"]["hasPreviousPage"]:
            return urls
        before = found["pageInfo"]["startCursor"]


async def test_an_insert_at_the_head_between_two_pages_repeats_and_skips_nothing() -> None:
    await organisations("b", "c", "d", "e")
    by_name = [{"field": "NAME", "direction": "ASC"}]

    first = await page(first=2, order=by_name)
    await documents.Organisation(url="https://o.example/new", name="a").insert()
    second = await page(first=2, order=by_name, after=first["pageInfo"]["endCursor"])

    assert [node["name"] for node in first["nodes"] + second["nodes"]] == ["b", "c", "d", "e"]
    assert second["pageInfo"]["hasNextPage"] is False


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("direction", "expected"),
    [("ASC", ["004", "001", "003", "000", "002"]), ("DESC", ["003", "001", "004", "002", "000"])],
)
async def test_nulls_come_last_in_both_directions_and_both_ways(size: int, direction: str, expected: list[str]) -> None:
    await organisations(None, "b", None, "b", "a")
    order = [{"field": "NAME", "direction": direction}]

    forwards, backwards = await walk(size, order=order), await walk_back(size, order=order)

    assert forwards == expected
    assert backwards == expected


async def test_several_orders_break_ties_one_after_the_other() -> None:
    await organisations("x", "y", None, "x", None, "y")
    order = [{"field": "NAME", "direction": "ASC"}, {"field": "URL", "direction": "DESC"}]

    assert await walk(2, order=order) == ["003", "000", "005", "001", "004", "002"]
    assert await walk_back(2, order=order) == ["003", "000", "005", "001", "004", "002"]


@pytest.mark.parametrize("order", [[{"field": "URL"}], [{"field": "URL"}, {"field": "NAME"}], []])
async def test_a_cursor_of_another_order_is_refused(order: list[dict[str, str]]) -> None:
    await organisations("a", "b")
    cursor = (await page(first=1, order=[{"field": "NAME"}]))["pageInfo"]["endCursor"]

    code, message = await refusal(NAMES, first=1, after=cursor, order=order)

    assert code == "BAD_CURSOR"
    assert "another orderBy or where" in message


async def test_a_cursor_of_another_filter_is_refused() -> None:
    await organisations("a", "b")
    query = (
        "query($a: String, $n: String) { organisations(after: $a, where: {name: {eq: $n}}) { pageInfo { endCursor } } }"
    )
    cursor = (await ask(query, n="a"))["organisations"]["pageInfo"]["endCursor"]

    assert (await refusal(query, a=cursor, n="b"))[0] == "BAD_CURSOR"


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "====",
        "e30",
        "W10",
        "bnVsbA",
        "WyJhIl0",
        "A" * 5000,
        "A" * 200_000,
        "WyIiLHsiJG5lIjpudWxsfV0",
        "\u0661",
        "[[[[",
        "W1tbW1s",
    ],
)
async def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    assert (await refusal(NAMES, after=cursor))[0] == "BAD_CURSOR"


@pytest.mark.parametrize("size", [1, 2])
async def test_names_of_any_length_that_is_kept_have_cursors_that_are_taken(size: int) -> None:
    longest = 10_000
    names = ["\N{GRINNING FACE}" * longest, "\1" * longest, "n" * 3_100, "é" * 1_000, "n" * 3_101]
    await organisations(*names)
    order = [{"field": "NAME"}, {"field": "URL"}]

    forwards, backwards = await walk(size, order=order), await walk_back(size, order=order)

    assert forwards == backwards == ["001", "002", "004", "003", "000"]


async def test_an_empty_cursor_is_none() -> None:
    await organisations("a", "b", "c")

    without, empty = await page(first=2), await page(first=2, after="", before="")
    last, empty_last = await page(last=2), await page(last=2, before="", after="")

    assert empty == without
    assert empty["pageInfo"]["hasPreviousPage"] is False
    assert empty_last == last
    assert empty_last["pageInfo"]["hasNextPage"] is False


async def test_a_cursor_cannot_bring_an_operator_into_a_filter() -> None:
    await organisations("a")
    cursor = (await page(first=1))["pageInfo"]["endCursor"]
    mark = fetch_mark(cursor)

    for value in ({"$ne": None}, [1], 5, True, None, 1.5):
        assert (await refusal(NAMES, after=forged(mark, value)))[0] == "BAD_CURSOR"


def fetch_mark(cursor: str) -> str:
    import base64
    import json

    mark: str = json.loads(base64.urlsafe_b64decode(cursor + "=="))[0]
    return mark


def forged(mark: str, value: object) -> str:
    import base64
    import json

    return base64.urlsafe_b64encode(json.dumps([mark, value]).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"first": 101}, "first must be between 0 and 100, not 101."),
        ({"first": -1}, "first must be between 0 and 100, not -1."),
        ({"last": 101}, "last must be between 0 and 100, not 101."),
        ({"first": 1, "last": 1}, "Give first or last, not both."),
    ],
)
async def test_sizes_out_of_bounds_are_refused(arguments: dict[str, Any], message: str) -> None:
    assert await refusal(NAMES, **arguments) == ("BAD_USER_INPUT", message)


async def test_without_a_size_twenty_are_listed_and_none_with_zero() -> None:
    await organisations(*["n"] * 25)

    assert len((await page())["nodes"]) == 20
    assert await page(first=0) == {
        "nodes": [],
        "pageInfo": {"hasNextPage": True, "hasPreviousPage": False, "startCursor": None, "endCursor": None},
    }


async def test_a_count_beyond_the_cap_is_null(monkeypatch: pytest.MonkeyPatch) -> None:
    await organisations("a", "b", "c")
    monkeypatch.setattr(counts, "MAX_COUNTED_ROWS", 2)

    assert (await ask("{ organisations { totalCount } }"))["organisations"]["totalCount"] is None
    assert (await ask('{ organisations(where: {name: {in: ["a", "b"]}}) { totalCount } }')) == {
        "organisations": {"totalCount": 2}
    }


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("{}", ["000", "001", "002"]),
        ('{name: {eq: "a.b"}}', ["000"]),
        ("{name: {eq: null}}", ["002"]),
        ("{name: {in: []}}", []),
        ('{name: {contains: ".b"}}', ["000"]),
        ('{name: {startsWith: "a"}}', ["000", "001"]),
        ('{name: {startsWith: "^"}}', []),
        ('{not: {name: {startsWith: "a."}}}', ["001", "002"]),
        ("{or: []}", []),
        ("{and: []}", ["000", "001", "002"]),
        ('{or: [{name: {eq: "a.b"}}, {url: {contains: "002"}}]}', ["000", "002"]),
        ('{name: {startsWith: "a"}, and: [{name: {contains: "x"}}]}', ["001"]),
        ("{or: [{}]}", ["000", "001", "002"]),
        ("{not: {}}", []),
    ],
)
async def test_filters_match_what_they_say(where: str, expected: list[str]) -> None:
    await organisations("a.b", "axb", None)

    found = await ask(f"{{ organisations(where: {where}) {{ totalCount nodes {{ url }} }} }}")

    assert [node["url"][-3:] for node in found["organisations"]["nodes"]] == expected
    assert found["organisations"]["totalCount"] == len(expected)


async def test_times_are_filtered_by_half_open_windows() -> None:
    resource = "resource_1"
    for day in (1, 2, 3):
        await documents.Dataset(
            resource_ref=resource, identifier=f"d{day}", modified=datetime(2024, 1, day, tzinfo=UTC)
        ).insert()
    where = '{modified: {gte: "2024-01-02T00:00:00Z", lt: "2024-01-03T01:00:00+01:00"}}'

    found = await ask(f"{{ datasets(where: {where}) {{ nodes {{ identifier modified }} }} }}")

    assert found["datasets"]["nodes"] == [{"identifier": "d2", "modified": "2024-01-02T00:00:00.000Z"}]
