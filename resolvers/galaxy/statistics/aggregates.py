"""Stored usage of generations: adding the usage of reports, and deleting it."""

from collections import defaultdict
from collections.abc import Iterable

from pymongo import UpdateOne

import documents
from documents.base import new_id
from documents.galaxy.usage import UsageLevel
from documents.mongo.transaction import Session
from resolvers.galaxy.report.usage.cells import Cell
from resolvers.galaxy.statistics.packed_columns import UNDATED, day_number, pack_int32, start_of_day
from resolvers.reads.rows import Row, collection_of

FAILED_STATES = frozenset({"error", "failed"})
"""States of failed jobs."""
DELETION_BATCH_SIZE = 1000

Key = tuple[str | None, ...]
Counts = defaultdict[str, int]


async def add_usage(generation_id: str, cells: Iterable[Cell], session: Session) -> None:
    """Add cells at every level; cells with negative counts subtract jobs that were added before."""
    groups: defaultdict[Key, list[Cell]] = defaultdict(list)
    for cell in cells:
        groups[cell.tool_id, cell.tool_version, cell.state].append(cell)
    if not groups:
        return
    generation = await collection_of(documents.Generation).find_one({"_id": generation_id}, session=session)
    refs = {"generationRef": generation_id, "instanceRef": generation["instanceRef"] if generation else None}
    daily = [_daily_usage(refs, cells) for cells in groups.values()]
    await collection_of(documents.Usage).bulk_write(_upserts(refs, groups), ordered=False, session=session)
    await collection_of(documents.DailyUsage).insert_many(daily, ordered=False, session=session)


async def delete_usage(generation_id: str) -> None:
    """Delete the usage of a generation that is no longer read, in batches."""
    for document in (documents.Usage, documents.DailyUsage):
        collection = collection_of(document)
        while True:
            rows = collection.find({"generationRef": generation_id}, {"_id": 1}).limit(DELETION_BATCH_SIZE)
            ids = [row["_id"] for row in await rows.to_list()]
            if not ids:
                break
            await collection.delete_many({"_id": {"$in": ids}})


def _upserts(refs: Row, groups: dict[Key, list[Cell]]) -> list[UpdateOne]:
    tools: defaultdict[Key, Counts] = defaultdict(lambda: Counts(int))
    states = {(*key, None): _month_counts(cells) for key, cells in groups.items()}
    for (tool_id, *_), counts in states.items():
        tool = tools[tool_id, None, None, None]
        for name, count in counts.items():
            tool[name] += count
    levels = {UsageLevel.TOOL: tools, UsageLevel.STATE: states, UsageLevel.YEAR: _year_counts(groups)}
    return [
        _upsert(refs, level, key, counts)
        for level, counts_by_key in levels.items()
        for key, counts in counts_by_key.items()
    ]


def _month_counts(cells: list[Cell]) -> Counts:
    """The increments of a document's counts by cells of one state, by the path of the count."""
    months: defaultdict[str | None, int] = defaultdict(int)
    for cell in cells:
        months[cell.day and cell.day[:7]] += cell.jobs
    failed, jobs = cells[0].state in FAILED_STATES, sum(months.values())
    counts = Counts(int, {"jobs": jobs, "failed": jobs if failed else 0})
    for month, number in months.items():
        if month:
            counts[f"months.{month}"] = number
            if failed:
                counts[f"failed_months.{month}"] = number
    return counts


def _year_counts(groups: dict[Key, list[Cell]]) -> dict[Key, Counts]:
    """The increments for each state and year, by day instead of by month."""
    days: defaultdict[tuple[str | None, str | None], int] = defaultdict(int)
    for (_, _, state), cells in groups.items():
        for cell in cells:
            days[state, cell.day] += cell.jobs
    years: defaultdict[Key, Counts] = defaultdict(lambda: Counts(int))
    for (state, day), number in days.items():
        counts = years[None, None, state, day and day[:4]]
        counts["jobs"] += number
        counts["failed"] += number if state in FAILED_STATES else 0
        if day:
            counts[f"days.{day[5:]}"] += number
    return years


def _upsert(refs: Row, level: UsageLevel, key: Key, counts: Counts) -> UpdateOne:
    fields = dict(zip(("tool_id", "tool_version", "state", "year"), key, strict=True))
    id = documents.Usage.id_of(refs["generationRef"], level, *key)
    return UpdateOne({"_id": id}, {"$inc": counts, "$setOnInsert": refs | {"level": level.value} | fields}, upsert=True)


def _daily_usage(refs: Row, cells: list[Cell]) -> Row:
    """One document of cells that differ only in their days."""
    numbers = [day_number(cell.day) for cell in cells]
    is_undated = UNDATED in numbers
    # Where jobs are subtracted, the extremes of the remaining ones are unknown.
    with_extremes = [] if any(cell.jobs < 0 for cell in cells) else cells
    return refs | {
        "_id": new_id(documents.DailyUsage.kind),
        "tool_id": cells[0].tool_id,
        "tool_version": cells[0].tool_version,
        "state": cells[0].state,
        "first": None if is_undated else start_of_day(min(numbers)),
        "last": None if is_undated else start_of_day(max(numbers)),
        "shortest": min((cell.shortest for cell in with_extremes if cell.shortest is not None), default=None),
        "longest": max((cell.longest for cell in with_extremes if cell.longest is not None), default=None),
        "days": pack_int32(numbers),
        "jobs": pack_int32(cell.jobs for cell in cells),
        "spans": pack_int32(len(cell.runtimes) for cell in cells),
        "bins": pack_int32(bin for cell in cells for bin in cell.runtimes),
        "counts": pack_int32(count for cell in cells for count in cell.runtimes.values()),
    }
