"""Counting jobs by group: from the smallest stored counts that suffice, and from jobs where none do."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from operator import itemgetter
from typing import Any

from pymongo.asynchronous.cursor import AsyncCursor

import documents
from documents.galaxy.usage import UsageLevel
from resolvers.filters import Filter
from resolvers.galaxy.statistics.aggregates import FAILED_STATES
from resolvers.galaxy.statistics.packed_columns import UNDATED, day_number, unpack_int32
from resolvers.galaxy.statistics.time_window import Days, midnight
from resolvers.galaxy.statistics.usage_query import Key, UsageQuery
from resolvers.limits import MAX_USAGE_GROUPS
from resolvers.reads.rows import Row, collection_of
from resolvers.user_errors import LimitExceeded

BATCH_SIZE = 2000
SLICE_SIZE = 250
"""Documents that are counted before other tasks run."""

Counts = tuple[int, int, int]
"""Jobs, failed ones, and servers that ran them."""
Groups = dict[Key, Counts]
"""The counts of each group that has jobs."""
GenerationGroups = Groups
"""The counts of each group of one generation, always of one server."""
PeriodKey = tuple[datetime | None, ...]
"""The end of a key: the start of a period if groups are split by periods, else nothing."""


async def count(query: UsageQuery) -> Groups:
    """The groups of a usage query. Raises LimitExceeded."""
    counts: defaultdict[str, GenerationGroups] = defaultdict(dict)
    if query.generations:
        if query.filter_parts.days is not None:
            await _add_stored_counts(query, query.filter_parts.days, counts)
        for filter in query.filter_parts.residual_filters:
            await _add_job_counts(query, filter, counts)
    return _merge_generations(list(counts.values()))


async def batched_rows(cursor: AsyncCursor[Row]) -> AsyncIterator[list[Row]]:
    """The rows of a cursor in batches, with a pause after each."""
    async with cursor:
        while rows := await cursor.to_list(BATCH_SIZE):
            for start in range(0, len(rows), SLICE_SIZE):
                yield rows[start : start + SLICE_SIZE]
                await asyncio.sleep(0)


def _add(groups: GenerationGroups, key: Key, jobs: int, failed: int) -> None:
    counts = groups.get(key)
    groups[key] = (jobs, failed, 1) if counts is None else (counts[0] + jobs, counts[1] + failed, 1)


def _merge_generations(generations: list[GenerationGroups]) -> Groups:
    """The groups of all generations, merged."""
    if len(generations) == 1:
        (groups,) = generations
        return (
            {key: groups[key] for key in groups if groups[key][0]}
            if 0 in map(itemgetter(0), groups.values())
            else groups
        )
    sums: GenerationGroups = {}
    for groups in generations:
        for key, counts in groups.items():
            if not counts[0]:
                continue
            total = sums.get(key)
            if total is None:
                sums[key] = counts
            else:
                sums[key] = total[0] + counts[0], total[1] + counts[1], total[2] + counts[2]
        check_group_count(len(sums))
    return sums


def check_group_count(groups: int) -> None:
    """Raise LimitExceeded where there are too many groups."""
    if groups > MAX_USAGE_GROUPS:
        raise LimitExceeded(
            f"There are more than {MAX_USAGE_GROUPS:,} groups. Select fewer with where, or group by fewer dimensions."
        )


async def _add_stored_counts(query: UsageQuery, days: Days, counts: defaultdict[str, GenerationGroups]) -> None:
    cursor, add = _smallest_source(query, days)
    async for rows in batched_rows(cursor):
        for row in rows:
            add(row, query.key(row), counts[row["generationRef"]])
        for groups in counts.values():
            check_group_count(len(groups))


Add = Callable[[Row, Key, GenerationGroups], None]
"""Adds the counts of a document to the groups of its generation; the key is that of the row, without a period."""


def _smallest_source(query: UsageQuery, days: Days) -> tuple[AsyncCursor[Row], Add]:
    """The smallest documents that suffice, and the function that adds their counts."""
    level = query.level
    if level is None:
        match = query.within(query.filter_parts.rest, overlap_filter(days))
        projection = {"_id": 0} | dict.fromkeys(("generationRef", *query.fields, "state", "days", "jobs"), 1)
        cursor = collection_of(documents.DailyUsage).find(match, projection, batch_size=BATCH_SIZE)
        return cursor, _DayReader(query, days).add
    add: Add
    fields: tuple[str, ...]
    if level is UsageLevel.YEAR:
        fields, add = ("state", "year", "days"), _YearReader(query, days).add
    elif query.period is None and not days.is_bounded:
        fields, add = (), lambda row, key, groups: _add(groups, key, row["jobs"], row["failed"])
    else:
        fields, add = ("months", "failed_months"), _MonthReader(query, days).add
    return usage_at_level(query, level, *fields), add


def usage_at_level(query: UsageQuery, level: UsageLevel, *fields: str) -> AsyncCursor[Row]:
    """The usage of one level, with the fields that a query tells apart, `jobs`, `failed` and these fields."""
    projection = dict.fromkeys(("generationRef", *query.fields, "jobs", "failed", *fields), 1)
    match = query.within({"level": level.value}, query.filter_parts.rest)
    return collection_of(documents.Usage).find(match, {"_id": 0} | projection, batch_size=BATCH_SIZE)


class PeriodKeys(dict[int, PeriodKey | None]):
    """The period at the end of a key for each day by its number; None for days outside the query."""

    def __init__(self, query: UsageQuery, days: Days) -> None:
        super().__init__()
        self._query = query
        self._days = days

    @property
    def is_bounded(self) -> bool:
        """Whether the query is limited to some days."""
        return self._days.is_bounded

    def __missing__(self, day: int) -> PeriodKey | None:
        period_key: PeriodKey | None = None
        if self._includes(day):
            period_key = () if self._query.period is None else (self._query.period_start(day),)
        self[day] = period_key
        return period_key

    def _includes(self, day: int) -> bool:
        first, last = self._days.first, self._days.last
        if day == UNDATED:
            return not self._days.is_bounded
        return (first is None or day >= first) and (last is None or day < last)


class _DayReader:
    """Reads DailyUsage."""

    def __init__(self, query: UsageQuery, days: Days) -> None:
        self._period_keys = PeriodKeys(query, days)

    def add(self, row: Row, key: Key, groups: GenerationGroups) -> None:
        period_keys, failed = self._period_keys, row["state"] in FAILED_STATES
        for day, jobs in zip(unpack_int32(row["days"]), unpack_int32(row["jobs"]), strict=True):
            period_key = period_keys[day]
            if period_key is not None:
                _add(groups, key + period_key, jobs, jobs if failed else 0)


class CalendarKeys(dict[str, PeriodKey | None]):
    """The period at the end of a key for each month, or for each day of a year, as they are stored."""

    def __init__(self, period_keys: PeriodKeys, pattern: str) -> None:
        super().__init__()
        self._period_keys = period_keys
        self._pattern = pattern

    def __missing__(self, name: str) -> PeriodKey | None:
        self[name] = period_key = self._period_keys[day_number(self._pattern.format(name))]
        return period_key


class _MonthReader:
    """Reads the months of Usage."""

    def __init__(self, query: UsageQuery, days: Days) -> None:
        self._undated_key = PeriodKeys(query, days)[UNDATED]
        self._period_keys = CalendarKeys(PeriodKeys(query, days), "{}-01")

    def add(self, row: Row, key: Key, groups: GenerationGroups) -> None:
        months, failures, period_keys = row.get("months") or {}, row.get("failed_months") or {}, self._period_keys
        for month, jobs in months.items():
            period_key = period_keys[month]
            if jobs and period_key is not None:
                _add(groups, key + period_key, jobs, failures.get(month, 0))
        if self._undated_key is not None:
            jobs, failed = undated_counts(row, months, failures)
            if jobs:
                _add(groups, key + self._undated_key, jobs, failed)


def undated_counts(row: Row, months: dict[str, int], failed_months: dict[str, int]) -> tuple[int, int]:
    """The number of jobs without a time, which are in no month, and of failed ones among them."""
    return row["jobs"] - sum(months.values()), row["failed"] - sum(failed_months.values())


class _YearReader:
    """Reads the days of Usage."""

    def __init__(self, query: UsageQuery, days: Days) -> None:
        self._period_keys = PeriodKeys(query, days)
        self._years: dict[str, CalendarKeys] = {}

    def add(self, row: Row, key: Key, groups: GenerationGroups) -> None:
        failed, year = row["state"] in FAILED_STATES, row["year"]
        if year is None:
            period_key = self._period_keys[UNDATED]
            if period_key is not None:
                _add(groups, key + period_key, row["jobs"], row["failed"])
            return
        period_keys = self._years.get(year)
        if period_keys is None:
            period_keys = self._years[year] = CalendarKeys(self._period_keys, f"{year}-{{}}")
        for day, jobs in (row.get("days") or {}).items():
            period_key = period_keys[day]
            if period_key is not None:
                _add(groups, key + period_key, jobs, jobs if failed else 0)


def overlap_filter(days: Days) -> Filter:
    """A filter for DailyUsage that may count jobs of these days."""
    bounds: Filter = {}
    if days.first is not None:
        bounds["last"] = {"$gte": midnight(days.first)}
    if days.last is not None:
        bounds["first"] = {"$lt": midnight(days.last)}
    return {"$or": [{"last": None}, bounds]} if bounds else {}


async def _add_job_counts(query: UsageQuery, filter: Filter, counts: defaultdict[str, GenerationGroups]) -> None:
    by: dict[str, Any] = {name: f"${name}" for name in ("generationRef", *query.fields, "state")}
    if query.period is not None:
        by["day"] = {"$dateToString": {"date": "$created_at", "format": "%Y-%m-%d"}}
    stages = [{"$match": query.within(filter)}, {"$group": {"_id": by, "jobs": {"$sum": 1}}}]
    period_keys = PeriodKeys(query, Days())
    async with await collection_of(documents.Job).aggregate(stages) as rows:
        async for row in rows:
            fields, jobs = row["_id"], row["jobs"]
            key = query.key(fields) + (period_keys[day_number(fields.get("day"))] or ())
            _add(counts[fields["generationRef"]], key, jobs, jobs if fields["state"] in FAILED_STATES else 0)
            check_group_count(len(counts[fields["generationRef"]]))
