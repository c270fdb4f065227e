"""Usage queries: which jobs are counted, how they are grouped, and where that is stored."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any

from documents.galaxy.usage import UsageLevel
from resolvers.filters import Filter, all_of
from resolvers.galaxy.statistics.packed_columns import UNDATED
from resolvers.galaxy.statistics.time_window import SplitFilter, midnight, paths_in, split_filter
from resolvers.reads.rows import Row


class UsageDimension(StrEnum):
    """The dimensions by which jobs can be grouped."""

    TOOL = "TOOL"
    TOOL_VERSION = "TOOL_VERSION"
    INSTANCE = "INSTANCE"
    STATE = "STATE"
    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"


class ToolUsageOrderField(StrEnum):
    """The fields by which groups can be ordered."""

    JOBS = "JOBS"
    FAILED = "FAILED"
    RUNTIME_P50 = "RUNTIME_P50"
    PERIOD_START = "PERIOD_START"
    TOOL = "TOOL"


FIELDS = {
    UsageDimension.TOOL: "tool_id",
    UsageDimension.TOOL_VERSION: "tool_version",
    UsageDimension.INSTANCE: "instanceRef",
    UsageDimension.STATE: "state",
}
"""The stored field of each dimension, in jobs and counts."""
PERIODS = (UsageDimension.DAY, UsageDimension.WEEK, UsageDimension.MONTH)

Key = tuple[Any, ...]
"""The values of a group for the query's `fields`, and at the end the start of its period if groups are split by
periods. The first value is the slot that the group is in."""


@dataclass(frozen=True)
class UsageQuery:
    """The jobs to count, and the dimensions of their groups.

    `generations` are those that may be read, each with its instance; `slots` says which of several lists of groups each
    belongs in.
    """

    filter: Filter
    dimensions: frozenset[UsageDimension]
    generations: Mapping[str, str]
    slots: Mapping[str, Hashable] = field(default_factory=dict)

    @cached_property
    def filter_parts(self) -> SplitFilter:
        """The filter, split by what counts by day can answer."""
        return split_filter(self.filter)

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The dimensions besides periods, in the order of keys."""
        return tuple(field for dimension, field in FIELDS.items() if dimension in self.dimensions)

    @cached_property
    def period(self) -> UsageDimension | None:
        """The kind of periods by which groups are split."""
        return next((period for period in PERIODS if period in self.dimensions), None)

    @property
    def level(self) -> UsageLevel | None:
        """The least detailed level of counts that suffices; None where only daily usage of tools does."""
        needed, days = set(self.fields) | paths_in(self.filter_parts.rest), self.filter_parts.days
        is_timed = self.period is not None or (days is not None and days.is_bounded)
        if not needed & {"tool_id", "tool_version"}:
            return UsageLevel.YEAR
        if is_timed and not (self.period in (None, UsageDimension.MONTH) and days is not None and days.is_whole_months):
            return None
        return UsageLevel.STATE if needed & {"tool_version", "state"} else UsageLevel.TOOL

    def within(self, *filters: Filter) -> Filter:
        """A filter for counts and jobs, besides other conditions."""
        return all_of([{"generationRef": {"$in": sorted(self.generations)}}, *filters])

    def key(self, row: Row) -> Key:
        """The beginning of the key of a row's groups: all but the period."""
        return (self.slots.get(row["generationRef"]), *(row.get(name) for name in self.fields))

    def period_start(self, day: int) -> datetime | None:
        """The start of the period of a day."""
        if day == UNDATED:
            return None
        at = midnight(day)
        match self.period:
            case UsageDimension.WEEK:
                return at - timedelta(days=at.weekday())
            case UsageDimension.MONTH:
                return at.replace(day=1)
        return at

    def period_end(self, start: datetime) -> datetime:
        """The end of the period that begins then. Raises OverflowError at the end of the calendar."""
        match self.period:
            case UsageDimension.WEEK:
                return start + timedelta(days=7)
            case UsageDimension.MONTH:
                return (start + timedelta(days=31)).replace(day=1)
        return start + timedelta(days=1)
