"""How often tools were used, and for how long, by whatever tells groups of jobs apart."""

import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bson import ObjectId
from pydantic import Field

import documents
from documents.base import Embedded
from resolvers import fetch
from resolvers.fetch import Row
from resolvers.filters import Filter, all_of
from resolvers.page import LARGEST_SIZE
from resolvers.refusals import InvalidInput
from resolvers.runtimes import Distribution
from resolvers.usage_counts import Group, count
from resolvers.usage_question import PERIODS, Question, ToolUsageOrderField, UsageDimension
from resolvers.usage_runtimes import Distributions, distributions
from resolvers.viewer import Viewer

ASKED = "asked"
"""Where the row of a group keeps what was asked, for whatever is asked of it besides."""
DESCENDING = -1


class ToolUsage(Embedded):
    """A group of jobs. What is not told apart is null."""

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
    """Which groups are wanted, of all that there are."""

    dimensions: Collection[UsageDimension] = (UsageDimension.TOOL,)
    first: int = 20
    order: ToolUsageOrderField = ToolUsageOrderField.JOBS
    direction: int = DESCENDING
    filter: Filter = field(default_factory=dict)
    generations: Filter = field(default_factory=dict)
    """Which generations are looked at, of those that the viewer may see."""

    def __post_init__(self) -> None:
        if not 0 <= self.first <= LARGEST_SIZE:
            raise InvalidInput(f"first must be between 0 and {LARGEST_SIZE}, not {self.first}.", code="BAD_USER_INPUT")
        periods = [one for one in PERIODS if one in self.dimensions]
        if len(periods) > 1:
            raise InvalidInput(f"Group by {periods[0]} or {periods[1]}, not by both.", code="BAD_USER_INPUT")


@dataclass
class Answer:
    """The groups that answer a question, and how long their jobs ran where that is known already."""

    question: Question
    groups: dict[str, Group]
    known: Distributions | None = None


async def usage_of_instances(instances: Sequence[Row], viewer: Viewer, wanted: Wanted) -> list[list[Row]]:
    """The wanted groups of the jobs of each instance."""
    of_these = {"instanceRef": {"$in": sorted({one["_id"] for one in instances})}}
    generations = await _generations(viewer, all_of([wanted.generations, of_these]))
    found = await _answer(Question(wanted.filter, frozenset(wanted.dimensions), generations, generations), wanted)
    return [found.get(one["_id"], []) for one in instances]


async def usage_everywhere(viewer: Viewer, wanted: Wanted) -> list[Row]:
    """The wanted groups of the jobs of all instances that the viewer may see."""
    generations = await _generations(viewer, wanted.generations)
    found = await _answer(Question(wanted.filter, frozenset(wanted.dimensions), generations), wanted)
    return found.get(None, [])


async def runtimes(rows: Sequence[Row], viewer: Viewer) -> list[Distribution | None]:
    """How long the jobs of each group ran, None where nobody measured. `rows` are of one answer or of several."""
    answers = {id(row[ASKED]): row[ASKED] for row in rows}
    known: dict[int, Distributions] = {}
    for number, answer in answers.items():
        shown = [row[ASKED].groups[row["_id"]] for row in rows if row[ASKED] is answer]
        known[number] = answer.known if answer.known is not None else await distributions(answer.question, shown)
    return [known[id(row[ASKED])][row[ASKED].groups[row["_id"]].key] for row in rows]


async def _generations(viewer: Viewer, filter: Filter) -> Mapping[str, str]:
    """The generations that match and that the viewer may see, each with its instance."""
    match = all_of([filter, await fetch.allowed(documents.Generation, viewer)])
    found = fetch.collection_of(documents.Generation).find(match, {"instanceRef": 1})
    return {row["_id"]: row["instanceRef"] for row in await found.to_list()}


async def _answer(question: Question, wanted: Wanted) -> dict[Any, list[Row]]:
    """The rows of the wanted groups of each slot."""
    groups = await count(question) if wanted.first else []
    by_median = wanted.order is ToolUsageOrderField.RUNTIME_P50
    answer = Answer(question, {}, await distributions(question, groups, all_of_them=True) if by_median else None)
    slots: dict[Any, list[Group]] = {}
    for group in groups:
        slots.setdefault(group.key[0], []).append(group)
    return {slot: _rows(answer, _first(answer, some, wanted)) for slot, some in slots.items()}


def _first(answer: Answer, groups: list[Group], wanted: Wanted) -> list[Group]:
    """The first of the groups, in the order that is wanted. What has no value comes last."""
    values = [_value(answer, group, wanted.order) for group in groups]
    pairs = [(value, group) for value, group in zip(values, groups, strict=True) if value is not None]
    down = wanted.direction == DESCENDING
    if len(pairs) > wanted.first:
        # Most groups are left out by one comparison each.
        outermost = heapq.nlargest if down else heapq.nsmallest
        last = outermost(wanted.first, [value for value, _ in pairs])[-1]
        pairs = [pair for pair in pairs if pair[0] == last or (pair[0] > last) == down]
    pairs.sort(key=lambda pair: _tie(pair[1]))
    pairs.sort(key=lambda pair: pair[0], reverse=down)
    found = [group for _, group in pairs]
    if len(found) < wanted.first:
        found += sorted((group for value, group in zip(values, groups, strict=True) if value is None), key=_tie)
    return found[: wanted.first]


def _value(answer: Answer, group: Group, order: ToolUsageOrderField) -> Any:
    match order:
        case ToolUsageOrderField.JOBS:
            return group.jobs
        case ToolUsageOrderField.FAILED:
            return group.failed
        case ToolUsageOrderField.PERIOD_START:
            return group.key[-1] if answer.question.period else None
        case ToolUsageOrderField.TOOL:
            return group.key[1] if UsageDimension.TOOL in answer.question.dimensions else None
        case ToolUsageOrderField.RUNTIME_P50:
            known = (answer.known or {}).get(group.key)
            return known and known["p50"]


def _tie(group: Group) -> list[tuple[bool, Any]]:
    """What equal groups are ordered by: what tells them apart, nulls last."""
    return [(value is None, value) for value in group.key[1:]]


def _rows(answer: Answer, groups: list[Group]) -> list[Row]:
    question, stem = answer.question, str(ObjectId())
    rows = []
    for number, group in enumerate(groups):
        said = dict(zip(question.fields, group.key[1:], strict=False))
        row = dict.fromkeys(("tool_id", "tool_version", "instanceRef", "state", "period_start")) | said
        id = f"usage_{stem}_{number}"
        answer.groups[id] = group
        rows.append(
            row
            | {
                "_id": id,
                "period_start": group.key[-1] if question.period else None,
                "jobs": group.jobs,
                "failed": group.failed,
                "instances": group.instances,
                ASKED: answer,
            }
        )
    return rows
