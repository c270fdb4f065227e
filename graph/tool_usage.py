"""How often tools were used, and for how long, as clients see it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import strawberry

import documents
from graph.enums import described
from graph.job import JobWhere, active_generations
from graph.scalars import BigInt
from graph.view import argument, computed, one, stored, view
from graph.where import UNSET, OrderDirection
from resolvers import runtimes, usage
from resolvers.fetch import Row
from resolvers.usage import Wanted, usage_everywhere, usage_of_instances
from resolvers.usage_question import ToolUsageOrderField as OrderField
from resolvers.usage_question import UsageDimension as Dimension
from resolvers.viewer import Viewer

if TYPE_CHECKING:
    from graph.instance import Instance

UsageDimension = described(
    Dimension,
    "What tells groups of jobs apart. Of DAY, WEEK and MONTH at most one is taken.",
    TOOL="The tool that they ran.",
    TOOL_VERSION="The version of the tool. Tools are not told apart by it: ask for TOOL as well.",
    INSTANCE="The server that ran them.",
    STATE="How they ended, in the words of the server.",
    DAY="The day on which they were created, in UTC.",
    WEEK="The week in which they were created, from Monday to Sunday, in UTC.",
    MONTH="The month in which they were created, in UTC.",
)
ToolUsageOrderField = described(
    OrderField,
    "What groups of jobs can be ordered by. Equal ones are ordered by what tells them apart.",
    JOBS="By how many jobs they are.",
    FAILED="By how many of them failed.",
    RUNTIME_P50="By how long the median job ran; the runtimes of all groups are looked at for that.",
    PERIOD_START="By time, when grouped by DAY, WEEK or MONTH.",
    TOOL="By the tool's id, when grouped by TOOL.",
)


@strawberry.input(description="An order for groups of jobs.")
class ToolUsageOrder:
    field: ToolUsageOrderField = strawberry.field(description="What to order by.")  # type: ignore[valid-type]
    direction: OrderDirection = strawberry.field(default=OrderDirection.DESC, description="In which direction.")


@view(runtimes.HistogramBin)
class HistogramBin:
    """A range of runtimes in seconds, and how many jobs ran so long."""

    from_: float = stored("from_", name="from", description="The shortest runtime that counts here.")
    to: float = stored(description="Where the next bin begins; of the last bin, the longest runtime that counts here.")
    count: BigInt = stored(description="How many jobs.")


@view(runtimes.RuntimeDistribution)
class RuntimeDistribution:
    """How long jobs ran, in seconds, as far as it was measured (core/runtime_seconds).

    Up to 2,000 measurements in one answer are looked at one by one; of more, a sketch (DDSketch) that was made
    when they were ingested tells, and relativeError says how far it may be off.
    """

    p50: float = stored(description="The median: half of the jobs took no longer. Interpolated between two jobs.")
    p90: float = stored(description="Nine of ten jobs took no longer.")
    p99: float = stored(description="99 of 100 jobs took no longer.")
    max: float = stored(description="The longest.")
    samples: BigInt = stored(description="How many jobs were measured.")
    relative_error: float = stored(
        description="How far p50, p90, p99 and max may be off, as a share of them: 0 when they are exact."
    )
    histogram: list[HistogramBin] = stored(
        description="Ten equal bins from the shortest to the longest. All runtimes equal: from half a second less to "
        "half a second more."
    )


@view(usage.ToolUsage)
class ToolUsage:
    """Jobs that are alike in what they are grouped by, counted. What they are not grouped by is null."""

    tool_id: str | None = stored(description="The tool that they ran.")
    tool_version: str | None = stored(description="The version of the tool; null also where reports tell none.")
    instance: Instance | None = one(documents.Instance, "instance_ref", description="The server that ran them.")
    state: str | None = stored(description="How they ended, in the words of the server: ok, error …")
    period_start: datetime | None = stored(
        description="When the day, the week or the month began in which they were created; null also for jobs without "
        "a time."
    )
    jobs: BigInt = stored(description="How many they are.")
    failed: BigInt = stored(description="How many of them failed: their state is error or failed.")
    instances: int = stored(description="How many servers ran them.")
    runtime_seconds: RuntimeDistribution | None = computed(
        usage.runtimes, description="How long they ran; null when nobody measured."
    )


async def _everywhere(parents: list[Row], viewer: Viewer, **arguments: Any) -> list[list[Row]]:
    found = await usage_everywhere(viewer, _wanted(**arguments))
    return [found for _ in parents]


async def _of_instances(parents: list[Row], viewer: Viewer, **arguments: Any) -> list[list[Row]]:
    return await usage_of_instances(parents, viewer, _wanted(**arguments))


def _wanted(where: Any = None, group_by: Any = None, first: int | None = None, order_by: Any = None) -> Wanted:
    given = None if where is UNSET else where
    wanted = Wanted(
        filter=JobWhere.to_filter(given) if given else {},
        generations=active_generations(given)["generationRef"].filter,
    )
    if group_by is not None and group_by is not UNSET:
        wanted = replace(wanted, dimensions=tuple(group_by))
    if order_by is not None and order_by is not UNSET:
        wanted = replace(wanted, order=OrderField(order_by.field), direction=order_by.direction.value)
    return wanted if first is None or first is UNSET else replace(wanted, first=first)


def tool_usage(*, everywhere: bool = False, description: str) -> Any:
    """The field that counts jobs by group: those of each parent, which is an instance, or those of all instances."""
    arguments = [
        argument("where", JobWhere.type | None, description="Only jobs that match."),
        argument(
            "group_by",
            list[UsageDimension],  # type: ignore[valid-type]
            description="What tells groups apart. An empty list makes one group of all jobs.",
            default=[Dimension.TOOL],
        ),
        argument("first", int | None, description="How many groups: 100 at most.", default=20),
        argument(
            "order_by",
            ToolUsageOrder | None,
            description="In which order; those with the most jobs first when absent.",
        ),
    ]
    return computed(_everywhere if everywhere else _of_instances, arguments=arguments, description=description)


@view()
class ToolUsageQuery:
    tool_usage: list[ToolUsage] = tool_usage(
        everywhere=True,
        description="How often tools were used, and for how long: jobs of all servers that you may see, by group. "
        "Counts are made when reports are ingested; jobs themselves are looked at for windows that begin or end within "
        "a day, and for times below or and not, which takes longer.",
    )
