"""Counts jobs by group: from the smallest documents that tell enough, and from jobs where none does."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Any, NamedTuple

from pymongo.asynchronous.cursor import AsyncCursor

import documents
from resolvers.fetch import Row, collection_of
from resolvers.filters import Filter
from resolvers.packing import TIMELESS, number_of_day, unpacked
from resolvers.refusals import LimitExceeded
from resolvers.usage_question import Key, Question
from resolvers.usage_totals import FAILED
from resolvers.usage_window import Days, midnight

MOST_GROUPS = 200_000
"""Groups of one answer: more would take too much memory, and nobody can look at them."""
BATCH = 2000
SLICE = 250
"""Documents that are counted before others have their turn."""


class Group(NamedTuple):
    """Jobs that are alike in what is told apart, and how many servers ran them."""

    key: Key
    jobs: int
    failed: int
    instances: int


class Counts:
    """Jobs, and failed ones, by key, for each generation."""

    def __init__(self) -> None:
        self._of: defaultdict[str, dict[Key, list[int]]] = defaultdict(dict)

    def add(self, generation: str, counted: Iterable[tuple[Key, int, int]]) -> None:
        """Count jobs and failed ones in. Raises LimitExceeded."""
        own = self._of[generation]
        for key, jobs, failed in counted:
            known = own.get(key)
            if known is None:
                own[key] = [jobs, failed]
            else:
                known[0] += jobs
                known[1] += failed
        if len(own) > MOST_GROUPS:
            raise too_many()

    def groups(self) -> list[Group]:
        """The groups in which there are jobs. Raises LimitExceeded."""
        if len(self._of) == 1:
            (own,) = self._of.values()
            return [Group(key, jobs, failed, 1) for key, (jobs, failed) in own.items() if jobs]
        sums: dict[Key, list[int]] = {}
        for own in self._of.values():
            for key, (jobs, failed) in own.items():
                if jobs:
                    known = sums.setdefault(key, [0, 0, 0])
                    known[0] += jobs
                    known[1] += failed
                    known[2] += 1
            if len(sums) > MOST_GROUPS:
                raise too_many()
        return [Group(key, *counts) for key, counts in sums.items()]


def too_many() -> LimitExceeded:
    """The refusal of a question with too large an answer."""
    return LimitExceeded(f"There are more than {MOST_GROUPS:,} groups. Ask for fewer by where, or group by less.")


async def count(question: Question) -> list[Group]:
    """The groups that a question asks for, in no order. Raises LimitExceeded."""
    counts = Counts()
    if question.generations:
        if question.asked.days is not None:
            await (_by_month if question.by_month else _by_day)(question, question.asked.days, counts)
        for filter in question.asked.aside:
            await _by_job(question, filter, counts)
    return counts.groups()


async def slices(cursor: AsyncCursor[Row]) -> AsyncIterator[list[Row]]:
    """The rows that a cursor finds, some at a time, with a pause after each."""
    async with cursor:
        while rows := await cursor.to_list(BATCH):
            for start in range(0, len(rows), SLICE):
                yield rows[start : start + SLICE]
                await asyncio.sleep(0)


async def _by_month(question: Question, days: Days, counts: Counts) -> None:
    match = question.within({"level": question.level.value}, question.asked.rest)
    timed = question.period is not None or days.bounded
    wanted = ("generationRef", *question.fields, "jobs", "failed", *(("months", "failed_months") if timed else ()))
    found = collection_of(documents.Usage).find(match, dict.fromkeys(wanted, 1), batch_size=BATCH)
    counted = (
        _Months(question, days).counted if timed else lambda row: [(question.key(row), row["jobs"], row["failed"])]
    )
    async for rows in slices(found):
        for row in rows:
            counts.add(row["generationRef"], counted(row))


class _Months:
    """Reads the months of documents."""

    def __init__(self, question: Question, days: Days) -> None:
        self._question = question
        self._told_apart = question.period is not None
        self._bounded = days.bounded
        self._first = _month(days.first, "0000")
        self._last = _month(days.last, "9999-99")
        self._starts: dict[str, tuple[datetime | None]] = {}

    def counted(self, row: Row) -> list[tuple[Key, int, int]]:
        """What one document counts within the bounds."""
        key, failed = self._question.key(row), row.get("failed_months") or {}
        months = [(month, jobs) for month, jobs in (row.get("months") or {}).items() if jobs and self._within(month)]
        if self._told_apart:
            found = [(key + self._start(month), jobs, failed.get(month, 0)) for month, jobs in months]
        else:
            found = [(key, jobs, failed.get(month, 0)) for month, jobs in months]
        if self._bounded:
            return found
        timeless = row["jobs"] - sum(jobs for _, jobs in months)
        if timeless:
            end = (None,) if self._told_apart else ()
            found.append((key + end, timeless, row["failed"] - sum(failed.values())))
        return found

    def _within(self, month: str) -> bool:
        return self._first <= month < self._last

    def _start(self, month: str) -> tuple[datetime | None]:
        start = self._starts.get(month)
        if start is None:
            start = self._starts[month] = (datetime.fromisoformat(f"{month}-01"),)
        return start


def _month(day: int | None, otherwise: str) -> str:
    return otherwise if day is None else midnight(day).date().isoformat()[:7]


async def _by_day(question: Question, days: Days, counts: Counts) -> None:
    wanted = ("generationRef", *question.fields, "state", "days", "jobs")
    match = question.within(question.asked.rest, overlapping(days))
    found = collection_of(documents.DailyUsage).find(match, dict.fromkeys(wanted, 1), batch_size=BATCH)
    starts = Starts(question, days)
    async for rows in slices(found):
        for row in rows:
            counts.add(row["generationRef"], _days(question, row, starts))


def _days(question: Question, row: Row, starts: "Starts") -> list[tuple[Key, int, int]]:
    key, failed = question.key(row), row["state"] in FAILED
    columns = zip(unpacked(row["days"]), unpacked(row["jobs"]), strict=True)
    return [(key + start, jobs, jobs if failed else 0) for day, jobs in columns if (start := starts[day]) is not None]


class Starts(dict[int, tuple[datetime | None, ...] | None]):
    """The end of the key for each day: the start of its period if periods are told apart. None for days not meant."""

    def __init__(self, question: Question, days: Days) -> None:
        super().__init__()
        self._question = question
        self._days = days

    def __missing__(self, day: int) -> tuple[datetime | None, ...] | None:
        first, last = self._days.first, self._days.last
        if self._days.bounded and day == TIMELESS:
            within = False
        else:
            within = (first is None or day >= first) and (last is None or day < last)
        found: tuple[datetime | None, ...] | None = None
        if within:
            found = () if self._question.period is None else (self._question.starts(day),)
        self[day] = found
        return found


def overlapping(days: Days) -> Filter:
    """Documents that may count jobs of these days."""
    bounds: Filter = {}
    if days.last is not None:
        bounds["first"] = {"$lt": midnight(days.last)}
    if days.first is not None:
        bounds["last"] = {"$gte": midnight(days.first)}
    return {"$or": [{"first": None}, bounds]} if bounds else {}


async def _by_job(question: Question, filter: Filter, counts: Counts) -> None:
    by: dict[str, Any] = {name: f"${name}" for name in ("generationRef", *question.fields, "state")}
    if question.period is not None:
        by["day"] = {"$dateToString": {"date": "$created_at", "format": "%Y-%m-%d"}}
    stages = [{"$match": question.within(filter)}, {"$group": {"_id": by, "jobs": {"$sum": 1}}}]
    starts = Starts(question, Days())
    async with await collection_of(documents.Job).aggregate(stages) as found:
        async for row in found:
            counts.add(row["_id"]["generationRef"], [_job_group(question, row, starts)])


def _job_group(question: Question, row: Row, starts: Starts) -> tuple[Key, int, int]:
    said = row["_id"]
    start = starts[number_of_day(said.get("day"))] or ()
    return question.key(said) + start, row["jobs"], row["jobs"] if said["state"] in FAILED else 0
