"""Documents as the database sent them read like dictionaries, and are written as the bytes orjson would write."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import bson
import orjson
import pytest
from bson import Int64, ObjectId
from hypothesis import given
from hypothesis import strategies as st

from documents.mongo import raw
from documents.mongo.raw import as_raw_bson
from tests.conftest import RoundTrips
from tests.support.needs import need_compiled

need_compiled()

EPOCH = datetime(1970, 1, 1)
MILLISECOND = timedelta(milliseconds=1)
REFUSED = "a value of type|a value that has no name|a number that"
DOCUMENT = {
    "_id": "thing_1",
    "name": "é\n",
    "number": 7,
    "long": Int64(2**40),
    "half": 0.5,
    "at": datetime(2024, 2, 29, 23, 59, 59, 999000),
    "nothing": None,
    "yes": True,
    "tags": ["a", "b"],
    "below": {"x": 1},
    "members": [{"x": 1}],
    "id": ObjectId("0" * 24),
    "bytes": b"\x00",
}

texts = st.text(st.characters(exclude_categories=["Cs"]))
times = st.integers((datetime(1, 1, 1) - EPOCH) // MILLISECOND, (datetime.max - EPOCH) // MILLISECOND).map(
    lambda number: EPOCH + number * MILLISECOND
)


def row(document: dict[str, Any]) -> Any:
    """A document as it comes."""
    return raw.Row(bson.encode(document))


def write(writer: raw.Writer, rows: list[Any], *columns: list[Any]) -> list[bytes]:
    """Rows as JSON, however much it is."""
    return writer.write(rows, [*columns], None, 2**40)[0]


def written(shown: str, document: dict[str, Any], **options: Any) -> bytes:
    """The JSON of the value at `x` of a document, written by a script of one member."""
    return written_of(bson.encode(document), shown, **options)


def written_of(content: bytes, shown: str, **options: Any) -> bytes:
    """The JSON of the value at `x` of a BSON document, written by a script of one member."""
    members = [raw.Member(b'{"x":', shown, 0, **options), raw.Member(b"}", "constant")]
    (text,) = write(raw.Writer(members, ["x"], orjson.dumps), [raw.Row(content)])
    assert text.startswith(b'{"x":')
    assert text.endswith(b"}")
    found: bytes = text[5:-1]
    return found


def test_a_row_reads_like_the_dictionary_that_the_driver_would_make() -> None:
    found, expected = row(DOCUMENT), bson.decode(bson.encode(DOCUMENT))

    plain = [key for key in expected if key not in ("below", "members")]
    assert {key: found[key] for key in plain} == {key: expected[key] for key in plain}
    assert dict(found["below"]) == expected["below"]
    assert [dict(member) for member in found["members"]] == expected["members"]
    assert (list(found), len(found)) == (list(expected), len(expected))
    assert found.keys() == expected.keys()


def test_what_a_row_does_not_hold_is_missing_from_it() -> None:
    found = row({"name": "a", "number": 7})

    assert ("name" in found, "other" in found) == (True, False)
    assert (found.get("name"), found.get("other"), found.get("other", 0)) == ("a", None, 0)
    with pytest.raises(KeyError, match="other"):
        found["other"]
    assert found["name"] == "a"


@given(st.dictionaries(st.text(st.characters(codec="ascii", min_codepoint=32), min_size=1, max_size=5), texts))
def test_texts_of_a_row_are_read_one_by_one(document: dict[str, str]) -> None:
    found = row(document)

    assert {key: found[key] for key in document} == document


def test_neighbours_with_the_same_text_are_put_together() -> None:
    rows = [row({"_id": f"{number}", "of": of, "n": number}) for number, of in enumerate(["a", "a", "b", "aa", "a"])]
    plain = [bson.decode(one.raw) for one in rows]

    for some in (rows, plain):
        found = [(of, [one["n"] for one in group]) for of, group in raw.group_consecutive(some, "of")]
        assert found == [("a", [0, 1]), ("b", [2]), ("aa", [3]), ("a", [4])]
    assert raw.group_consecutive([], "of") == []
    for broken in ([row({"x": 1})], [row({"of": 7})]):
        with pytest.raises(ValueError, match="no text at of"):
            raw.group_consecutive(broken, "of")
    with pytest.raises(AttributeError):
        raw.group_consecutive([rows[0], None], "of")


def test_a_document_within_another_is_whole_by_itself() -> None:
    inner = {"_id": "inner", "tags": ["a"], "n": Int64(7)}
    found = row(
        {
            "cursor": {"id": Int64(1), "firstBatch": [inner, inner], "none": [], "mixed": [inner, 1]},
            "ok": 1.0,
            "yes": True,
            "no": False,
        }
    )

    batch = found["cursor"]["firstBatch"]
    assert [bson.decode(one.raw) for one in batch] == [inner, inner]
    assert [dict(one) for one in batch] == [inner, inner]
    assert (found["ok"], found["cursor"]["id"], found["cursor"]["none"]) == (1.0, 1, [])
    assert type(found["cursor"]["id"]) is Int64
    assert (found["yes"], found["no"]) == (True, False)
    mixed = found["cursor"]["mixed"]
    assert (dict(mixed[0]), mixed[1]) == (inner, 1)


def test_texts_of_members_are_found_in_raw_documents_as_in_dictionaries() -> None:
    documents: list[dict[str, Any]] = [
        {"used": [{"ref": "é", "n": 1, "sure": True}, {"sure": False, "ref": "b"}, {"ref": "c"}]},
        {"used": []},
        {"used": None},
        {"other": [{"ref": "d"}]},
    ]
    rows = [row(document) for document in documents]

    for read in (documents, rows, [*documents[:1], *rows[1:]]):
        assert raw.member_texts(read, "used", "ref") == [["é", "b", "c"], [], [], []]
    for read in (documents, rows):
        assert raw.member_texts(read, "used", "ref", "sure") == [["é"], [], [], []]
    broken_lists: list[list[Any]] = [[1], [{"ref": 1}], [{}]]
    for broken in broken_lists:
        with pytest.raises(ValueError, match=r"no .* at used"):
            raw.member_texts([row({"used": broken})], "used", "ref")


async def test_finds_and_aggregations_give_rows_in_as_many_batches_as_they_like(
    database: Any, round_trips: RoundTrips
) -> None:
    things = [{"_id": f"thing_{number:04}", "number": number} for number in range(1000)]
    await database.things.insert_many(things)
    collection = as_raw_bson(database.things)

    with round_trips.counting() as seen:
        found = await collection.find({}, sort=[("_id", 1)], batch_size=400).to_list()
        grouped = await (await collection.aggregate([{"$group": {"_id": None, "all": {"$push": "$number"}}}])).to_list()

    assert [dict(one) for one in found] == things
    assert all(type(one) is raw.Row for one in found)
    assert grouped[0]["all"] == list(range(1000))
    assert seen == [("find", "things"), ("getMore", "things"), ("getMore", "things"), ("aggregate", "things")]
    # The times that came with the replies go back to the database with the next command.
    assert await database.things.count_documents({}) == 1000


@given(texts)
def test_texts_are_written_as_json(text: str) -> None:
    assert written("text", {"x": text}) == orjson.dumps(text)
    assert written("text", {"x": [text, text]}, listed=True) == orjson.dumps([text, text])


@pytest.mark.parametrize("odd", ["\0", "\x1f", '"', "\\", "\x7f", "é", "\u2028"])
def test_what_has_to_be_escaped_is_found_wherever_it_stands(odd: str) -> None:
    for place in range(20):
        text = "a" * place + odd + "~ !#[]"[: 19 - place]
        assert written("text", {"x": text}) == orjson.dumps(text)


@given(times)
def test_times_are_written_as_python_does(at: datetime) -> None:
    assert written("time", {"x": at}) == f'"{at.isoformat("T", "milliseconds")}Z"'.encode()


@pytest.mark.parametrize("beyond", [-62_135_596_800_001, 253_402_300_800_000, 2**63 - 1, -(2**63)])
def test_times_that_python_does_not_have_are_refused(beyond: int) -> None:
    with pytest.raises(ValueError, match="time"):
        written("time", {"x": bson.DatetimeMS(beyond)})


@given(st.integers(-(2**63), 2**63 - 1))
def test_whole_numbers_of_64_bits_are_written_as_digits(number: int) -> None:
    assert written("digits", {"x": Int64(number)}) == f'"{number}"'.encode()


@given(st.integers(-(2**31), 2**31 - 1), st.sampled_from([int, Int64]))
def test_whole_numbers_of_32_bits_are_written_as_numbers(number: int, stored: Callable[[int], int]) -> None:
    assert written("int", {"x": stored(number)}) == str(number).encode()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_written_as_orjson_does(number: float) -> None:
    assert written("float", {"x": number}) == orjson.dumps(number)


def test_names_json_and_truth_are_written() -> None:
    assert written("name", {"x": "red"}, names={"red": b'"RED"'}) == b'"RED"'
    assert written("json", {"x": '{"a": [1]}'}) == b'{"a": [1]}'
    assert [written("boolean", {"x": yes}) for yes in (True, False)] == [b"true", b"false"]
    assert written("text", {"x": []}, listed=True) == b"[]"


@pytest.mark.parametrize("document", [{}, {"x": None}, {"y": "other"}])
def test_where_nothing_is_stands_what_was_agreed(document: dict[str, Any]) -> None:
    assert written("text", document, missing=b"null") == b"null"
    assert written("text", document, listed=True, missing=b"[]") == b"[]"
    with pytest.raises(ValueError, match="missing"):
        written("text", document)


@pytest.mark.parametrize("shown", ["text", "boolean", "int", "float", "digits", "time", "name", "json"])
def test_values_of_other_types_are_refused(shown: str) -> None:
    own: dict[str, tuple[type, ...]] = {
        "text": (str,),
        "boolean": (bool,),
        "int": (int,),
        "float": (float,),
        "digits": (int, Int64),
        "time": (datetime,),
        "name": (),
        "json": (str,),
    }

    for value in DOCUMENT.values():
        if value is not None and type(value) not in own[shown]:
            with pytest.raises(ValueError, match=REFUSED):
                written(shown, {"x": value}, names={})
            with pytest.raises(ValueError, match=REFUSED):
                written(shown, {"x": [value]}, names={}, listed=True)


@pytest.mark.parametrize(("shown", "value"), [("int", 2**31), ("int", -(2**31) - 1), ("float", float("nan"))])
def test_numbers_that_json_or_graphql_does_not_have_are_refused(shown: str, value: float) -> None:
    with pytest.raises(ValueError, match="number"):
        written(shown, {"x": value})


def test_text_that_is_no_utf8_is_refused() -> None:
    content = bson.encode({"x": "ab"}).replace(b"ab\0", b"a\xff\0")

    for shown in ("text", "json"):
        with pytest.raises(UnicodeDecodeError):
            written_of(content, shown)
    with pytest.raises(UnicodeDecodeError):
        raw.Row(content)["x"]


def test_columns_stand_beside_the_rows_as_text_or_as_what_becomes_it() -> None:
    members = [
        raw.Member(b'{"b":', "column", 1),
        raw.Member(b',"id":', "text", 0),
        raw.Member(b',"a":', "column", 0),
        raw.Member(b"}", "constant"),
    ]
    writer = raw.Writer(members, ["_id"], orjson.dumps)
    rows = [row({"_id": "one"}), row({"_id": "two"})]

    assert write(writer, rows, [b"[1]", {"x": None}], [1, 2]) == [
        b'{"b":1,"id":"one","a":[1]}',
        b'{"b":2,"id":"two","a":{"x":null}}',
    ]
    assert write(writer, [], [], []) == []
    with pytest.raises(IndexError, match="2 rows with a column of 1"):
        write(writer, rows, [b"[1]"], [1, 2])
    with pytest.raises(TypeError):
        write(writer, [{"_id": "one"}], [b"[1]"], [1])


def test_bytes_that_no_column_brought_count_as_often_as_a_row_occurs() -> None:
    members = [raw.Member(b"[", "text", 0), raw.Member(b",", "column", 0), raw.Member(b"]", "constant")]
    writer = raw.Writer(members, ["_id"], orjson.dumps)
    rows = [row({"_id": "one"}), row({"_id": "three"})]

    # ["one",…] has eight bytes of its own and ["three",…] ten; 12 becomes text only here.
    assert writer.write(rows, [[b"12", b"12"]], None, 1_000) == ([b'["one",12]', b'["three",12]'], 22, 18)
    assert writer.write(rows, [[b"12", 12]], None, 1_000)[1:] == (22, 20)
    often = [1_000_000, 2**40]
    assert writer.write(rows, [[b"12", b"12"]], often, 2**60)[1:] == (
        10 * often[0] + 12 * often[1],
        8 * often[0] + 10 * often[1],
    )
    with pytest.raises(IndexError, match="2 rows that occur 1 times"):
        writer.write(rows, [[b"12", b"12"]], [1], 1_000)


def test_rows_are_written_no_further_than_there_is_room() -> None:
    writer = raw.Writer([raw.Member(b"", "text", 0)], ["_id"], orjson.dumps)
    rows = [row({"_id": "x" * 8})] * 5

    assert [len(writer.write(rows, [], None, room)[0]) for room in (50, 49, 20, 19, 0)] == [5, 5, 3, 2, 1]
    assert writer.write(rows, [], [1, 100, 1, 1, 1], 49) == ([b'"xxxxxxxx"'] * 2, 1_010, 1_010)


def test_rows_whose_fields_come_in_any_order_or_not_at_all_are_written() -> None:
    fields = ["a", "b", "c"]
    members = [raw.Member(b"[" if name == "a" else b",", "int", n, missing=b"0") for n, name in enumerate(fields)]
    writer = raw.Writer([*members, raw.Member(b"]", "constant")], fields, orjson.dumps)
    documents = [{"c": 3, "b": 2, "a": 1}, {}, {"x": 9, "b": 2, "ab": 8}, {"a": 1, "b": 2, "c": 3}]

    assert write(writer, [row(document) for document in documents]) == [b"[1,2,3]", b"[0,0,0]", b"[0,2,0]", b"[1,2,3]"]


def test_broken_bson_is_refused_wherever_it_breaks() -> None:
    content, chance = bson.encode(DOCUMENT), random.Random(1)
    members = [raw.Member(b"", "text", n, missing=b"", listed=name == "tags") for n, name in enumerate(DOCUMENT)]
    writer = raw.Writer(members, list(DOCUMENT), orjson.dumps)
    broken = [content[:end] for end in range(len(content))]
    for _ in range(5000):
        changed = bytearray(content)
        for _ in range(chance.randint(1, 3)):
            changed[chance.randrange(len(content))] = chance.choice(
                [0, 1, 2, 3, 4, 0x7F, 0x80, 0xFF, chance.randrange(256)]
            )
        broken.append(bytes(changed))

    def read(found: Any, key: str) -> Any:
        return found[key] if key else write(writer, [found])

    refused = 0
    for one in broken:
        for key in ("", "tags", "other"):
            try:
                read(raw.Row(one), key)
            except (ValueError, KeyError, bson.errors.InvalidBSON):
                refused += 1
    assert refused > len(broken)
