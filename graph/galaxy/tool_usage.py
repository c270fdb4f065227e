"""Tool usage in the GraphQL schema: counts and runtimes of jobs by group."""

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import strawberry

import documents
from graph.core.enums import describe_enum
from graph.core.scalars import BigInt
from graph.core.view import argument, computed, one, stored, view
from graph.core.where import UNSET, OrderDirection
from graph.galaxy.job import JobWhere, active_generations
from resolvers.access.viewer import Viewer
from resolvers.galaxy.statistics import percentiles
from resolvers.galaxy.statistics import tool_usage as usage
from resolvers.galaxy.statistics.tool_usage import UsageRequest, usage_everywhere, usage_of_instances
from resolvers.galaxy.statistics.usage_query import ToolUsageOrderField as OrderField
from resolvers.galaxy.statistics.usage_query import UsageDimension as Dimension
from resolvers.reads.rows import Row

if TYPE_CHECKING:
    from graph.galaxy.instance import Instance

UsageDimension = describe_enum(
    Dimension,
    "A property by which jobs are grouped. At most one of DAY, WEEK and MONTH can be used at a time.",
    TOOL="Group by the tool that the jobs ran.",
    TOOL_VERSION="Group by the version of the tool. Equal versions of different tools form one group unless TOOL is "
    "given as well.",
    INSTANCE="Group by the instance that ran the jobs.",
    STATE="Group by the jobs' final state, in the instance's own terms.",
    DAY="Group by the day on which the jobs were created, in UTC.",
    WEEK="Group by the week in which the jobs were created, from Monday to Sunday, in UTC.",
    MONTH="Group by the month in which the jobs were created, in UTC.",
)
ToolUsageOrderField = describe_enum(
    OrderField,
    "The fields by which groups of jobs can be ordered. Ties are ordered by the properties that define the groups.",
    JOBS="Order by the number of jobs.",
    FAILED="Order by the number of failed jobs.",
    RUNTIME_P50="Order by the median runtime, for which the runtimes of all groups are read.",
    PERIOD_START="Order by the beginning of the period, when grouped by DAY, WEEK or MONTH.",
    TOOL="Order by the tool's id, when grouped by TOOL.",
)


@strawberry.input(description="A sort key for groups of jobs.")
class ToolUsageOrder:
    field: ToolUsageOrderField = strawberry.field(description="The field to order by.")  # type: ignore[valid-type]
    direction: OrderDirection = strawberry.field(default=OrderDirection.DESC, description="The sort direction.")


@view(percentiles.HistogramBin)
class HistogramBin:
    """A range of runtimes in seconds, and the number of jobs within it."""

    from_: float = stored("from_", name="from", description="The shortest runtime of the range, in seconds; included.")
    to: float = stored(description="The longest runtime of the range, in seconds; excluded, except in the last range.")
    count: BigInt = stored(description="Number of jobs within the range.")


@view(percentiles.RuntimeDistribution)
class RuntimeDistribution:
    """The distribution of the measured runtimes of jobs, in seconds (core/runtime_seconds).

    Up to 2,000 measurements in one answer are evaluated exactly. Beyond that, the distribution comes from a sketch
    (DDSketch) made during ingestion, and relativeError bounds its error.
    """

    p50: float = stored(
        description="The median runtime in seconds: half of the jobs took no longer. Interpolated between two jobs."
    )
    p90: float = stored(description="The 90th percentile of the runtimes in seconds: 90 % of the jobs took no longer.")
    p99: float = stored(description="The 99th percentile of the runtimes in seconds: 99 % of the jobs took no longer.")
    max: float = stored(description="The longest runtime in seconds.")
    samples: BigInt = stored(description="Number of jobs whose runtime was measured.")
    relative_error: float = stored(
        description="The largest relative error of p50, p90, p99 and max, as a fraction; 0 when they are exact."
    )
    histogram: list[HistogramBin] = stored(
        description="Histogram of the runtimes in ten ranges of equal width, from the shortest to the longest. If all "
        "runtimes are equal, it spans from half a second below to half a second above."
    )


@view(usage.ToolUsage)
class ToolUsage:
    """Counts of a group of jobs that share the properties they are grouped by. Properties that are not grouped by are
    null.
    """

    tool_id: str | None = stored(description="Id of the tool that the jobs ran. Null unless grouped by TOOL.")
    tool_version: str | None = stored(
        description="Version of the tool that the jobs ran. Null unless grouped by TOOL_VERSION, and when reports "
        "give no version."
    )
    instance: "Instance | None" = one(
        documents.Instance,
        "instance_ref",
        description="The instance that ran the jobs. Null unless grouped by INSTANCE.",
    )
    state: str | None = stored(
        description="The jobs' final state, in the instance's own terms, such as ok or error. Null unless grouped by "
        "STATE."
    )
    period_start: datetime | None = stored(
        description="The beginning of the day, week or month in which the jobs were created. Null unless grouped by "
        "DAY, WEEK or MONTH, and for jobs without a creation time."
    )
    jobs: BigInt = stored(description="Number of jobs in the group.")
    failed: BigInt = stored(description="Number of failed jobs in the group, whose state is error or failed.")
    instances: int = stored(description="Number of instances that ran jobs of the group.")
    runtime_seconds: RuntimeDistribution | None = computed(
        usage.runtimes, description="The distribution of the jobs' runtimes. Null when none was measured."
    )


async def _usage_everywhere(parents: list[Row], viewer: Viewer, **arguments: Any) -> list[list[Row]]:
    groups = await usage_everywhere(viewer, _usage_request(arguments))
    return [groups for _ in parents]


async def _usage_of_instances(parents: list[Row], viewer: Viewer, **arguments: Any) -> list[list[Row]]:
    return await usage_of_instances(parents, viewer, _usage_request(arguments))


def _usage_request(arguments: dict[str, Any]) -> UsageRequest:
    """The request that a client's arguments describe: those that are null or left out have the request's defaults."""
    given = {name: value for name, value in arguments.items() if value is not None and value is not UNSET}
    where = given.get("where")
    request = UsageRequest(
        filter=JobWhere.to_filter(where) if where else {},
        generations=active_generations(where)["generationRef"].filter,
    )
    if "group_by" in given:
        request = replace(request, dimensions=tuple(given["group_by"]))
    if "order_by" in given:
        order = given["order_by"]
        request = replace(request, order=OrderField(order.field), direction=order.direction.value)
    return replace(request, first=given["first"]) if "first" in given else request


def tool_usage(*, everywhere: bool = False, description: str) -> Any:
    """Declare the field that counts jobs by group: those of each parent instance, or those of all instances."""
    arguments = [
        argument("where", JobWhere.type | None, description="Count only jobs that match these conditions."),
        argument(
            "group_by",
            list[UsageDimension],  # type: ignore[valid-type]
            description="The properties by which to group the jobs. An empty list makes one group of all jobs.",
            default=[Dimension.TOOL],
        ),
        argument("first", int | None, description="Number of groups to return, at most 100.", default=20),
        argument(
            "order_by",
            ToolUsageOrder | None,
            description="The order of the groups. Defaults to those with the most jobs first.",
        ),
    ]
    return computed(
        _usage_everywhere if everywhere else _usage_of_instances, arguments=arguments, description=description
    )


@view()
class ToolUsageQuery:
    tool_usage: list[ToolUsage] = tool_usage(
        everywhere=True,
        description="Counts and runtimes of the jobs of all instances that you may see, by group, such as the number "
        "of jobs of each tool. Counts are precomputed during ingestion. Single jobs are read, which takes longer, for "
        "time windows that begin or end within a day, and for times below or and not.",
    )
