"""Keeps the usage of generations: adds what reports come to, and forgets it."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pymongo import UpdateOne

import documents
from documents.usage import UsageLevel
from resolvers.fetch import collection_of
from resolvers.ingest.report.cells import Cell
from resolvers.writing import Session

FAILED = frozenset({"error", "failed"})
"""States of jobs that went wrong."""
FORGOTTEN_AT_ONCE = 1000

Key = tuple[str | None, ...]


async def add_usage(generation_id: str, cells: Iterable[Cell], session: Session) -> None:
    """Count cells in, at every level; cells with negative counts take away what others counted."""
    levels: dict[UsageLevel, dict[Key, _Sum]] = {level: defaultdict(_Sum) for level in UsageLevel}
    for cell in cells:
        month = cell.day and cell.day[:7]
        levels[UsageLevel.TOOL][(cell.tool_id,)].add(cell)
        levels[UsageLevel.MONTH][cell.tool_id, month].add(cell)
        levels[UsageLevel.DAYS][cell.tool_id, month, cell.tool_version, cell.state].add(cell, by_day=True)
    collection = collection_of(documents.Usage)
    for level, sums in levels.items():
        writes = [_write(generation_id, level, key, sum) for key, sum in sums.items()]
        if writes:
            await collection.bulk_write(writes, ordered=False, session=session)


async def forget_usage(generation_id: str) -> None:
    """Remove the usage of a generation that nobody reads any more, some at a time."""
    collection = collection_of(documents.Usage)
    while True:
        found = collection.find({"generationRef": generation_id}, {"_id": 1}).limit(FORGOTTEN_AT_ONCE)
        ids = [row["_id"] for row in await found.to_list()]
        if not ids:
            return
        await collection.delete_many({"_id": {"$in": ids}})


class _Sum:
    """What cells add to one document."""

    __slots__ = ("counts", "longest", "shortest")

    def __init__(self) -> None:
        self.counts: defaultdict[str, int] = defaultdict(int)
        self.shortest: float | None = None
        self.longest: float | None = None

    def add(self, cell: Cell, by_day: bool = False) -> None:
        """Count a cell in."""
        counts = self.counts
        counts["jobs"] += cell.jobs
        counts["failed"] += cell.jobs if cell.state in FAILED else 0
        counts["samples"] += sum(cell.runtimes.values())
        for bin, count in cell.runtimes.items():
            counts[f"runtimes.{bin}"] += count
        if by_day and cell.day:
            day = cell.day[8:]
            counts[f"days.{day}"] += cell.jobs
            for bin, count in cell.runtimes.items():
                counts[f"day_runtimes.{day}.{bin}"] += count
        if cell.shortest is not None and (self.shortest is None or cell.shortest < self.shortest):
            self.shortest = cell.shortest
        if cell.longest is not None and (self.longest is None or cell.longest > self.longest):
            self.longest = cell.longest


def _write(generation_id: str, level: UsageLevel, key: Key, sum: _Sum) -> UpdateOne:
    changes: dict[str, Any] = {"$inc": sum.counts, "$setOnInsert": _said(generation_id, level, *key)}
    if sum.shortest is not None:
        changes |= {"$min": {"shortest": sum.shortest}, "$max": {"longest": sum.longest}}
    return UpdateOne({"_id": documents.Usage.id_of(generation_id, level, *key)}, changes, upsert=True)


def _said(
    generation_id: str,
    level: UsageLevel,
    tool_id: str | None,
    month: str | None = None,
    tool_version: str | None = None,
    state: str | None = None,
) -> dict[str, Any]:
    """What a document counts. All levels have all fields, so that all are found by the same index."""
    return {
        "generationRef": generation_id,
        "level": level.value,
        "tool_id": tool_id,
        "month": month and datetime.fromisoformat(f"{month}-01"),
        "tool_version": tool_version,
        "state": state,
    }
