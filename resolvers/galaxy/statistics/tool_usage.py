"""Usage of tools: how often they ran, and for how long, by any grouping of jobs."""

import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Any

from bson import ObjectId
from pydantic import Field

import documents
from documents.base import EmbeddedModel
from resolvers.access.viewer import Viewer
from resolvers.filters import Filter, all_of
from resolvers.galaxy.statistics.counts import Groups, count
from resolvers.galaxy.statistics.percentiles import Distribution
from resolvers.galaxy.statistics.runtimes import Distributions, distributions
from resolvers.galaxy.statistics.top_tools import is_by_month, top_groups
from resolvers.galaxy.statistics.usage_query import PERIODS, Key, ToolUsageOrderField, UsageDimension, UsageQuery
from resolvers.limits import MAX_PAGE_SIZE
from resolvers.reads.rows import Row, collection_of
from resolvers.reads.semi_join import policy_filter
from resolvers.user_errors import InvalidInput

RESULT = "usage_result"
"""Key of a group's row that holds its UsageResult, for further fields of the group."""
DESCENDING = -1


class ToolUsage(EmbeddedModel):
    """A group of jobs. Dimensions that are not grouped by are null."""

    tool_id: str | None
    tool_version: str | None
    instance_ref: str | None = Field(alias="instanceRef")
    state: str | None
    period_start: datetime | None
    jobs: int
    failed: int
    instances: int


@dataclass(frozen=True)
class UsageRequest:
    """The groups that a client asks for."""

    dimensions: Collection[UsageDimension] = (UsageDimension.TOOL,)
    first: int = 20
    order: ToolUsageOrderField = ToolUsageOrderField.JOBS
    direction: int = DESCENDING
    filter: Filter = field(default_factory=dict)
    generations: Filter = field(default_factory=dict)
    """A filter for the generations to read, of those that the viewer may see."""

    def __post_init__(self) -> None:
        if not 0 <= self.first <= MAX_PAGE_SIZE:
            raise InvalidInput(f"first must be between 0 and {MAX_PAGE_SIZE}, not {self.first}.", code="BAD_USER_INPUT")
        periods = [period for period in PERIODS if period in self.dimensions]
        if len(periods) > 1:
            raise InvalidInput(f"Group by {periods[0]} or {periods[1]}, not by both.", code="BAD_USER_INPUT")


@dataclass
class UsageResult:
    """The result of a usage query: the keys of groups by the ids of rows, and the counts of these groups.

    `distributions` has the runtimes, where they had to be computed for all groups.
    """

    query: UsageQuery
    keys_by_row_id: dict[str, Key] = field(default_factory=dict)
    groups: Groups = field(default_factory=dict)
    distributions: Distributions | None = None


async def usage_of_instances(instances: Sequence[Row], viewer: Viewer, request: UsageRequest) -> list[list[Row]]:
    """The selected groups of the jobs of each instance."""
    match = {"instanceRef": {"$in": sorted({instance["_id"] for instance in instances})}}
    generations = await _generations(viewer, all_of([request.generations, match]))
    query = UsageQuery(request.filter, frozenset(request.dimensions), generations, generations)
    rows = await _rows_by_slot(query, request)
    return [rows.get(instance["_id"], []) for instance in instances]


async def usage_everywhere(viewer: Viewer, request: UsageRequest) -> list[Row]:
    """The selected groups of the jobs of all instances that the viewer may see."""
    generations = await _generations(viewer, request.generations)
    rows = await _rows_by_slot(UsageQuery(request.filter, frozenset(request.dimensions), generations), request)
    return rows.get(None, [])


async def runtimes(rows: Sequence[Row], viewer: Viewer) -> list[Distribution | None]:
    """The runtimes of each group, None where none was measured. `rows` are of one result or of several."""
    results: dict[int, UsageResult] = {id(row[RESULT]): row[RESULT] for row in rows}
    runtimes_of: dict[int, Distributions] = {}
    for number, result in results.items():
        groups = {key: result.groups[key] for row in rows if (key := result.keys_by_row_id.get(row["_id"])) is not None}
        if result.distributions is not None:
            runtimes_of[number] = result.distributions
        else:
            runtimes_of[number] = await distributions(result.query, groups)
    return [runtimes_of[id(row[RESULT])][row[RESULT].keys_by_row_id[row["_id"]]] for row in rows]


