"""Columns of integers as little-endian int32 bytes: a tenth of their size as BSON."""

import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

UNDATED = -(2**31)
"""Stands for the day of jobs without a time."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC).date()


def pack_int32(numbers: Iterable[int]) -> bytes:
    """Pack signed integers of at most 32 bits into bytes."""
    column = array("i", numbers)
    if sys.byteorder == "big":
        column.byteswap()
    return column.tobytes()


def unpack_int32(column: bytes) -> "array[int]":
    """Unpack the integers of a column."""
    numbers = array("i", column)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


@lru_cache(maxsize=20_000)
def day_number(day: str | None) -> int:
    """The number of days from 1970-01-01 to a day such as 2019-01-31; UNDATED for None."""
    return UNDATED if day is None else (datetime.fromisoformat(day).date() - EPOCH).days


def start_of_day(day: int) -> datetime | None:
    """The UTC midnight at which a numbered day begins, without a zone, as the database returns times."""
    return None if day == UNDATED else datetime(1970, 1, 1) + timedelta(days=day)


def days_of(row: Mapping[str, Any]) -> Iterator[tuple[int, int, "array[int]", "array[int]"]]:
    """Each day of a DailyUsage with its jobs, the bins of their runtimes, and how many are in each bin."""
    days, jobs, spans, bins, counts = (unpack_int32(row[name]) for name in ("days", "jobs", "spans", "bins", "counts"))
    at = 0
    for day, number, span in zip(days, jobs, spans, strict=True):
        yield day, number, bins[at : at + span], counts[at : at + span]
        at += span
