"""Cursors give back the place that they were made from, and hold nothing else that a client could put there."""

import base64
import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import orjson
import pytest

from documents.activities.activity import ActivityStatus
from resolvers.reads.cursor import MAX_CURSOR_LENGTH, BadCursor, decode_cursor, encode_cursor, fingerprint, split_late
from resolvers.reads.order import DESCENDING, Order, SortKey

ENDED = SortKey("ended.at", datetime, nullable=True)
SIZE = SortKey("size", int, direction=DESCENDING)
ORDER = Order.by(ENDED, SIZE)
AT = datetime(2021, 7, 5, 16, 30, 5, 123000, tzinfo=UTC)
FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)


def written(*values: Any) -> str:
    """A cursor that holds these values, however wrong."""
    return base64.urlsafe_b64encode(orjson.dumps(values)).rstrip(b"=").decode()


@pytest.mark.parametrize("at", [AT, FIRST, LAST, None, AT.replace(tzinfo=None)])
@pytest.mark.parametrize("size", [0, -(2**63), 2**63 - 1])
def test_a_cursor_holds_the_place_of_a_row_whatever_its_values(at: datetime | None, size: int) -> None:
    cursor = encode_cursor({"_id": "row_1", "ended": {"at": at}, "size": size}, ORDER, "mark")

    assert decode_cursor(cursor, ORDER, "mark") == [at and at.replace(tzinfo=UTC), size, "row_1"]
    assert re.fullmatch("[A-Za-z0-9_-]+", cursor)


def test_a_cursor_belongs_to_the_list_that_it_was_made_for() -> None:
    cursor = encode_cursor({"_id": "row_1", "ended": None, "size": 1}, ORDER, "mark")

    with pytest.raises(
        BadCursor, match=r"^This cursor belongs to another list: it was made with another orderBy or where\.$"
    ):
        decode_cursor(cursor, ORDER, "another")


@pytest.mark.parametrize(
    "values",
    [
        [1, 1, 1, "row_1"],
        ["mark", {"$gt": 0}, 1, "row_1"],
        ["mark", "2021", 1, "row_1"],
        ["mark", True, 1, "row_1"],
        ["mark", 1, None, "row_1"],
        ["mark", 1, 1.0, "row_1"],
        ["mark", 1, 2**63, "row_1"],
        ["mark", 1, 1, None],
        ["mark", 2**62, 1, "row_1"],
    ],
)
def test_a_cursor_of_other_values_than_its_order_has_is_refused(values: list[Any]) -> None:
    cursor = written(*values)

    with pytest.raises(BadCursor) as refused:
        decode_cursor(cursor, ORDER, "mark")

    assert refused.value.message == f"Not a cursor: {cursor!r}."


@pytest.mark.parametrize("values", [["mark", 1, 1], ["mark", 1, 1, "row_1", "more"]])
def test_a_cursor_of_an_order_of_other_keys_belongs_to_another_list(values: list[Any]) -> None:
    with pytest.raises(BadCursor, match=r"another orderBy or where\.$"):
        decode_cursor(written(*values), ORDER, "mark")


@pytest.mark.parametrize("text", ["?", "a", "e30", "bnVsbA", "é", "x" * 200])
def test_any_other_text_is_refused_and_shown_up_to_a_hundred_characters(text: str) -> None:
    with pytest.raises(BadCursor) as refused:
        decode_cursor(text, ORDER, "mark")

    assert refused.value.message == f"Not a cursor: {text[:100]!r}."


def test_a_cursor_may_have_the_longest_length_and_not_one_character_more() -> None:
    # Three bytes are four characters, and of the bytes those of the name are all but six.
    name = "n" * (MAX_CURSOR_LENGTH // 4 * 3 - len('["m",""]'))
    cursor = encode_cursor({"_id": name}, Order.by(SortKey("_id")), "m")
    longer = encode_cursor({"_id": f"{name}n"}, Order.by(SortKey("_id")), "m")

    assert len(cursor) == MAX_CURSOR_LENGTH < len(longer)
    assert decode_cursor(cursor, Order.by(SortKey("_id")), "m") == [name]
    with pytest.raises(BadCursor, match="Not a cursor"):
        decode_cursor(longer, Order.by(SortKey("_id")), "m")


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("abc", ("abc", 0)),
        ("abc~7", ("abc", 7)),
        ("a~1~23", ("a~1", 23)),
        (f"abc~{'9' * 18}", ("abc", 10**18 - 1)),
        (f"abc~{'9' * 19}", (f"abc~{'9' * 19}", 0)),
        ("~7", ("~7", 0)),
        ("abc~", ("abc~", 0)),
        ("abc~-7", ("abc~-7", 0)),
        (f"{'a' * (MAX_CURSOR_LENGTH - 2)}~7", ("a" * (MAX_CURSOR_LENGTH - 2), 7)),
        (f"{'a' * (MAX_CURSOR_LENGTH - 1)}~7", (f"{'a' * (MAX_CURSOR_LENGTH - 1)}~7", 0)),
    ],
)
def test_the_cursor_of_a_line_may_say_how_many_late_lines_had_come(text: str, split: tuple[str, int]) -> None:
    assert split_late(text) == split


def test_the_number_of_late_lines_is_no_part_of_the_place() -> None:
    cursor = encode_cursor({"_id": "row_1"}, Order.by(SortKey("_id")), "mark")

    assert decode_cursor(f"{cursor}~12", Order.by(SortKey("_id")), "mark") == ["row_1"]


def test_fingerprints_are_equal_for_equal_orders_and_filters_alone() -> None:
    assert fingerprint(ORDER, {"size": 1}) == fingerprint(Order.by(ENDED, SIZE), {"size": 1})
    assert len({fingerprint(ORDER), fingerprint(ORDER, {}), fingerprint(Order.by(SIZE)), fingerprint("\ud800")}) == 4
    assert len(fingerprint(ORDER)) == 12


def test_fingerprints_stay_equal_from_release_to_release() -> None:
    filter = {"status": {"$in": [ActivityStatus.READY]}, "started": {"$gt": AT}, "name": "\ud800"}

    assert fingerprint("jobs", ORDER, filter) == "5c60fdbcb83f"


def test_fingerprints_do_not_depend_on_names_in_our_code() -> None:
    Renamed = StrEnum("Renamed", {"OTHER": "READY"})

    assert fingerprint("jobs", ORDER, {"status": Renamed.OTHER}) == fingerprint(
        "jobs", ORDER, {"status": ActivityStatus.READY}
    )
