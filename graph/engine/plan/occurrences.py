"""Occurrences of rows in the answer.

A row that many others link to is read and serialised once, and written for each of them. So each level knows how often
its rows occur, which multiplies on the way down; None stands for once each, as in a tree, and costs nothing.
"""

from collections import Counter
from collections.abc import Iterable
from operator import mul
from typing import Any

Row = dict[str, Any]
Occurrences = list[int] | None
"""How often each row of a level occurs in the answer; None when each occurs once."""


def total_occurrences(rows: int, times: Occurrences) -> int:
    """The number of occurrences of all rows together."""
    return rows if times is None else sum(times)


def total_size(texts: list[bytes], times: Occurrences) -> int:
    """The bytes of all texts, counted as often as they occur."""
    sizes = map(len, texts)
    return sum(sizes) if times is None else sum(map(mul, sizes, times))


def slice_times(times: Occurrences, place: slice) -> Occurrences:
    """The occurrences of a slice of the rows."""
    return None if times is None else times[place]


def member_times(lists: Iterable[list[Any]], times: Occurrences) -> Occurrences:
    """The occurrences of the members of lists, from those of the lists."""
    return None if times is None else [count for members, count in zip(lists, times, strict=True) for _ in members]


def present_rows(rows: list[Row | None], times: Occurrences) -> tuple[list[Row], Occurrences]:
    """The rows that there are, and how often each occurs."""
    present = [row for row in rows if row is not None]
    if times is None:
        return present, None
    return present, [count for row, count in zip(rows, times, strict=True) if row is not None]


def distinct_rows(ids: list[str], rows: list[Row], times: Occurrences) -> tuple[dict[str, Row], Occurrences]:
    """Distinct rows by their ids, and how often each occurs."""
    by_id = dict(zip(ids, rows, strict=True))
    if times is None and len(by_id) == len(rows):
        return by_id, None
    counts: Counter[str] = Counter()
    for id, count in zip(ids, times or [1] * len(ids), strict=True):
        counts[id] += count
    return by_id, [counts[id] for id in by_id]