async def _generations(viewer: Viewer, filter: Filter) -> Mapping[str, str]:
    """The matching generations that the viewer may see, each with its instance."""
    match = all_of([filter, await policy_filter(documents.Generation, viewer)])
    rows = collection_of(documents.Generation).find(match, {"instanceRef": 1})
    return {row["_id"]: row["instanceRef"] for row in await rows.to_list()}


async def _rows_by_slot(query: UsageQuery, request: UsageRequest) -> dict[Any, list[Row]]:
    """The rows of the selected groups of each slot."""
    groups = await _groups(query, request) if request.first else {}
    by_median = request.order is ToolUsageOrderField.RUNTIME_P50
    result = UsageResult(
        query, distributions=await distributions(query, groups, all_of_them=True) if by_median else None
    )
    slots: dict[Any, Groups] = {None: groups}
    if query.slots:
        slots = {slot: {} for slot in set(query.slots.values())}
        for key, counts in groups.items():
            slots[key[0]][key] = counts
    return {slot: _rows(result, groups, _first(result, groups, request)) for slot, groups in slots.items()}


async def _groups(query: UsageQuery, request: UsageRequest) -> Groups:
    """The groups, at least the selected ones."""
    if request.order is ToolUsageOrderField.JOBS and request.direction == DESCENDING and is_by_month(query):
        return await top_groups(query, request.first)
    return await count(query)


def _first(result: UsageResult, groups: Groups, request: UsageRequest) -> list[Key]:
    """The first groups in the requested order. Groups without a value come last."""
    values = _values(result, groups, request.order)
    present = [value for value in values if value is not None] if None in values else values
    is_descending, last = request.direction == DESCENDING, None
    if len(present) > request.first:
        # Most groups are excluded by one comparison each.
        last = (heapq.nlargest if is_descending else heapq.nsmallest)(request.first, present)[-1]
    pairs = [
        (value, key)
        for value, key in zip(values, groups, strict=True)
        if value is not None and (last is None or (value >= last if is_descending else value <= last))
    ]
    pairs.sort(key=lambda pair: _tie_breaker(pair[1]))
    pairs.sort(key=lambda pair: pair[0], reverse=is_descending)
    keys = [key for _, key in pairs[: request.first]]
    if len(present) < min(request.first, len(groups)):
        keys += sorted((key for key, value in zip(groups, values, strict=True) if value is None), key=_tie_breaker)
    return keys[: request.first]


def _values(result: UsageResult, groups: Groups, order: ToolUsageOrderField) -> list[Any]:
    """The values by which groups are ordered, None where they have none."""
    query = result.query
    match order:
        case ToolUsageOrderField.JOBS:
            return list(map(itemgetter(0), groups.values()))
        case ToolUsageOrderField.FAILED:
            return list(map(itemgetter(1), groups.values()))
        case ToolUsageOrderField.PERIOD_START:
            return [key[-1] if query.period else None for key in groups]
        case ToolUsageOrderField.TOOL:
            return [key[1] if UsageDimension.TOOL in query.dimensions else None for key in groups]
        case ToolUsageOrderField.RUNTIME_P50:
            runtimes_of = result.distributions or {}
            return [runtimes["p50"] if (runtimes := runtimes_of.get(key)) else None for key in groups]


def _tie_breaker(key: Key) -> list[tuple[bool, Any]]:
    """The tie-breaker of groups with equal values: their keys, nulls last."""
    return [(value is None, value) for value in key[1:]]


def _rows(result: UsageResult, groups: Groups, keys: list[Key]) -> list[Row]:
    query, stem = result.query, str(ObjectId())
    rows = []
    for number, key in enumerate(keys):
        id = f"usage_{stem}_{number}"
        result.keys_by_row_id[id] = key
        result.groups[key] = groups[key]
        jobs, failed, instances = groups[key]
        row = dict.fromkeys(("tool_id", "tool_version", "instanceRef", "state"))
        row |= dict(zip(query.fields, key[1:], strict=False))
        counts = {"jobs": jobs, "failed": failed, "instances": instances}
        start = key[-1] if query.period else None
        rows.append({"_id": id, "period_start": start, RESULT: result, **row, **counts})
    return rows
