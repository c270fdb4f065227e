"""Galaxy instances in the GraphQL schema: servers that upload reports of their jobs."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import strawberry
from strawberry.types import Info

import documents
from documents.galaxy.generation import GenerationStatus
from documents.galaxy.usage import UsageLevel
from graph.core.mutation import (
    expected_revision,
    idempotency_key,
    mutation,
    optional,
    or_none,
    required,
    run_mutation,
    user_errors_field,
    without_unset,
)
from graph.core.node import Node
from graph.core.pagination import Connection
from graph.core.user_error_types import UserError
from graph.core.view import argument, connection, lookup, many_by_ids, one, root_connection, stored, view
from graph.core.where import (
    BooleanFilter,
    Condition,
    StringFilter,
    element_filter,
    field_filter,
    order_input,
    where_input,
)
from graph.galaxy.archive import ArchiveOrder, ArchiveWhere
from graph.galaxy.job import BY_EXTERNAL_ID, JobOrder, JobWhere, link_to_generation
from graph.galaxy.tool_usage import tool_usage
from resolvers.filters import Filter, InSubquery, all_of, none_of
from resolvers.galaxy.instance import (
    InstanceChanges,
    create_instance,
    hash_of,
    new_key,
    rotate_instance_key,
    update_instance,
)
from resolvers.reads.rows import Row

if TYPE_CHECKING:
    from graph.galaxy.archive import Archive
    from graph.galaxy.generation import Generation
    from graph.galaxy.ingestion import Ingestion
    from graph.galaxy.job import Job
    from graph.galaxy.tool_usage import ToolUsage
    from graph.twins.user import User


def _tool_filter(path: str, tool: Any) -> Filter:
    """Return the filter for instances whose active generation has jobs of a matching tool, or of no tool for null."""
    active = {"generationRef": InSubquery(documents.Generation, {"status": GenerationStatus.ACTIVE.value}, "_id")}
    counted = {"level": UsageLevel.TOOL.value, "jobs": {"$gt": 0}, "tool_id": {"$ne": None}}

    def has_usage(match: Filter) -> Filter:
        return {
            path: InSubquery(documents.Usage, all_of([active, counted, match]), "generationRef", apply_policy=False)
        }

    return element_filter(tool, none_of(has_usage({})), lambda: has_usage(field_filter("tool_id", tool)))


InstanceWhere = where_input(
    "Instance",
    documents.Instance,
    title=Condition(StringFilter, "title", "Filter by the instance's title."),
    url=Condition(StringFilter, "url", "Filter by the instance's web address."),
    public=Condition(BooleanFilter, "public", "Filter by whether everybody may read the instance."),
    tool_id=Condition(
        StringFilter,
        "active_generation_ref",
        "Filter by the id of a tool that the instance has run, according to its active generation; null matches "
        "instances that have run none.",
        _tool_filter,
    ),
)
InstanceOrder = order_input("Instance", documents.Instance, TITLE="title", CREATED_AT="created_at")


@view(documents.Instance)
class Instance(Node):
    """An instance: a Galaxy server that uploads reports of its jobs."""

    uuid: str = stored(description="The instance's UUID, unique; it identifies the instance when it uploads.")
    url: str | None = stored(description="The instance's web address.")
    title: str | None = stored(description="The instance's title.")
    description: str | None = stored(description="A description of the instance's purpose.")
    public: bool = stored(description="Whether everybody may read the instance and everything it uploads.")
    latitude: float | None = stored(
        description="The instance's latitude in degrees north of the equator. Null when unknown."
    )
    longitude: float | None = stored(
        description="The instance's longitude in degrees east of Greenwich. Null when unknown."
    )
    owners: "list[User]" = many_by_ids(
        documents.User, "owner_refs", description="Users who may change the instance, and who may always read it."
    )
    archives: "Connection[Archive]" = connection(
        documents.Archive,
        "instance_ref",
        where=ArchiveWhere,
        order_by=ArchiveOrder,
        description="The instance's archives, oldest first unless orderBy is given.",
    )
    ingests: bool = stored(description="Whether an archive is ingested as soon as it is uploaded.")
    ingestions: "Connection[Ingestion]" = connection(
        documents.Ingestion, "instance_ref", description="The instance's ingestions, oldest first."
    )
    generations: "Connection[Generation]" = connection(
        documents.Generation,
        "instance_ref",
        description="The generations derived from the instance's archives, oldest first.",
    )
    active_generation: "Generation | None" = one(
        documents.Generation,
        "active_generation_ref",
        description="The generation whose jobs and usage readers see unless they ask for another one. Null before the "
        "first is activated.",
    )
    jobs: "Connection[Job]" = connection(
        documents.Job,
        "generation_ref",
        BY_EXTERNAL_ID,
        of="active_generation_ref",
        inherits_access=True,
        where=JobWhere,
        order_by=JobOrder,
        link_for_where=link_to_generation,
        description="Jobs that the instance ran, from its active generation.",
    )
    tool_usage: "list[ToolUsage]" = tool_usage(
        description="Counts and runtimes of the instance's jobs, by group. Query.toolUsage gives the same for all "
        "instances."
    )
    created_at: datetime = stored(description="When the instance was created.")
    updated_at: datetime = stored(description="When the instance last changed.")
    revision: int = stored(
        description="The instance's revision number, incremented by each change. Pass it as expectedRevision to "
        "refuse overwriting newer changes."
    )


@view()
class InstanceQuery:
    instance: Instance | None = lookup(
        documents.Instance,
        argument("id", strawberry.ID | None, description="The instance's id."),
        argument("uuid", str | None, description="The instance's UUID, in lower case."),
        description="The instance with this id or this UUID. Null when no such instance exists or you may not see it.",
    )
    instances: Connection[Instance] = root_connection(
        documents.Instance,
        where=InstanceWhere,
        order_by=InstanceOrder,
        description="All instances that you may see, oldest first unless orderBy is given.",
    )


@strawberry.input(description="A Galaxy server to register as an instance.")
class CreateInstanceInput:
    idempotency_key: str | None = idempotency_key()
    uuid: str | None = optional("The instance's UUID, if it has one already. A new one is created when omitted.")
    url: str = required("The instance's web address.")
    title: str = required("The instance's title.")
    description: str | None = optional("A description of the instance's purpose.")
    public: bool = optional("Whether everybody may read the instance and everything it uploads.", default=False)
    latitude: float | None = optional("The instance's latitude in degrees north of the equator, from -90 to 90.")
    longitude: float | None = optional("The instance's longitude in degrees east of Greenwich, from -180 to 180.")
    ingests: bool = optional("Whether an archive is ingested as soon as it is uploaded.", default=True)
    owner_ids: list[strawberry.ID] | None = optional(
        "Ids of users who may change the instance; defaults to the viewer. Only administrators may leave themselves "
        "out."
    )


@strawberry.input(description="Changes to an instance. Omitted fields stay unchanged.")
class UpdateInstanceInput:
    idempotency_key: str | None = idempotency_key()
    id: strawberry.ID = required("Id of the instance to change.")
    expected_revision: int | None = expected_revision()
    url: str | None = optional("The instance's new web address.")
    title: str | None = optional("The instance's new title.")
    description: str | None = optional("The instance's new description; null removes it.")
    public: bool | None = optional(
        "Whether everybody may read the instance and everything it has uploaded from now on."
    )
    latitude: float | None = optional(
        "The instance's latitude in degrees north of the equator, from -90 to 90; null when unknown."
    )
    longitude: float | None = optional(
        "The instance's longitude in degrees east of Greenwich, from -180 to 180; null when unknown."
    )
    ingests: bool | None = optional("Whether an archive is ingested as soon as it is uploaded from now on.")
    owner_ids: list[strawberry.ID] | None = optional(
        "The complete list of ids of users who may change the instance from now on. You must be among them, unless "
        "you are an administrator."
    )


@strawberry.input(description="An instance whose key to replace.")
class RotateInstanceKeyInput:
    idempotency_key: str | None = idempotency_key()
    id: strawberry.ID = required("Id of the instance.")


@strawberry.type(description="The instance with its new key, or the reasons why there is none.")
class InstanceKeyPayload:
    instance: Instance | None = strawberry.field(
        description="The instance in its current state. Null when the call was refused.", default=None
    )
    api_key: str | None = strawberry.field(
        description="The instance's new key, shown only once and stored only as a hash. Null when a call is repeated: "
        "rotate the key in that case, with another idempotencyKey.",
        default=None,
    )
    user_errors: list[UserError] = user_errors_field()


@strawberry.type(description="The instance that was written, or the reasons why nothing was written.")
class InstancePayload:
    instance: Instance | None = strawberry.field(
        description="The instance in its current state. Null when the call was refused.", default=None
    )
    user_errors: list[UserError] = user_errors_field()


@strawberry.type
class InstanceMutation:
    @mutation(
        "Register a Galaxy server as an instance, so that it can upload reports of its jobs. The payload contains the "
        "key with which the server authenticates. For signed-in users. Refused with ALREADY_EXISTS when an instance "
        "has this UUID."
    )
    async def create_instance(self, info: Info, input: CreateInstanceInput) -> InstanceKeyPayload:
        key = new_key()
        return await run_mutation(
            info,
            input,
            _payload_with_key(key),
            lambda session, viewer: create_instance(
                session,
                viewer,
                key=key,
                uuid=or_none(input.uuid),
                url=input.url,
                title=input.title,
                description=or_none(input.description),
                public=input.public,
                latitude=or_none(input.latitude),
                longitude=or_none(input.longitude),
                ingests=input.ingests,
                owner_ids=or_none(input.owner_ids),
            ),
        )

    @mutation("Change an instance. For the instance's owners and administrators.")
    async def update_instance(self, info: Info, input: UpdateInstanceInput) -> InstancePayload:
        return await run_mutation(
            info,
            input,
            InstancePayload,
            lambda session, viewer: update_instance(
                session,
                viewer,
                id=input.id,
                expected_revision=or_none(input.expected_revision),
                owner_ids=or_none(input.owner_ids),
                **without_unset(
                    InstanceChanges(
                        url=input.url,
                        title=input.title,
                        description=input.description,
                        public=input.public,
                        latitude=input.latitude,
                        longitude=input.longitude,
                        ingests=input.ingests,
                    )
                ),
            ),
        )

    @mutation(
        "Replace the key of an instance. The previous key is invalid at once. For the instance's owners and "
        "administrators."
    )
    async def rotate_instance_key(self, info: Info, input: RotateInstanceKeyInput) -> InstanceKeyPayload:
        key = new_key()
        return await run_mutation(
            info,
            input,
            _payload_with_key(key),
            lambda session, viewer: rotate_instance_key(session, viewer, key=key, id=input.id),
        )


def _payload_with_key(key: str) -> Callable[..., InstanceKeyPayload]:
    """Return the function that makes a payload, with the key if it is still the instance's: a repeated call makes a key
    that is not stored.

    The key is not part of the outcome, because outcomes are stored for as long as a call may be repeated.
    """

    def payload(user_errors: list[UserError], instance: Any = None) -> InstanceKeyPayload:
        row: Row | None = instance
        shown = key if row is not None and row["keyHash"] == hash_of(key) else None
        return InstanceKeyPayload(instance=instance, api_key=shown, user_errors=user_errors)

    return payload
