"""Runtimes of groups of jobs: from the jobs themselves where they are few, else from sketches."""

import asyncio
import math
from collections import defaultdict
from collections.abc import Collection
from typing import Any

import documents
from resolvers.filters import Filter, all_of, any_of
from resolvers.galaxy.report.usage.cells import bin_of
from resolvers.galaxy.statistics.counts import BATCH, End, Ends, Groups, overlapping, slices
from resolvers.galaxy.statistics.packed_columns import TIMELESS, days_of, number_of_day, unpacked
from resolvers.galaxy.statistics.percentiles import Distribution, Sketch, exact_distribution
from resolvers.galaxy.statistics.question import Key, Question
from resolvers.galaxy.statistics.time_window import EPOCH, TIME, Days
from resolvers.reads.rows import Row, collection_of
from resolvers.user_errors import LimitExceeded

EXACT_SAMPLES = 2000
"""Runtimes that are read one by one; more are estimated."""
EXACT_JOBS = 20_000
"""Jobs that may hold these runtimes, since all of them have to be read."""
MOST_COUNTS = 2_000_000
"""Counts that are held in memory at a time."""
RUNTIME = "runtime_seconds"

Distributions = dict[Key, Distribution | None]


async def distributions(question: Question, groups: Groups, *, all_of_them: bool = False) -> Distributions:
    """The runtimes of each group. `all_of_them` says that there are no other groups.

    Exact when the groups together have no more than EXACT_SAMPLES runtimes. Raises LimitExceeded.
    """
    if not groups:
        return {}
    sketches = await (
        _sketches(question, groups) if all_of_them else _sketches(question, groups, *_narrowed(question, groups))
    )
    samples = {key: sketch.samples for key, sketch in sketches.items()}
    if sum(samples.values()) <= EXACT_SAMPLES and sum(jobs for jobs, *_ in groups.values()) <= EXACT_JOBS:
        values = await _values(question, groups, {} if all_of_them else _precisely(question, groups))
        # Jobs may be inserted or removed before the counts are updated.
        if {key: len(some) for key, some in values.items()} == {key: n for key, n in samples.items() if n}:
            return {key: exact_distribution(values.get(key, [])) for key in groups}
    return await asyncio.to_thread(_estimated, groups, sketches)


def _estimated(wanted: Collection[Key], sketches: dict[Key, Sketch]) -> Distributions:
    return {key: sketches[key].distribution() if key in sketches else None for key in wanted}


async def _sketches(
    question: Question, wanted: Collection[Key], narrow: Filter | None = None, span: Days | None = None
) -> dict[Key, Sketch]:
    found: defaultdict[Key, Sketch] = defaultdict(Sketch)
    if question.asked.days is not None:
        within = all_of([narrow or {}, overlapping(span or Days())])
        await _from_days(question, question.asked.days, wanted, within, found)
    for filter in question.asked.aside:
        async for key, seconds in _runtimes(question, all_of([filter, narrow or {}])):
            if key in wanted:
                found[key].add_known([bin_of(seconds)], [1], seconds, seconds)
    return found


async def _from_days(
    question: Question, days: Days, wanted: Collection[Key], within: Filter, found: defaultdict[Key, Sketch]
) -> None:
    match = question.within(question.asked.rest, within, overlapping(days), {"counts": {"$ne": b""}})
    adding = _Adding(Ends(question, days), wanted, found)
    held = 0
    async for rows in slices(collection_of(documents.DailyUsage).find(match, batch_size=BATCH)):
        for row in rows:
            adding.add(question.key(row), row)
            held += len(row["counts"]) // 4
        if held > MOST_COUNTS:
            held = sum(len(sketch.counts) for sketch in found.values())
            if held > MOST_COUNTS:
                raise LimitExceeded("There are too many groups to compute runtimes. Select fewer with where.")


class _Adding:
    """Adds DailyUsage to the sketches of the wanted groups."""

    def __init__(self, ends: Ends, wanted: Collection[Key], found: defaultdict[Key, Sketch]) -> None:
        self._ends = ends
        self._wanted = wanted
        self._found = found

    def add(self, key: Key, row: Row) -> None:
        end = self._common(row)
        if end is None:
            self._by_day(key, row)
        elif (whole := key + end) in self._wanted:
            bins, counts = unpacked(row["bins"]), unpacked(row["counts"])
            self._found[whole].add_known(bins, counts, row["shortest"], row["longest"])

    def _common(self, row: Row) -> End | None:
        """The end of the key that all days of a document share; None when they may differ."""
        first, last = row["first"], row["last"]
        if first is None:
            end = self._ends[TIMELESS]
            # Other days may be there as well.
            return end if end == () and not self._ends.bounded else None
        end, other = self._ends[(first - EPOCH).days], self._ends[(last - EPOCH).days]
        return end if end == other else None

    def _by_day(self, key: Key, row: Row) -> None:
        for day, _, bins, counts in days_of(row):
            end = self._ends[day]
            if bins and end is not None and (whole := key + end) in self._wanted:
                self._found[whole].add(bins, counts)


async def _values(question: Question, wanted: Collection[Key], precisely: Filter) -> dict[Key, list[float]]:
    values: defaultdict[Key, list[float]] = defaultdict(list)
    async for key, seconds in _runtimes(question, all_of([question.filter, precisely])):
        if key in wanted:
            values[key].append(seconds)
    return values


async def _runtimes(question: Question, filter: Filter) -> Any:
    """Key and runtime of each matching job."""
    fields = ("generationRef", *question.fields, TIME, RUNTIME)
    match = question.within(filter, {RUNTIME: {"$ne": None}})
    ends = Ends(question, Days())
    async for rows in slices(collection_of(documents.Job).find(match, dict.fromkeys(fields, 1))):
        for row in rows:
            if math.isfinite(row[RUNTIME]):
                at = row.get(TIME)
                day = None if at is None else at.date().isoformat()
                yield question.key(row) + (ends[number_of_day(day)] or ()), row[RUNTIME]


def _narrowed(question: Question, groups: Groups) -> tuple[Filter, Days]:
    """A filter that the documents of these groups share, so that the others are not read; and their days."""
    names = [name for name in question.fields if name != "instanceRef"]
    at = {name: 1 + question.fields.index(name) for name in names}
    return all_of({name: {"$in": list({key[at[name]] for key in groups})}} for name in names), _span(question, groups)


def _span(question: Question, groups: Groups) -> Days:
    """The range from the first to the last day of the groups' periods, where all have one."""
    starts = [key[-1] for key in groups if key[-1] is not None] if question.period else []
    if len(starts) < len(groups):
        return Days()
    try:
        return Days((min(starts) - EPOCH).days, (question.ends(max(starts)) - EPOCH).days)
    except OverflowError:
        return Days()


def _precisely(question: Question, groups: Groups) -> Filter:
    """A filter for the jobs of exactly these groups, in any slot."""
    return any_of(all_of([*_same(question, key), *_within(question, key)]) for key in groups)


def _same(question: Question, key: Key) -> list[Filter]:
    return [{name: {"$eq": value}} for name, value in zip(question.fields, key[1:], strict=False)]


def _within(question: Question, key: Key) -> list[Filter]:
    if question.period is None:
        return []
    start = key[-1]
    if start is None:
        return [{TIME: {"$eq": None}}]
    try:
        return [{TIME: {"$gte": start, "$lt": question.ends(start)}}]
    except OverflowError:
        return [{TIME: {"$gte": start}}]
