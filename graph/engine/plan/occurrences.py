"""Occurrences of rows in the answer.

A row that many others link to is read and serialised once, and written for each of them. So each level knows how often
its rows occur, which multiplies on the way down; None stands for once each, as in a tree, and costs nothing.
"""

from collections import Counter
from collections.abc import Iterable
from operator import mul
from typing import Any

Row = dict[str, Any]
Times = list[int] | None
"""How often each row of a level occurs in the answer; None when each occurs once."""


def total(rows: int, times: Times) -> int:
    """The number of occurrences of all rows together."""
    return rows if times is None else sum(times)


def size_of(texts: list[bytes], times: Times) -> int:
    """The bytes of texts, counted as often as they occur."""
    sizes = map(len, texts)
    return sum(sizes) if times is None else sum(map(mul, sizes, times))


def part(times: Times, place: slice) -> Times:
    """The occurrences of a slice of the rows."""
    return None if times is None else times[place]


def repeated(lists: Iterable[list[Any]], times: Times) -> Times:
    """The occurrences of the members of lists, from those of the lists."""
    return None if times is None else [each for members, each in zip(lists, times, strict=True) for _ in members]


def distinct(found: list[Row], times: Times) -> tuple[dict[str, Row], Times]:
    """Distinct rows by id, and how often each occurs."""
    rows = {row["_id"]: row for row in found}
    if times is None and len(rows) == len(found):
        return rows, None
    counted: Counter[str] = Counter()
    for row, each in zip(found, times or [1] * len(found), strict=True):
        counted[row["_id"]] += each
    return rows, [counted[id] for id in rows]
