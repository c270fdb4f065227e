"""Servers that upload their job logs, as clients see them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import strawberry
from strawberry.types import Info

import documents
from documents.generation import GenerationStatus
from documents.usage import UsageLevel
from graph.archive import ArchiveOrder, ArchiveWhere
from graph.connection import Connection
from graph.job import BY_NUMBER, JobOrder, JobWhere, another_generation
from graph.mutation import expected_revision, idempotency_key, mutation, optional, perform, refused, wanted
from graph.node import Node
from graph.tool_usage import tool_usage
from graph.user_errors import UserError
from graph.view import argument, every, found, listed, many, one, stored, view
from graph.where import BooleanFilter, By, StringFilter, condition, order_input, where_input
from resolvers.fetch import Row
from resolvers.filters import Among, Filter, all_of
from resolvers.instance import create_instance, hash_of, new_key, rotate_instance_key, update_instance

if TYPE_CHECKING:
    from graph.archive import Archive
    from graph.generation import Generation
    from graph.ingestion import Ingestion
    from graph.job import Job
    from graph.tool_usage import ToolUsage
    from graph.user import User


def _with_tool(path: str, asked: Any) -> Filter:
    """Instances whose active generation has jobs of such a tool, which usage counts."""
    active = {"generationRef": Among(documents.Generation, {"status": GenerationStatus.ACTIVE.value}, "_id")}
    counted = {"level": UsageLevel.TOOL.value, "jobs": {"$gt": 0}}
    match = all_of([active, counted, condition("tool_id", asked)])
    return {path: Among(documents.Usage, match, "generationRef", guarded=False)}


InstanceWhere = where_input(
    "Instance",
    documents.Instance,
    title=By(StringFilter, "title", "Its title."),
    url=By(StringFilter, "url", "Where it is."),
    public=By(BooleanFilter, "public", "Whether everybody may read it."),
    tool_id=By(StringFilter, "active_generation_ref", "A tool that it has run, by its active generation.", _with_tool),
)
InstanceOrder = order_input("Instance", documents.Instance, TITLE="title", CREATED_AT="created_at")


@view(documents.Instance)
class Instance(Node):
    """A server that uploads its job logs (a Galaxy)."""

    uuid: str = stored(description="What it calls itself when it uploads; unique.")
    url: str | None = stored(description="Where it is.")
    title: str | None = stored(description="Its title.")
    description: str | None = stored(description="What it is for.")
    public: bool = stored(description="Whether everybody may read it and what it uploads.")
    latitude: float | None = stored(description="Degrees north of the equator.")
    longitude: float | None = stored(description="Degrees east of Greenwich.")
    owners: list[User] = listed(documents.User, "owner_refs", description="Who may change it, and read it in any case.")
    archives: Connection[Archive] = many(
        documents.Archive,
        "instance_ref",
        where=ArchiveWhere,
        order_by=ArchiveOrder,
        description="Its reports as they were uploaded, oldest first.",
    )
    ingests: bool = stored(description="Whether a report is ingested as soon as it is uploaded.")
    ingestions: Connection[Ingestion] = many(
        documents.Ingestion, "instance_ref", description="Its ingestions, oldest first."
    )
    generations: Connection[Generation] = many(
        documents.Generation, "instance_ref", description="What was derived from its reports, oldest first."
    )
    active_generation: Generation | None = one(
        documents.Generation,
        "active_generation_ref",
        description="The one that every reader of jobs and usage sees, unless asked otherwise.",
    )
    jobs: Connection[Job] = many(
        documents.Job,
        "generation_ref",
        BY_NUMBER,
        of="active_generation_ref",
        follows=True,
        where=JobWhere,
        order_by=JobOrder,
        unless=another_generation,
        description="What it ran, as its active generation has it.",
    )
    tool_usage: list[ToolUsage] = tool_usage(
        description="How often tools were used on it, and for how long, by group: see the field of the same name of "
        "Query."
    )
    created_at: datetime = stored(description="When it was created.")
    updated_at: datetime = stored(description="When it last changed.")
    revision: int = stored(description="Rises by one with each change; for expectedRevision.")


@view()
class InstanceQuery:
    instance: Instance | None = found(
        documents.Instance,
        argument("id", strawberry.ID | None, description="Its id."),
        argument("uuid", str | None, description="Its UUID, in lower case."),
        description="The server with this id or this UUID.",
    )
    instances: Connection[Instance] = every(
        documents.Instance,
        where=InstanceWhere,
        order_by=InstanceOrder,
        description="All servers that upload their job logs and that you may see, oldest first.",
    )


@strawberry.input(description="A server that is going to upload its job logs.")
class CreateInstanceInput:
    idempotency_key: str | None = idempotency_key()
    uuid: str | None = optional("Its UUID, if it has one already; a new one when absent.")
    url: str = wanted("Where it is.")
    title: str = wanted("Its title.")
    description: str | None = optional("What it is for.")
    public: bool = wanted("Whether everybody may read it and what it uploads.", default=False)
    latitude: float | None = optional("Degrees north of the equator, -90 to 90.")
    longitude: float | None = optional("Degrees east of Greenwich, -180 to 180.")
    ingests: bool = wanted("Whether a report is ingested as soon as it is uploaded.", default=True)
    owner_ids: list[strawberry.ID] | None = optional(
        "Who may change it: the viewer, when absent. Only administrators leave themselves out."
    )


@strawberry.input(description="What to change of a server.")
class UpdateInstanceInput:
    id: strawberry.ID = wanted("Which server.")
    expected_revision: int | None = expected_revision()
    url: str | None = optional("Where it is from now on.")
    title: str | None = optional("Its title from now on.")
    description: str | None = optional("What it is for; null for nothing.")
    public: bool | None = optional("Whether everybody may read it from now on, and what it has uploaded.")
    latitude: float | None = optional("Degrees north of the equator; null when it is not known.")
    longitude: float | None = optional("Degrees east of Greenwich; null when it is not known.")
    ingests: bool | None = optional("Whether a report is ingested from now on as soon as it is uploaded.")
    owner_ids: list[strawberry.ID] | None = optional("Who may change it from now on; you must be among them.")


@strawberry.input(description="Which server needs another key.")
class RotateInstanceKeyInput:
    id: strawberry.ID = wanted("Which server.")


@strawberry.type(description="A server with a new key, or why there is none.")
class CreateInstancePayload:
    instance: Instance | None = strawberry.field(description="As it is now.", default=None)
    api_key: str | None = strawberry.field(
        description="Its key, shown this once and kept only as a hash. Null when a call is repeated: rotate it then.",
        default=None,
    )
    user_errors: list[UserError] = refused()


@strawberry.type(description="A server that was written, or why it was not.")
class InstancePayload:
    instance: Instance | None = strawberry.field(description="As it is now.", default=None)
    user_errors: list[UserError] = refused()


@strawberry.type
class InstanceMutation:
    @mutation("Let a server upload its job logs. The key in the answer is what it authorises itself with.")
    async def create_instance(self, info: Info, input: CreateInstanceInput) -> CreateInstancePayload:
        key = new_key()
        return await perform(info, _with_key(key), partial(create_instance, key=key), input)

    @mutation("Change an instance of your own.")
    async def update_instance(self, info: Info, input: UpdateInstanceInput) -> InstancePayload:
        return await perform(info, InstancePayload, update_instance, input)

    @mutation("Give an instance of your own another key. The one it had is worth nothing from then on.")
    async def rotate_instance_key(self, info: Info, input: RotateInstanceKeyInput) -> CreateInstancePayload:
        key = new_key()
        return await perform(info, _with_key(key), partial(rotate_instance_key, key=key), input)


def _with_key(key: str) -> Callable[..., CreateInstancePayload]:
    """A payload that shows the key when the instance has it: a repeated call finds the instance with an earlier one.

    The key stays out of the outcome, which is kept for as long as a call may be repeated.
    """

    def payload(user_errors: list[UserError], instance: Any = None) -> CreateInstancePayload:
        row: Row | None = instance
        shown = key if row is not None and row["keyHash"] == hash_of(key) else None
        return CreateInstancePayload(instance=instance, api_key=shown, user_errors=user_errors)

    return payload
