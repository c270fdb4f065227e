"""Stored usage of generations: adding the usage of reports, and deleting it."""

from collections import defaultdict
from collections.abc import Iterable

from pymongo import UpdateOne

import documents
from documents.base import new_id
from documents.galaxy.usage import UsageLevel
from documents.mongo.transaction import Session
from resolvers.galaxy.report.usage.cells import Cell
from resolvers.galaxy.statistics.packed_columns import TIMELESS, number_of_day, packed, start_of
from resolvers.reads.rows import Row, collection_of

FAILED = frozenset({"error", "failed"})
"""States of failed jobs."""
FORGOTTEN_AT_ONCE = 1000

Key = tuple[str | None, ...]
Counts = defaultdict[str, int]


async def add_usage(generation_id: str, cells: Iterable[Cell], session: Session) -> None:
    """Add cells at every level; cells with negative counts subtract jobs that were added before."""
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
    """Delete the usage of a generation that is no longer read, some at a time."""
    for document in (documents.Usage, documents.DailyUsage):
        collection = collection_of(document)
        while True:
            found = collection.find({"generationRef": generation_id}, {"_id": 1}).limit(FORGOTTEN_AT_ONCE)
            ids = [row["_id"] for row in await found.to_list()]
            if not ids:
                break
            await collection.delete_many({"_id": {"$in": ids}})


def _upserts(of: Row, alike: dict[Key, list[Cell]]) -> list[UpdateOne]:
    tools: defaultdict[Key, Counts] = defaultdict(lambda: Counts(int))
    states = {(*key, None): _by_month(cells) for key, cells in alike.items()}
    for (tool_id, *_), counts in states.items():
        tool = tools[tool_id, None, None, None]
        for name, count in counts.items():
            tool[name] += count
    levels = {UsageLevel.TOOL: tools, UsageLevel.STATE: states, UsageLevel.YEAR: _by_day(alike)}
    return [_upsert(of, level, key, counts) for level, found in levels.items() for key, counts in found.items()]


def _by_month(cells: list[Cell]) -> Counts:
    """The increments of a document's counts by cells of one state, by the path of the count."""
    months: defaultdict[str | None, int] = defaultdict(int)
    for cell in cells:
        months[cell.day and cell.day[:7]] += cell.jobs
    failed, jobs = cells[0].state in FAILED, sum(months.values())
    counts = Counts(int, {"jobs": jobs, "failed": jobs if failed else 0})
    for month, number in months.items():
        if month:
            counts[f"months.{month}"] = number
            if failed:
                counts[f"failed_months.{month}"] = number
    return counts


def _by_day(alike: dict[Key, list[Cell]]) -> dict[Key, Counts]:
    """The increments for each state and year, by day instead of by month."""
    days: defaultdict[tuple[str | None, str | None], int] = defaultdict(int)
    for (_, _, state), cells in alike.items():
        for cell in cells:
            days[state, cell.day] += cell.jobs
    years: defaultdict[Key, Counts] = defaultdict(lambda: Counts(int))
    for (state, day), number in days.items():
        counts = years[None, None, state, day and day[:4]]
        counts["jobs"] += number
        counts["failed"] += number if state in FAILED else 0
        if day:
            counts[f"days.{day[5:]}"] += number
    return years


def _upsert(of: Row, level: UsageLevel, key: Key, counts: Counts) -> UpdateOne:
    said = dict(zip(("tool_id", "tool_version", "state", "year"), key, strict=True))
    id = documents.Usage.id_of(of["generationRef"], level, *key)
    return UpdateOne({"_id": id}, {"$inc": counts, "$setOnInsert": of | {"level": level.value} | said}, upsert=True)


def _daily(of: Row, cells: list[Cell]) -> Row:
    """One document of cells that differ only in their days."""
    numbers = [number_of_day(cell.day) for cell in cells]
    timeless = TIMELESS in numbers
    # Where jobs are subtracted, the extremes of the remaining ones are unknown.
    whole = [] if any(cell.jobs < 0 for cell in cells) else cells
    return of | {
        "_id": new_id(documents.DailyUsage.kind),
        "tool_id": cells[0].tool_id,
        "tool_version": cells[0].tool_version,
        "state": cells[0].state,
        "first": None if timeless else start_of(min(numbers)),
        "last": None if timeless else start_of(max(numbers)),
        "shortest": min((cell.shortest for cell in whole if cell.shortest is not None), default=None),
        "longest": max((cell.longest for cell in whole if cell.longest is not None), default=None),
        "days": packed(numbers),
        "jobs": packed(cell.jobs for cell in cells),
        "spans": packed(len(cell.runtimes) for cell in cells),
        "bins": packed(bin for cell in cells for bin in cell.runtimes),
        "counts": packed(count for cell in cells for count in cell.runtimes.values()),
    }
