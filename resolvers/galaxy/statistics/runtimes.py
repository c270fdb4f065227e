"""Runtimes of groups of jobs: from the jobs themselves where they are few, else from sketches."""

import asyncio
import math
from collections import defaultdict
from collections.abc import Collection
from typing import Any

import documents
from resolvers.filters import Filter, all_of, any_of
from resolvers.galaxy.report.usage.cells import bin_of
from resolvers.galaxy.statistics.counts import BATCH_SIZE, Groups, PeriodKey, PeriodKeys, batched_rows, overlap_filter
from resolvers.galaxy.statistics.packed_columns import UNDATED, day_number, days_of, unpack_int32
from resolvers.galaxy.statistics.percentiles import Distribution, RuntimeSketch, exact_distribution
from resolvers.galaxy.statistics.time_window import EPOCH, TIME, Days
from resolvers.galaxy.statistics.usage_query import Key, UsageQuery
from resolvers.limits import MAX_EXACT_SAMPLES
from resolvers.reads.rows import Row, collection_of
from resolvers.user_errors import LimitExceeded

MAX_EXACT_JOBS = 20_000
"""Jobs that may hold these runtimes, since all of them have to be read."""
MAX_COUNTS = 2_000_000
"""Counts that are held in memory at a time."""
RUNTIME = "runtime_seconds"

Distributions = dict[Key, Distribution | None]


async def distributions(query: UsageQuery, groups: Groups, *, all_of_them: bool = False) -> Distributions:
    """The runtimes of each group. `all_of_them` says that there are no other groups.

    Exact when the groups together have no more than MAX_EXACT_SAMPLES runtimes. Raises LimitExceeded.
    """
    if not groups:
        return {}
    sketches = await (
        _sketches(query, groups) if all_of_them else _sketches(query, groups, *_shared_filter(query, groups))
    )
    samples = {key: sketch.samples for key, sketch in sketches.items()}
    if sum(samples.values()) <= MAX_EXACT_SAMPLES and sum(jobs for jobs, *_ in groups.values()) <= MAX_EXACT_JOBS:
        values = await _values(query, groups, {} if all_of_them else _group_filter(query, groups))
        # Jobs may be inserted or removed before the counts are updated.
        if {key: len(seconds) for key, seconds in values.items()} == {key: n for key, n in samples.items() if n}:
            return {key: exact_distribution(values.get(key, [])) for key in groups}
    return await asyncio.to_thread(_estimates, groups, sketches)


def _estimates(keys: Collection[Key], sketches: dict[Key, RuntimeSketch]) -> Distributions:
    return {key: sketches[key].distribution() if key in sketches else None for key in keys}


async def _sketches(
    query: UsageQuery, keys: Collection[Key], narrow: Filter | None = None, span: Days | None = None
) -> dict[Key, RuntimeSketch]:
    sketches: defaultdict[Key, RuntimeSketch] = defaultdict(RuntimeSketch)
    if query.filter_parts.days is not None:
        within = all_of([narrow or {}, overlap_filter(span or Days())])
        await _add_daily_usage(query, query.filter_parts.days, keys, within, sketches)
    for filter in query.filter_parts.residual_filters:
        async for key, seconds in _runtimes(query, all_of([filter, narrow or {}])):
            if key in keys:
                sketches[key].add_with_extremes([bin_of(seconds)], [1], seconds, seconds)
    return sketches


async def _add_daily_usage(
    query: UsageQuery, days: Days, keys: Collection[Key], within: Filter, sketches: defaultdict[Key, RuntimeSketch]
) -> None:
    match = query.within(query.filter_parts.rest, within, overlap_filter(days), {"counts": {"$ne": b""}})
    accumulator = _SketchAccumulator(PeriodKeys(query, days), keys, sketches)
    size = 0
    async for rows in batched_rows(collection_of(documents.DailyUsage).find(match, batch_size=BATCH_SIZE)):
        for row in rows:
            accumulator.add(query.key(row), row)
            size += len(row["counts"]) // 4
        if size > MAX_COUNTS:
            size = sum(len(sketch.counts) for sketch in sketches.values())
            if size > MAX_COUNTS:
                raise LimitExceeded("There are too many groups to compute runtimes. Select fewer with where.")


