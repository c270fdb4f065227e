"""How long the jobs of groups ran: from the jobs themselves where they are few, else from sketches."""

import asyncio
import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

import documents
from resolvers.fetch import Row, collection_of
from resolvers.filters import Filter, all_of, any_of
from resolvers.ingest.report.cells import bin_of
from resolvers.packing import days_of, number_of_day
from resolvers.refusals import LimitExceeded
from resolvers.runtimes import Distribution, Sketch, exact_distribution
from resolvers.usage_counts import Group, Starts, overlapping, slices
from resolvers.usage_question import Key, Question
from resolvers.usage_window import EPOCH, TIME, Days

EXACT_SAMPLES = 2000
"""So many runtimes are looked at one by one; more are estimated."""
EXACT_JOBS = 20_000
"""In however many jobs these are, since all of them have to be read."""
MOST_COUNTS = 2_000_000
"""Counts that are held in memory at a time."""
RUNTIME = "runtime_seconds"

Distributions = dict[Key, Distribution | None]


async def distributions(question: Question, groups: Sequence[Group], *, all_of_them: bool = False) -> Distributions:
    """How long the jobs of each group ran. `all_of_them` says that there are no other groups.

    Exact when the groups together have no more than EXACT_SAMPLES runtimes. Raises LimitExceeded.
    """
    if not groups:
        return {}
    narrow = {} if all_of_them else _narrowed(question, groups)
    wanted = {group.key for group in groups}
    span = Days() if all_of_them else _span(question, groups)
    sketches = await _sketches(question, wanted, narrow, span)
    samples = {key: sketch.samples for key, sketch in sketches.items()}
    if sum(samples.values()) <= EXACT_SAMPLES and sum(group.jobs for group in groups) <= EXACT_JOBS:
        values = await _values(question, wanted, {} if all_of_them else _precisely(question, groups))
        # Jobs may be on their way in, or out, before they are counted.
        if {key: len(some) for key, some in values.items()} == {key: n for key, n in samples.items() if n}:
            return {key: exact_distribution(values.get(key, [])) for key in wanted}
    return await asyncio.to_thread(_estimated, wanted, sketches)


def _estimated(wanted: Collection[Key], sketches: dict[Key, Sketch]) -> Distributions:
    return {key: sketches[key].distribution() if key in sketches else None for key in wanted}


async def _sketches(question: Question, wanted: Collection[Key], narrow: Filter, span: Days) -> dict[Key, Sketch]:
    found: defaultdict[Key, Sketch] = defaultdict(Sketch)
    if question.asked.days is not None:
        within = all_of([narrow, overlapping(span)])
        await _from_days(question, question.asked.days, wanted, within, found)
    for filter in question.asked.aside:
        async for key, seconds in _runtimes(question, all_of([filter, narrow])):
            if key in wanted:
                found[key].add_known([bin_of(seconds)], [1], seconds, seconds)
    return found


async def _from_days(
    question: Question, days: Days, wanted: Collection[Key], narrow: Filter, found: defaultdict[Key, Sketch]
) -> None:
    match = question.within(question.asked.rest, narrow, overlapping(days), {"counts": {"$ne": b""}})
    starts = Starts(question, days)
    held = 0
    async for rows in slices(collection_of(documents.DailyUsage).find(match, batch_size=500)):
        for row in rows:
            _add(question.key(row), row, starts, wanted, found)
            held += len(row["counts"]) // 4
        if held > MOST_COUNTS:
            held = sum(len(sketch.counts) for sketch in found.values())
            if held > MOST_COUNTS:
                raise LimitExceeded("There are too many groups to tell how long jobs ran. Ask for fewer by where.")


def _add(key: Key, row: Row, starts: Starts, wanted: Collection[Key], found: defaultdict[Key, Sketch]) -> None:
    """Count one document in, whole where all its days are in one group."""
    parts = [(starts[day], bins, counts) for day, _, bins, counts in days_of(row) if bins]
    ends = {end for end, _, _ in parts}
    for end, bins, counts in parts:
        if end is None or (whole := key + end) not in wanted:
            continue
        if len(ends) == 1:
            found[whole].add_known(bins, counts, row["shortest"], row["longest"])
        else:
            found[whole].add(bins, counts)


async def _values(question: Question, wanted: Collection[Key], precisely: Filter) -> dict[Key, list[float]]:
    values: defaultdict[Key, list[float]] = defaultdict(list)
    async for key, seconds in _runtimes(question, all_of([question.filter, precisely])):
        if key in wanted:
            values[key].append(seconds)
    return values


async def _runtimes(question: Question, filter: Filter) -> Any:
    """Key and runtime of each job that matches."""
    fields = ("generationRef", *question.fields, TIME, RUNTIME)
    match = question.within(filter, {RUNTIME: {"$ne": None}})
    starts = Starts(question, Days())
    async for rows in slices(collection_of(documents.Job).find(match, dict.fromkeys(fields, 1))):
        for row in rows:
            if math.isfinite(row[RUNTIME]):
                day = None if row[TIME] is None else row[TIME].date().isoformat()
                yield question.key(row) + (starts[number_of_day(day)] or ()), row[RUNTIME]


def _narrowed(question: Question, groups: Sequence[Group]) -> Filter:
    """What the documents of some groups have in common, so that the others need not be read."""
    names = [name for name in question.fields if name != "instanceRef"]
    at = {name: 1 + question.fields.index(name) for name in names}
    return all_of({name: {"$in": list({group.key[at[name]] for group in groups})}} for name in names)


def _span(question: Question, groups: Sequence[Group]) -> Days:
    """From the first to the last day of the groups' periods, where all have one."""
    starts = [group.key[-1] for group in groups if group.key[-1] is not None] if question.period else []
    if len(starts) < len(groups):
        return Days()
    try:
        return Days((min(starts) - EPOCH).days, (question.ends(max(starts)) - EPOCH).days)
    except OverflowError:
        return Days()


def _precisely(question: Question, groups: Sequence[Group]) -> Filter:
    """What jobs of these groups match, and no others but those of other slots."""
    return any_of(all_of([*_same(question, group.key), *_within(question, group.key)]) for group in groups)


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
