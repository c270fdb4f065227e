"""The tools and months with the most jobs, without creating a group for every month of every tool.

Of tens of thousands of groups only some are shown. The others stay as stored: a document for each tool of a generation,
whose counts by month are added up where several generations know the tool.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from documents.galaxy.usage import UsageLevel
from resolvers.galaxy.statistics.counts import (
    CalendarKeys,
    Counts,
    Groups,
    PeriodKeys,
    batched_rows,
    check_group_count,
    undated_counts,
    usage_at_level,
)
from resolvers.galaxy.statistics.time_window import Days
from resolvers.galaxy.statistics.usage_query import Key, UsageDimension, UsageQuery
from resolvers.reads.rows import Row


@dataclass(slots=True)
class MonthCounts:
    """Jobs of one tool by month, in all generations; `servers` has the number of servers, None where there is one."""

    jobs: dict[str, int]
    failed: dict[str, int]
    servers: dict[str, int] | None = None

    def add(self, other: "MonthCounts") -> None:
        """Add the counts of another generation."""
        if self.servers is None:
            self.servers = {month: 1 for month, jobs in self.jobs.items() if jobs}
        servers = self.servers
        for month, jobs in other.jobs.items():
            if jobs:
                self.jobs[month] = self.jobs.get(month, 0) + jobs
                servers[month] = servers.get(month, 0) + 1
        for month, failed in other.failed.items():
            self.failed[month] = self.failed.get(month, 0) + failed

    def counts(self, month: str) -> Counts:
        """The counts of a month."""
        return self.jobs[month], self.failed.get(month, 0), 1 if self.servers is None else self.servers[month]


def is_by_month(query: UsageQuery) -> bool:
    """Whether a query groups tools by month without a bound on time: the case that this module answers."""
    days = query.filter_parts.days
    return (
        query.level is UsageLevel.TOOL
        and "tool_id" in query.fields
        and query.period is UsageDimension.MONTH
        and days is not None
        and not days.is_bounded
        and not query.filter_parts.residual_filters
    )


async def top_groups(query: UsageQuery, first: int) -> Groups:
    """At least the `first` groups with the most jobs of each slot, including ties. Raises LimitExceeded."""
    by_slot: defaultdict[object, dict[Key, MonthCounts]] = defaultdict(dict)
    groups: Groups = {}
    async for rows in batched_rows(usage_at_level(query, UsageLevel.TOOL, "months", "failed_months")):
        for row in rows:
            key, months = query.key(row), MonthCounts(row.get("months") or {}, row.get("failed_months") or {})
            _add_undated(groups, key, row, months)
            sums = by_slot[key[0]].setdefault(key, months)
            if sums is not months:
                sums.add(months)
    check_group_count(
        len(groups) + sum(len(months.jobs) for of_slot in by_slot.values() for months in of_slot.values())
    )
    period_keys = CalendarKeys(PeriodKeys(query, Days()), "{}-01")
    for of_slot in by_slot.values():
        threshold = _threshold(of_slot.values(), first)
        for key, months in of_slot.items():
            shown = [month for month, jobs in months.jobs.items() if jobs >= threshold]
            groups |= {key + (period_keys[month] or ()): months.counts(month) for month in shown}
    return groups


def _add_undated(groups: Groups, key: Key, row: Row, months: MonthCounts) -> None:
    jobs, failed = undated_counts(row, months.jobs, months.failed)
    if jobs:
        sums = groups.get((*key, None), (0, 0, 0))
        groups[*key, None] = sums[0] + jobs, sums[1] + failed, sums[2] + 1


def _threshold(counts: Iterable[MonthCounts], first: int) -> int:
    """The number of jobs of the last of the first groups; 1 when there are fewer groups."""
    best = heapq.nlargest(first, chain.from_iterable(months.jobs.values() for months in counts))
    return max(1, best[-1]) if len(best) == first else 1