class _SketchAccumulator:
    """Adds DailyUsage to the sketches of the groups with these keys."""

    def __init__(
        self, period_keys: PeriodKeys, keys: Collection[Key], sketches: defaultdict[Key, RuntimeSketch]
    ) -> None:
        self._period_keys = period_keys
        self._keys = keys
        self._sketches = sketches

    def add(self, key: Key, row: Row) -> None:
        period_key = self._common(row)
        if period_key is None:
            self._by_day(key, row)
        elif (group_key := key + period_key) in self._keys:
            bins, counts = unpack_int32(row["bins"]), unpack_int32(row["counts"])
            self._sketches[group_key].add_with_extremes(bins, counts, row["shortest"], row["longest"])

    def _common(self, row: Row) -> PeriodKey | None:
        """The end of the key that all days of a document share; None when they may differ."""
        first, last = row["first"], row["last"]
        if first is None:
            period_key = self._period_keys[UNDATED]
            # Other days may be there as well.
            return period_key if period_key == () and not self._period_keys.is_bounded else None
        period_key, last_key = self._period_keys[(first - EPOCH).days], self._period_keys[(last - EPOCH).days]
        return period_key if period_key == last_key else None

    def _by_day(self, key: Key, row: Row) -> None:
        for day, _, bins, counts in days_of(row):
            period_key = self._period_keys[day]
            if bins and period_key is not None and (group_key := key + period_key) in self._keys:
                self._sketches[group_key].add(bins, counts)


async def _values(query: UsageQuery, keys: Collection[Key], group_filter: Filter) -> dict[Key, list[float]]:
    values: defaultdict[Key, list[float]] = defaultdict(list)
    async for key, seconds in _runtimes(query, all_of([query.filter, group_filter])):
        if key in keys:
            values[key].append(seconds)
    return values


async def _runtimes(query: UsageQuery, filter: Filter) -> Any:
    """Key and runtime of each matching job."""
    fields = ("generationRef", *query.fields, TIME, RUNTIME)
    match = query.within(filter, {RUNTIME: {"$ne": None}})
    period_keys = PeriodKeys(query, Days())
    async for rows in batched_rows(collection_of(documents.Job).find(match, dict.fromkeys(fields, 1))):
        for row in rows:
            if math.isfinite(row[RUNTIME]):
                at = row.get(TIME)
                day = None if at is None else at.date().isoformat()
                yield query.key(row) + (period_keys[day_number(day)] or ()), row[RUNTIME]


def _shared_filter(query: UsageQuery, groups: Groups) -> tuple[Filter, Days]:
    """A filter that the documents of these groups share, so that the others are not read; and their days."""
    names = [name for name in query.fields if name != "instanceRef"]
    position = {name: 1 + query.fields.index(name) for name in names}
    filter = all_of({name: {"$in": list({key[position[name]] for key in groups})}} for name in names)
    return filter, _period_days(query, groups)


def _period_days(query: UsageQuery, groups: Groups) -> Days:
    """The range from the first to the last day of the groups' periods, where all have one."""
    starts = [key[-1] for key in groups if key[-1] is not None] if query.period else []
    if len(starts) < len(groups):
        return Days()
    try:
        return Days((min(starts) - EPOCH).days, (query.period_end(max(starts)) - EPOCH).days)
    except OverflowError:
        return Days()


def _group_filter(query: UsageQuery, groups: Groups) -> Filter:
    """A filter for the jobs of exactly these groups, in any slot."""

    def conditions(key: Key) -> list[Filter]:
        fields = zip(query.fields, key[1:], strict=False)
        return [*({name: {"$eq": value}} for name, value in fields), *_period_conditions(query, key)]

    return any_of(all_of(conditions(key)) for key in groups)


def _period_conditions(query: UsageQuery, key: Key) -> list[Filter]:
    if query.period is None:
        return []
    start = key[-1]
    if start is None:
        return [{TIME: {"$eq": None}}]
    try:
        return [{TIME: {"$gte": start, "$lt": query.period_end(start)}}]
    except OverflowError:
        return [{TIME: {"$gte": start}}]
