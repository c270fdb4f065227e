"""Jobs that servers ran, as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import strawberry

import documents
import documents.job
import resolvers.job
from documents.generation import GenerationStatus
from graph.connection import Connection
from graph.enums import described
from graph.node import Node
from graph.scalars import JSON, BigInt
from graph.view import argument, computed, every, one, stored, view
from graph.where import (
    UNSET,
    By,
    DateTimeFilter,
    IDFilter,
    OrderDirection,
    StringFilter,
    condition,
    order_input,
    sort_key,
    where_input,
)
from resolvers.filters import Among, Filter, all_of, equals
from resolvers.job import datasets, metrics, parameters
from resolvers.links import Many
from resolvers.order import Order

if TYPE_CHECKING:
    from graph.archive import Archive
    from graph.instance import Instance

DatasetDirection = described(
    documents.job.DatasetDirection,
    "What a job did with a dataset.",
    INPUT="It read the dataset.",
    OUTPUT="It wrote the dataset.",
)


JobWhere = where_input(
    "Job",
    documents.Job,
    instance_id=By(IDFilter, "instance_ref", "The server that ran it."),
    tool_id=By(StringFilter, "tool_id", "The tool that it ran."),
    tool_version=By(StringFilter, "tool_version", "The version of the tool."),
    state=By(StringFilter, "state", "How it ended, in the words of the server."),
    created_at=By(DateTimeFilter, "created_at", "When it was created."),
    generation_id=By(
        strawberry.ID,
        "generation_ref",
        "Jobs of this generation instead of those of active ones. Below or and not it selects among the active.",
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

BY_NUMBER = sort_key(documents.Job, "external_id")
"""The order of jobs unless another is asked for: an index has them so within each generation."""
OF_ONE_GENERATION = Many(documents.Job, "instanceRef", Order.by(BY_NUMBER), alone=True)
"""Jobs of an instance in a generation that is named, which belongs to one instance."""


def another_generation(where: Any) -> Many | None:
    """The link to an instance's jobs where those of one generation are asked for, which need not be the active one."""
    return OF_ONE_GENERATION if _said("generation_id", where) else None


def active_generations(where: Any) -> Filter:
    """Where jobs are looked for: in the active generations of the instances that `where` names, or in the one."""
    wanted: list[Filter] = [condition("instanceRef", one) for one in _said("instance_id", where)]
    if named := _said("generation_id", where):
        wanted += [{"_id": {"$in": named}}, {"status": {"$ne": GenerationStatus.DISCARDED.value}}]
    else:
        wanted.append({"status": GenerationStatus.ACTIVE.value})
    return {"generationRef": Among(documents.Generation, all_of(wanted), "_id")}


def _said(name: str, where: Any) -> list[Any]:
    """What must hold of a field in any case: the conditions at the top, and in `and` below it."""
    if where is None or where is UNSET:
        return []
    found = [getattr(where, name), *(one for both in where.and_ or [] for one in _said(name, both))]
    return [one for one in found if one is not None and one is not UNSET]


@view(resolvers.job.Metric)
class JobMetric:
    """A measurement of a job. text is exact where number cannot be."""

    plugin: str = stored(description="What measured it.")
    name: str = stored(description="What was measured.")
    number: float | None = stored(description="What it came to; null when that is no number, or too large a one.")
    text: str = stored(description="What it came to, exactly as the report has it.")


@view(resolvers.job.Parameter)
class JobParameter:
    """A parameter that a job was run with."""

    name: str = stored(description="Its name.")
    value: JSON | None = stored(description="What it was; null unless you own the instance.")


@view(documents.job.JobDataset)
class JobDataset:
    """A dataset that a job read or wrote."""

    external_id: BigInt = stored(description="Its number on the server.")
    direction: DatasetDirection = stored(description="Whether the job read it or wrote it.")  # type: ignore[valid-type]
    extension: str | None = stored(description="The format it is in.")
    parameter_name: str | None = stored(description="The job's parameter that it was given as.")
    size_bytes: BigInt | None = stored(description="Its size; null where that is unknown.")


@view(documents.Job)
class Job(Node):
    """A job that a server ran, as its latest report tells of it."""

    instance: Instance = one(documents.Instance, "instance_ref", description="The server that ran it.")
    archive: Archive = one(documents.Archive, "archive_ref", description="The report that it was read from.")
    external_id: BigInt = stored(
        description="The job's number on its own server; unique only together with the instance."
    )
    tool_id: str = stored(description="The tool that it ran.")
    tool_version: str | None = stored(description="The version of the tool.")
    state: str = stored(description="How it ended, in the words of the server: ok, error …")
    created_at: datetime | None = stored(description="When it was created.")
    runtime_seconds: float | None = stored(description="How long it ran; null when nobody measured.")
    metrics: list[JobMetric] = computed(
        metrics,
        "metrics",
        arguments=[
            argument("plugin", str | None, description="Only what this plugin measured."),
            argument("names", list[str] | None, description="Only measurements with these names."),
        ],
        description="What was measured of it.",
    )
    datasets: list[JobDataset] = computed(
        datasets,
        "datasets",
        arguments=[
            argument(
                "direction",
                DatasetDirection | None,
                description="Only what it read, or only what it wrote.",
            )
        ],
        description="What it read and wrote.",
    )
    parameters: list[JobParameter] = computed(
        parameters,
        "parameters",
        "instance_ref",
        description="What it was run with. Redacted unless the viewer owns the instance.",
    )


@view()
class JobQuery:
    jobs: Connection[Job] = every(
        documents.Job,
        BY_NUMBER,
        where=JobWhere,
        order_by=JobOrder,
        scope=active_generations,
        description="Jobs of all servers that you may see, as their active generations have them.",
    )
