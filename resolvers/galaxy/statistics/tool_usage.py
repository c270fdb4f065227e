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
from resolvers.galaxy.statistics.question import PERIODS, Key, Question, ToolUsageOrderField, UsageDimension
from resolvers.galaxy.statistics.runtimes import Distributions, distributions
from resolvers.galaxy.statistics.top_tools import is_by_month, most_used
from resolvers.reads.page import MAX_PAGE_SIZE
from resolvers.reads.rows import Row, collection_of
from resolvers.reads.semi_join import policy_filter
from resolvers.user_errors import InvalidInput

ASKED = "asked"
"""Key of a group's row that holds its query, for further fields of the group."""
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
class Wanted:
    """A selection of groups."""

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
        periods = [one for one in PERIODS if one in self.dimensions]
        if len(periods) > 1:
            raise InvalidInput(f"Group by {periods[0]} or {periods[1]}, not by both.", code="BAD_USER_INPUT")


@dataclass
class Answer:
    """The result of a usage query: keys by the ids of rows, and the counts of the groups with these keys.

    `known` has the runtimes, where they had to be computed for all groups.
    """

    question: Question
    shown: dict[str, Key] = field(default_factory=dict)
    groups: Groups = field(default_factory=dict)
    known: Distributions | None = None


async def usage_of_instances(instances: Sequence[Row], viewer: Viewer, wanted: Wanted) -> list[list[Row]]:
    """The selected groups of the jobs of each instance."""
    of_these = {"instanceRef": {"$in": sorted({one["_id"] for one in instances})}}
    generations = await _generations(viewer, all_of([wanted.generations, of_these]))
    found = await _answer(Question(wanted.filter, frozenset(wanted.dimensions), generations, generations), wanted)
    return [found.get(one["_id"], []) for one in instances]


async def usage_everywhere(viewer: Viewer, wanted: Wanted) -> list[Row]:
    """The selected groups of the jobs of all instances that the viewer may see."""
    generations = await _generations(viewer, wanted.generations)
    found = await _answer(Question(wanted.filter, frozenset(wanted.dimensions), generations), wanted)
    return found.get(None, [])


async def runtimes(rows: Sequence[Row], viewer: Viewer) -> list[Distribution | None]:
    """The runtimes of each group, None where none was measured. `rows` are of one result or of several."""
    answers: dict[int, Answer] = {id(row[ASKED]): row[ASKED] for row in rows}
    known: dict[int, Distributions] = {}
    for number, answer in answers.items():
        groups = {key: answer.groups[key] for row in rows if (key := answer.shown.get(row["_id"])) is not None}
        known[number] = answer.known if answer.known is not None else await distributions(answer.question, groups)
    return [known[id(row[ASKED])][row[ASKED].shown[row["_id"]]] for row in rows]


async def _generations(viewer: Viewer, filter: Filter) -> Mapping[str, str]:
    """The matching generations that the viewer may see, each with its instance."""
    match = all_of([filter, await policy_filter(documents.Generation, viewer)])
    found = collection_of(documents.Generation).find(match, {"instanceRef": 1})
    return {row["_id"]: row["instanceRef"] for row in await found.to_list()}


async def _answer(question: Question, wanted: Wanted) -> dict[Any, list[Row]]:
    """The rows of the selected groups of each slot."""
    groups = await _groups(question, wanted) if wanted.first else {}
    by_median = wanted.order is ToolUsageOrderField.RUNTIME_P50
    answer = Answer(question, known=await distributions(question, groups, all_of_them=True) if by_median else None)
    slots: dict[Any, Groups] = {None: groups}
    if question.slots:
        slots = {slot: {} for slot in set(question.slots.values())}
        for key, counts in groups.items():
            slots[key[0]][key] = counts
    return {slot: _rows(answer, some, _first(answer, some, wanted)) for slot, some in slots.items()}


async def _groups(question: Question, wanted: Wanted) -> Groups:
    """The groups, at least the selected ones."""
    if wanted.order is ToolUsageOrderField.JOBS and wanted.direction == DESCENDING and is_by_month(question):
        return await most_used(question, wanted.first)
    return await count(question)


def _first(answer: Answer, groups: Groups, wanted: Wanted) -> list[Key]:
    """The first groups in the requested order. Groups without a value come last."""
    values = _values(answer, groups, wanted.order)
    some = [value for value in values if value is not None] if None in values else values
    down, last = wanted.direction == DESCENDING, None
    if len(some) > wanted.first:
        # Most groups are excluded by one comparison each.
        last = (heapq.nlargest if down else heapq.nsmallest)(wanted.first, some)[-1]
    pairs = [
        (value, key)
        for value, key in zip(values, groups, strict=True)
        if value is not None and (last is None or (value >= last if down else value <= last))
    ]
    pairs.sort(key=lambda pair: _tie(pair[1]))
    pairs.sort(key=lambda pair: pair[0], reverse=down)
    found = [key for _, key in pairs[: wanted.first]]
    if len(some) < min(wanted.first, len(groups)):
        found += sorted((key for key, value in zip(groups, values, strict=True) if value is None), key=_tie)
    return found[: wanted.first]


def _values(answer: Answer, groups: Groups, order: ToolUsageOrderField) -> list[Any]:
    """The values by which groups are ordered, None where they have none."""
    question = answer.question
    match order:
        case ToolUsageOrderField.JOBS:
            return list(map(itemgetter(0), groups.values()))
        case ToolUsageOrderField.FAILED:
            return list(map(itemgetter(1), groups.values()))
        case ToolUsageOrderField.PERIOD_START:
            return [key[-1] if question.period else None for key in groups]
        case ToolUsageOrderField.TOOL:
            return [key[1] if UsageDimension.TOOL in question.dimensions else None for key in groups]
        case ToolUsageOrderField.RUNTIME_P50:
            known = answer.known or {}
            return [found["p50"] if (found := known.get(key)) else None for key in groups]


def _tie(key: Key) -> list[tuple[bool, Any]]:
    """The tie-breaker of groups with equal values: their keys, nulls last."""
    return [(value is None, value) for value in key[1:]]


def _rows(answer: Answer, groups: Groups, keys: list[Key]) -> list[Row]:
    question, stem = answer.question, str(ObjectId())
    rows = []
    for number, key in enumerate(keys):
        id = f"usage_{stem}_{number}"
        answer.shown[id] = key
        answer.groups[key] = groups[key]
        jobs, failed, instances = groups[key]
        row = dict.fromkeys(("tool_id", "tool_version", "instanceRef", "state"))
        row |= dict(zip(question.fields, key[1:], strict=False))
        counted = {"jobs": jobs, "failed": failed, "instances": instances}
        start = key[-1] if question.period else None
        rows.append({"_id": id, "period_start": start, ASKED: answer, **row, **counted})
    return rows
