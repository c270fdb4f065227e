"""Counting jobs by group: from the smallest documents that tell enough, and from jobs where none does."""

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
from resolvers.galaxy.statistics.aggregates import FAILED
from resolvers.galaxy.statistics.packed_columns import TIMELESS, number_of_day, unpacked
from resolvers.galaxy.statistics.question import Key, Question
from resolvers.galaxy.statistics.time_window import Days, midnight
from resolvers.reads.rows import Row, collection_of
from resolvers.user_errors import LimitExceeded

MOST_GROUPS = 200_000
"""Groups of one answer: more would take too much memory, and nobody can look at them."""
BATCH = 2000
SLICE = 250
"""Documents that are counted before other tasks run."""

Counts = tuple[int, int, int]
"""Jobs, failed ones, and servers that ran them."""
Groups = dict[Key, Counts]
"""The counts of each group that has jobs."""
Own = Groups
"""The counts of each group of one generation, always of one server."""
End = tuple[datetime | None, ...]
"""The end of a key: the start of a period if groups are split by periods."""


async def count(question: Question) -> Groups:
    """The groups of a usage query. Raises LimitExceeded."""
    counts: defaultdict[str, Own] = defaultdict(dict)
    if question.generations:
        if question.asked.days is not None:
            await _from_counts(question, question.asked.days, counts)
        for filter in question.asked.aside:
            await _from_jobs(question, filter, counts)
    return _together(list(counts.values()))


async def slices(cursor: AsyncCursor[Row]) -> AsyncIterator[list[Row]]:
    """The rows of a cursor in batches, with a pause after each."""
    async with cursor:
        while rows := await cursor.to_list(BATCH):
            for start in range(0, len(rows), SLICE):
                yield rows[start : start + SLICE]
                await asyncio.sleep(0)


def _add(own: Own, key: Key, jobs: int, failed: int) -> None:
    known = own.get(key)
    own[key] = (jobs, failed, 1) if known is None else (known[0] + jobs, known[1] + failed, 1)


def _together(several: list[Own]) -> Groups:
    """The groups of all generations, merged."""
    if len(several) == 1:
        (own,) = several
        return {key: own[key] for key in own if own[key][0]} if 0 in map(itemgetter(0), own.values()) else own
    sums: Own = {}
    for own in several:
        for key, counts in own.items():
            if not counts[0]:
                continue
            known = sums.get(key)
            if known is None:
                sums[key] = counts
            else:
                sums[key] = known[0] + counts[0], known[1] + counts[1], known[2] + counts[2]
        limit(len(sums))
    return sums


def limit(groups: int) -> None:
    """Raise LimitExceeded where there are too many groups."""
    if groups > MOST_GROUPS:
        raise LimitExceeded(
            f"There are more than {MOST_GROUPS:,} groups. Select fewer with where, or group by fewer dimensions."
        )


async def _from_counts(question: Question, days: Days, counts: defaultdict[str, Own]) -> None:
    found, add = _smallest(question, days)
    async for rows in slices(found):
        for row in rows:
            add(row, question.key(row), counts[row["generationRef"]])
        for own in counts.values():
            limit(len(own))


Add = Callable[[Row, Key, Own], None]
"""Adds the counts of a document to the groups of its generation; the key is that of the row, without a period."""


def _smallest(question: Question, days: Days) -> tuple[AsyncCursor[Row], Add]:
    """The smallest documents that tell enough, and how they are read."""
    level = question.level
    if level is None:
        match = question.within(question.asked.rest, overlapping(days))
        wanted = {"_id": 0} | dict.fromkeys(("generationRef", *question.fields, "state", "days", "jobs"), 1)
        return collection_of(documents.DailyUsage).find(match, wanted, batch_size=BATCH), _Days(question, days).add
    reading: tuple[tuple[str, ...], Add]
    if level is UsageLevel.YEAR:
        reading = ("state", "year", "days"), _Years(question, days).add
    elif question.period is None and not days.bounded:
        reading = (), lambda row, key, own: _add(own, key, row["jobs"], row["failed"])
    else:
        reading = ("months", "failed_months"), _Months(question, days).add
    return at_level(question, level, *reading[0]), reading[1]


def at_level(question: Question, level: UsageLevel, *fields: str) -> AsyncCursor[Row]:
    """The usage of one level, with the fields that a query tells apart, `jobs`, `failed` and these fields."""
    wanted = dict.fromkeys(("generationRef", *question.fields, "jobs", "failed", *fields), 1)
    match = question.within({"level": level.value}, question.asked.rest)
    return collection_of(documents.Usage).find(match, {"_id": 0} | wanted, batch_size=BATCH)


