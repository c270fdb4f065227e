"""Jobs of Galaxy instances in the GraphQL schema."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import strawberry

import documents
import documents.galaxy.job
import resolvers.galaxy.job
import resolvers.galaxy.job_parameters
from documents.galaxy.generation import GenerationStatus
from graph.core.enums import describe_enum
from graph.core.node import Node
from graph.core.pagination import Connection
from graph.core.scalars import JSON, BigInt
from graph.core.view import argument, computed, lookup, one, root_connection, stored, view
from graph.core.where import (
    UNSET,
    Condition,
    DateTimeFilter,
    IDFilter,
    OrderDirection,
    StringFilter,
    field_filter,
    order_input,
    sort_key,
    where_input,
)
from resolvers.filters import Filter, InSubquery, all_of, equals
from resolvers.galaxy.job import datasets, metrics
from resolvers.galaxy.job_parameters import parameters
from resolvers.reads.order import Order
from resolvers.reads.relations import Children

if TYPE_CHECKING:
    from graph.galaxy.archive import Archive
    from graph.galaxy.instance import Instance

DatasetDirection = describe_enum(
    documents.galaxy.job.DatasetDirection,
    "The direction in which a job used a dataset.",
    INPUT="The job read the dataset.",
    OUTPUT="The job wrote the dataset.",
)


JobWhere = where_input(
    "Job",
    documents.Job,
    instance_id=Condition(IDFilter, "instance_ref", "Filter by the instance that ran the job."),
    tool_id=Condition(StringFilter, "tool_id", "Filter by the id of the tool that the job ran."),
    tool_version=Condition(StringFilter, "tool_version", "Filter by the version of the tool."),
    state=Condition(StringFilter, "state", "Filter by the job's final state, in the instance's own terms."),
    created_at=Condition(DateTimeFilter, "created_at", "Filter by the time when the job was created."),
    generation_id=Condition(
        strawberry.ID,
        "generation_ref",
        "Return jobs of this generation in place of those of the active generations. Below or and not, it selects "
        "among jobs of the active generations.",
        equals,
    ),
)
JobOrder = order_input(
    "Job",
    documents.Job,
    OrderDirection.DESC,
    CREATED_AT="created_at",
    EXTERNAL_ID="external_id",
    RUNTIME_SECONDS="runtime_seconds",
)

BY_EXTERNAL_ID = sort_key(documents.Job, "external_id")
"""The order of jobs unless another is asked for, supported by an index within each generation."""
JOBS_OF_GENERATION = Children(documents.Job, "instanceRef", Order.by(BY_EXTERNAL_ID), single_parent=True)
"""Jobs of one given generation, which belongs to one instance."""


def link_to_generation(where: Any) -> Children | None:
    """Return the link to an instance's jobs of a given generation, active or not; None when no generation is given."""
    return JOBS_OF_GENERATION if _required_values("generation_id", where) else None


def active_generations(where: Any) -> Filter:
    """Return the filter for the generations to search: the one that `where` names, or its instances' active ones."""
    filters: list[Filter] = [field_filter("instanceRef", id) for id in _required_values("instance_id", where)]
    if ids := _required_values("generation_id", where):
        filters += [{"_id": {"$in": ids}}, {"status": {"$ne": GenerationStatus.DISCARDED.value}}]
    else:
        filters.append({"status": GenerationStatus.ACTIVE.value})
    return {"generationRef": InSubquery(documents.Generation, all_of(filters), "_id")}


def _required_values(name: str, where: Any) -> list[Any]:
    """Return the values of an input field that every match must satisfy: at the top level, and under nested `and`."""
    if where is None or where is UNSET:
        return []
    nested = (value for condition in where.and_ or [] for value in _required_values(name, condition))
    return [value for value in (getattr(where, name), *nested) if value is not None and value is not UNSET]


@view(resolvers.galaxy.job.Metric)
class JobMetric:
    """A measurement of a job. Its text is exact where its number cannot be."""

    plugin: str = stored(description="Name of the plugin that took the measurement.")
    name: str = stored(description="Name of the measured quantity.")
    number: float | None = stored(
        description="The measured value as a number. Null when it is not a number, or too large for one."
    )
    text: str = stored(description="The measured value, exactly as in the report.")


@view(resolvers.galaxy.job_parameters.Parameter)
class JobParameter:
    """A parameter with which a job ran."""

    name: str = stored(description="The parameter's name.")
    value: JSON | None = stored(
        description="The parameter's value. Null unless you own the instance or are an administrator."
    )


@view(documents.galaxy.job.JobDataset)
class JobDataset:
    """A dataset that a job read or wrote."""

    external_id: BigInt = stored(description="The dataset's number on its instance.")
    direction: DatasetDirection = stored(description="Whether the job read or wrote the dataset.")  # type: ignore[valid-type]
    extension: str | None = stored(description="The dataset's file format, as a Galaxy extension. Null when unknown.")
    parameter_name: str | None = stored(
        description="Name of the job's parameter for which the dataset was given. Null when unknown."
    )
    size_bytes: BigInt | None = stored(description="The dataset's size in bytes. Null when unknown.")


@view(documents.Job)
class Job(Node):
    """A job that a Galaxy instance ran, as described by the latest report that contains it."""

    instance: "Instance" = one(documents.Instance, "instance_ref", description="The instance that ran the job.")
    archive: "Archive" = one(documents.Archive, "archive_ref", description="The archive from which the job was read.")
    external_id: BigInt = stored(
        description="The job's number on its instance, unique only together with the instance."
    )
    tool_id: str = stored(description="Id of the tool that the job ran.")
    tool_version: str | None = stored(description="Version of the tool that the job ran. Null when unknown.")
    state: str = stored(description="The job's final state, in the instance's own terms, such as ok or error.")
    created_at: datetime | None = stored(description="When the job was created. Null when unknown.")
    runtime_seconds: float | None = stored(description="The job's runtime in seconds. Null when it was not measured.")
    metrics: list[JobMetric] = computed(
        metrics,
        "metrics",
        arguments=[
            argument("plugin", str | None, description="Return only measurements by this plugin."),
            argument("names", list[str] | None, description="Return only measurements with these names."),
        ],
        description="Measurements of the job.",
    )
    datasets: list[JobDataset] = computed(
        datasets,
        "datasets",
        arguments=[
            argument(
                "direction",
                DatasetDirection | None,
                description="Return only datasets that the job read, or only those that it wrote.",
            )
        ],
        description="Datasets that the job read or wrote.",
    )
    parameters: list[JobParameter] = computed(
        parameters,
        "parameters",
        "instance_ref",
        description="The parameters with which the job ran. Their values are null unless you own the instance or are "
        "an administrator.",
    )


@view()
class JobQuery:
    job: Job | None = lookup(
        documents.Job,
        argument("id", strawberry.ID, description="The job's id."),
        description="The job with this id. Null when no such job exists or you may not see it.",
    )
    jobs: Connection[Job] = root_connection(
        documents.Job,
        BY_EXTERNAL_ID,
        where=JobWhere,
        order_by=JobOrder,
        scope=active_generations,
        description="Jobs of all instances that you may see, from the active generations unless where.generationId is "
        "given.",
    )
