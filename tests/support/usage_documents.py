"""The usage that jobs come to, as documents of their own."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import documents
from documents.galaxy.usage import UsageLevel
from resolvers.galaxy.report.usage.cells import Cell, cell_of
from resolvers.galaxy.statistics.aggregates import FAILED_STATES
from resolvers.galaxy.statistics.packed_columns import day_number, pack_int32, start_of_day


def usage_of(jobs: Iterable[documents.Job]) -> list[documents.Document]:
    """Counts of jobs at every level, as if they had been ingested."""
    kept: list[documents.Document] = []
    levels: defaultdict[tuple[Any, ...], list[Cell]] = defaultdict(list)
    for job in jobs:
        cell, of = cell_of(job.model_dump()), (job.generation_ref, job.instance_ref)
        levels[(*of, UsageLevel.TOOL, cell.tool_id, None, None, None)].append(cell)
        levels[(*of, UsageLevel.STATE, cell.tool_id, cell.tool_version, cell.state, None)].append(cell)
        levels[(*of, UsageLevel.YEAR, None, None, cell.state, cell.day and cell.day[:4])].append(cell)
    for key, cells in levels.items():
        kept.append(_counts(key, cells))
        if key[2] is UsageLevel.STATE:
            kept.append(_days(key, sorted(cells, key=lambda cell: cell.day or "")))
    return kept


def _counts(key: tuple[Any, ...], cells: list[Cell]) -> documents.Usage:
    generation, instance, level, tool_id, tool_version, state, year = key
    by_day = level is UsageLevel.YEAR
    failed = [cell for cell in cells if cell.state in FAILED_STATES]
    return documents.Usage(
        id=documents.Usage.id_of(generation, level, tool_id, tool_version, state, year),
        generation_ref=generation,
        instance_ref=instance,
        level=level,
        tool_id=tool_id,
        tool_version=tool_version,
        state=state,
        year=year,
        jobs=len(cells),
        failed=len(failed),
        months=Counter(cell.day[:7] for cell in cells if cell.day and not by_day),
        failed_months=Counter(cell.day[:7] for cell in failed if cell.day and not by_day),
        days=Counter(cell.day[5:] for cell in cells if cell.day and by_day),
    )


def _days(key: tuple[Any, ...], cells: list[Cell]) -> documents.DailyUsage:
    generation, instance, _, tool_id, tool_version, state, _ = key
    times = [seconds for cell in cells for seconds in (cell.shortest, cell.longest) if seconds is not None]
    numbers = [day_number(cell.day) for cell in cells]
    return documents.DailyUsage(
        generation_ref=generation,
        instance_ref=instance,
        tool_id=tool_id,
        tool_version=tool_version,
        state=state,
        first=start_of_day(min(numbers)) if cells[0].day else None,
        last=start_of_day(max(numbers)) if cells[0].day else None,
        shortest=min(times, default=None),
        longest=max(times, default=None),
        days=pack_int32(numbers),
        jobs=pack_int32([1] * len(cells)),
        spans=pack_int32(len(cell.runtimes) for cell in cells),
        bins=pack_int32(bin for cell in cells for bin in cell.runtimes),
        counts=pack_int32(count for cell in cells for count in cell.runtimes.values()),
    )
