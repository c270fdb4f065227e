"""Keeps the usage of generations: adds what reports come to, and forgets it."""

from collections import defaultdict
from collections.abc import Iterable

from pymongo import UpdateOne

import documents
from documents.base import new_id
from documents.usage import UsageLevel
from resolvers.fetch import Row, collection_of
from resolvers.ingest.report.cells import Cell
from resolvers.packing import TIMELESS, number_of_day, packed, start_of
from resolvers.writing import Session

FAILED = frozenset({"error", "failed"})
"""States of jobs that went wrong."""
FORGOTTEN_AT_ONCE = 1000

Key = tuple[str | None, ...]


async def add_usage(generation_id: str, cells: Iterable[Cell], session: Session) -> None:
    """Count cells in, at every level; cells with negative counts take away what others counted."""
    alike: defaultdict[Key, list[Cell]] = defaultdict(list)
    for cell in cells:
        alike[cell.tool_id, cell.tool_version, cell.state].append(cell)
    if not alike:
        return
    generation = await collection_of(documents.Generation).find_one({"_id": generation_id}, session=session)
    of = {"generationRef": generation_id, "instanceRef": generation["instanceRef"] if generation else None}
    daily = [_daily(of, some) for some in alike.values()]
    await collection_of(documents.Usage).bulk_write(_upserts(of, alike), ordered=False, session=session)
    await collection_of(documents.DailyUsage).insert_many(daily, ordered=False, session=session)


async def forget_usage(generation_id: str) -> None:
    """Remove the usage of a generation that nobody reads any more, some at a time."""
    for document in (documents.Usage, documents.DailyUsage):
        collection = collection_of(document)
        while True:
            found = collection.find({"generationRef": generation_id}, {"_id": 1}).limit(FORGOTTEN_AT_ONCE)
            ids = [row["_id"] for row in await found.to_list()]
            if not ids:
                break
            await collection.delete_many({"_id": {"$in": ids}})


def _upserts(of: Row, alike: dict[Key, list[Cell]]) -> list[UpdateOne]:
    tools: defaultdict[Key, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    states: dict[Key, defaultdict[str, int]] = {}
    for key, cells in alike.items():
        counts = states[key] = _counts(cells)
        tool = tools[(key[0], None, None)]
        for name, count in counts.items():
            tool[name] += count
    return [
        *(_upsert(of, UsageLevel.TOOL, key, counts) for key, counts in tools.items()),
        *(_upsert(of, UsageLevel.STATE, key, counts) for key, counts in states.items()),
    ]


def _counts(cells: list[Cell]) -> defaultdict[str, int]:
    """What cells of one state add to the counts of a document, by the path of the count."""
    failed = cells[0].state in FAILED
    counts: defaultdict[str, int] = defaultdict(int)
    for cell in cells:
        counts["jobs"] += cell.jobs
        counts["failed"] += cell.jobs if failed else 0
        if cell.day:
            month = cell.day[:7]
            counts[f"months.{month}"] += cell.jobs
            if failed:
                counts[f"failed_months.{month}"] += cell.jobs
    return counts


def _upsert(of: Row, level: UsageLevel, key: Key, counts: dict[str, int]) -> UpdateOne:
    tool_id, tool_version, state = key
    said = of | {"level": level.value, "tool_id": tool_id, "tool_version": tool_version, "state": state}
    id = documents.Usage.id_of(of["generationRef"], level, *key)
    return UpdateOne({"_id": id}, {"$inc": counts, "$setOnInsert": said}, upsert=True)


def _daily(of: Row, cells: list[Cell]) -> Row:
    """One document of cells that are alike but for their days."""
    numbers = [number_of_day(cell.day) for cell in cells]
    # Where jobs are taken away, nobody knows the extremes of those that are left.
    whole = [] if any(cell.jobs < 0 for cell in cells) else cells
    return of | {
        "_id": new_id(documents.DailyUsage.kind),
        "tool_id": cells[0].tool_id,
        "tool_version": cells[0].tool_version,
        "state": cells[0].state,
        "first": start_of(min(numbers)),
        "last": None if TIMELESS in numbers else start_of(max(numbers)),
        "shortest": min((cell.shortest for cell in whole if cell.shortest is not None), default=None),
        "longest": max((cell.longest for cell in whole if cell.longest is not None), default=None),
        "days": packed(numbers),
        "jobs": packed(cell.jobs for cell in cells),
        "spans": packed(len(cell.runtimes) for cell in cells),
        "bins": packed(bin for cell in cells for bin in cell.runtimes),
        "counts": packed(count for cell in cells for count in cell.runtimes.values()),
    }