class Ends(dict[int, End | None]):
    """The end of the key for each day by its number; None for days outside the query."""

    def __init__(self, question: Question, days: Days) -> None:
        super().__init__()
        self._question = question
        self._days = days

    @property
    def bounded(self) -> bool:
        """Whether the query is limited to some days."""
        return self._days.bounded

    def __missing__(self, day: int) -> End | None:
        self[day] = found = self._end(day) if self._meant(day) else None
        return found

    def _meant(self, day: int) -> bool:
        first, last = self._days.first, self._days.last
        if day == TIMELESS:
            return not self._days.bounded
        return (first is None or day >= first) and (last is None or day < last)

    def _end(self, day: int) -> End:
        return () if self._question.period is None else (self._question.starts(day),)


class _Days:
    """Reads DailyUsage."""

    def __init__(self, question: Question, days: Days) -> None:
        self._ends = Ends(question, days)

    def add(self, row: Row, key: Key, own: Own) -> None:
        ends, failed = self._ends, row["state"] in FAILED
        for day, jobs in zip(unpacked(row["days"]), unpacked(row["jobs"]), strict=True):
            end = ends[day]
            if end is not None:
                _add(own, key + end, jobs, jobs if failed else 0)


class Named(dict[str, End | None]):
    """The end of the key for each month, or for each day of a year, as they are written."""

    def __init__(self, ends: Ends, pattern: str) -> None:
        super().__init__()
        self._ends = ends
        self._pattern = pattern

    def __missing__(self, name: str) -> End | None:
        self[name] = found = self._ends[number_of_day(self._pattern.format(name))]
        return found


class _Months:
    """Reads the months of Usage."""

    def __init__(self, question: Question, days: Days) -> None:
        self._timeless = Ends(question, days)[TIMELESS]
        self._ends = Named(Ends(question, days), "{}-01")

    def add(self, row: Row, key: Key, own: Own) -> None:
        months, failures, ends = row.get("months") or {}, row.get("failed_months") or {}, self._ends
        for month, jobs in months.items():
            end = ends[month]
            if jobs and end is not None:
                _add(own, key + end, jobs, failures.get(month, 0))
        if self._timeless is not None:
            jobs, failed = timeless(row, months, failures)
            if jobs:
                _add(own, key + self._timeless, jobs, failed)


def timeless(row: Row, months: dict[str, int], failed_months: dict[str, int]) -> tuple[int, int]:
    """Jobs without a time, which are in no month, and failed ones among them."""
    return row["jobs"] - sum(months.values()), row["failed"] - sum(failed_months.values())


class _Years:
    """Reads the days of Usage."""

    def __init__(self, question: Question, days: Days) -> None:
        self._all = Ends(question, days)
        self._years: dict[str, Named] = {}

    def add(self, row: Row, key: Key, own: Own) -> None:
        failed, year = row["state"] in FAILED, row["year"]
        if year is None:
            end = self._all[TIMELESS]
            if end is not None:
                _add(own, key + end, row["jobs"], row["failed"])
            return
        ends = self._years.get(year)
        if ends is None:
            ends = self._years[year] = Named(self._all, f"{year}-{{}}")
        for day, jobs in (row.get("days") or {}).items():
            end = ends[day]
            if end is not None:
                _add(own, key + end, jobs, jobs if failed else 0)


def overlapping(days: Days) -> Filter:
    """A filter for DailyUsage that may count jobs of these days."""
    bounds: Filter = {}
    if days.first is not None:
        bounds["last"] = {"$gte": midnight(days.first)}
    if days.last is not None:
        bounds["first"] = {"$lt": midnight(days.last)}
    return {"$or": [{"last": None}, bounds]} if bounds else {}


async def _from_jobs(question: Question, filter: Filter, counts: defaultdict[str, Own]) -> None:
    by: dict[str, Any] = {name: f"${name}" for name in ("generationRef", *question.fields, "state")}
    if question.period is not None:
        by["day"] = {"$dateToString": {"date": "$created_at", "format": "%Y-%m-%d"}}
    stages = [{"$match": question.within(filter)}, {"$group": {"_id": by, "jobs": {"$sum": 1}}}]
    ends = Ends(question, Days())
    async with await collection_of(documents.Job).aggregate(stages) as found:
        async for row in found:
            said, jobs = row["_id"], row["jobs"]
            key = question.key(said) + (ends[number_of_day(said.get("day"))] or ())
            _add(counts[said["generationRef"]], key, jobs, jobs if said["state"] in FAILED else 0)
            limit(len(counts[said["generationRef"]]))
