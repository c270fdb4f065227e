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
from resolvers.galaxy.statistics.counts import Counts, Ends, Groups, Named, at_level, limit, slices, timeless
from resolvers.galaxy.statistics.question import Key, Question, UsageDimension
from resolvers.galaxy.statistics.time_window import Days
from resolvers.reads.rows import Row


@dataclass(slots=True)
class Months:
    """Jobs of one tool by month, in all generations; `servers` has the number of servers, None where there is one."""

    jobs: dict[str, int]
    failed: dict[str, int]
    servers: dict[str, int] | None = None

    def add(self, other: "Months") -> None:
        """Add the counts of another generation."""
        servers = self.servers = self._servers()
        for month, jobs in other.jobs.items():
            if jobs:
                self.jobs[month] = self.jobs.get(month, 0) + jobs
                servers[month] = servers.get(month, 0) + 1
        for month, failed in other.failed.items():
            self.failed[month] = self.failed.get(month, 0) + failed

    def counts(self, month: str) -> Counts:
        """The counts of a month."""
        return self.jobs[month], self.failed.get(month, 0), 1 if self.servers is None else self.servers[month]

    def _servers(self) -> dict[str, int]:
        return {month: 1 for month, jobs in self.jobs.items() if jobs} if self.servers is None else self.servers


def is_by_month(question: Question) -> bool:
    """Whether a query groups tools by month without a bound on time: the case that this module answers."""
    days = question.asked.days
    return (
        question.level is UsageLevel.TOOL
        and "tool_id" in question.fields
        and question.period is UsageDimension.MONTH
        and days is not None
        and not days.bounded
        and not question.asked.aside
    )


async def most_used(question: Question, first: int) -> Groups:
    """At least the `first` groups with the most jobs of each slot, including ties. Raises LimitExceeded."""
    by_slot: defaultdict[object, dict[Key, Months]] = defaultdict(dict)
    groups: Groups = {}
    async for rows in slices(at_level(question, UsageLevel.TOOL, "months", "failed_months")):
        for row in rows:
            key, months = question.key(row), Months(row.get("months") or {}, row.get("failed_months") or {})
            _add_timeless(groups, key, row, months)
            known = by_slot[key[0]].setdefault(key, months)
            if known is not months:
                known.add(months)
    limit(len(groups) + sum(len(months.jobs) for of_slot in by_slot.values() for months in of_slot.values()))
    ends = Named(Ends(question, Days()), "{}-01")
    for of_slot in by_slot.values():
        least = _least(of_slot.values(), first)
        for key, months in of_slot.items():
            shown = [month for month, jobs in months.jobs.items() if jobs >= least]
            groups |= {key + (ends[month] or ()): months.counts(month) for month in shown}
    return groups


def _add_timeless(groups: Groups, key: Key, row: Row, months: Months) -> None:
    jobs, failed = timeless(row, months.jobs, months.failed)
    if jobs:
        known = groups.get((*key, None), (0, 0, 0))
        groups[*key, None] = known[0] + jobs, known[1] + failed, known[2] + 1


def _least(known: Iterable[Months], first: int) -> int:
    """The number of jobs of the last of the first groups; 1 when there are fewer groups."""
    best = heapq.nlargest(first, chain.from_iterable(months.jobs.values() for months in known))
    return max(1, best[-1]) if len(best) == first else 1
