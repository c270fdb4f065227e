"""Point reads of concurrent requests go out as one find."""

import asyncio

import pytest

import documents
from resolvers.coalesce import Row, coalesced
from tests.asking import ask, by_plan
from tests.conftest import RoundTrips

pytestmark = pytest.mark.usefixtures("database")

POINT = "query($id: ID!) { organisation(id: $id) { id url } }"


async def organisations(count: int) -> list[documents.Organisation]:
    made = [documents.Organisation(url=f"https://o.example/{number}") for number in range(count)]
    await documents.Organisation.insert_many(made)
    return made


async def test_concurrent_requests_for_one_kind_make_one_find(round_trips: RoundTrips) -> None:
    made = await organisations(30)

    with round_trips.counting() as seen:
        answers = await asyncio.gather(*(ask(POINT, id=one.id) for one in made))

    assert [answer["organisation"] for answer in answers] == [{"id": one.id, "url": one.url} for one in made]
    assert seen == [("find", "organisations")]


async def test_other_fields_and_other_policies_are_read_apart(round_trips: RoundTrips) -> None:
    (one,) = await organisations(1)

    with round_trips.counting() as seen:
        await asyncio.gather(
            ask(POINT, id=one.id), ask("query($id: ID!) { organisation(id: $id) { name } }", id=one.id)
        )

    assert seen == [("find", "organisations")] * 2


async def test_a_change_is_seen_by_whoever_asks_after_it() -> None:
    (one,) = await organisations(1)
    await ask(POINT, id=one.id)
    await one.set({"url": "https://changed.example"})

    assert (await ask(POINT, id=one.id))["organisation"]["url"] == "https://changed.example"


async def test_an_error_fails_only_its_own_callers() -> None:
    async def find(values: list[str]) -> list[Row]:
        if "bad" in values:
            raise ValueError("bad")
        return [{"_id": value} for value in values]

    answers = await asyncio.gather(
        *(coalesced("k", "_id", [value], find) for value in ("a", "bad", "b")), return_exceptions=True
    )

    assert answers[0] == {"a": {"_id": "a"}}
    assert isinstance(answers[1], ValueError)
    assert answers[2] == {"b": {"_id": "b"}}


async def test_a_caller_who_leaves_takes_nobody_along() -> None:
    async def find(values: list[str]) -> list[Row]:
        await asyncio.sleep(0.01)
        return [{"_id": value} for value in values]

    leaving = asyncio.ensure_future(coalesced("k", "_id", ["a"], find))
    staying = asyncio.ensure_future(coalesced("k", "_id", ["b"], find))
    await asyncio.sleep(0)
    leaving.cancel()

    assert await staying == {"b": {"_id": "b"}}


async def test_more_values_than_one_find_takes_are_read_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resolvers.coalesce.MOST_VALUES", 3)
    sizes: list[int] = []

    async def find(values: list[str]) -> list[Row]:
        sizes.append(len(values))
        await asyncio.sleep(0.001)
        return [{"_id": value} for value in values]

    answers = await asyncio.gather(*(coalesced("k", "_id", [f"{number}"], find) for number in range(10)))

    assert answers == [{f"{number}": {"_id": f"{number}"}} for number in range(10)]
    assert max(sizes) == 3


async def test_plans_coalesce_across_viewers_of_what_everybody_may_see(round_trips: RoundTrips) -> None:
    from tests.asking import ADMIN, WORKER

    (one,) = await organisations(1)

    with round_trips.counting() as seen:
        await asyncio.gather(by_plan(POINT, ADMIN, id=one.id), by_plan(POINT, WORKER, id=one.id))

    assert seen == [("find", "organisations")]
