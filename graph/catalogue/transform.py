"""Transforms in the GraphQL schema."""

from typing import TYPE_CHECKING

import strawberry
from strawberry.types import Info

import documents
from documents.catalogue import transform
from graph.activities.activity import Activity, ActivityStatus
from graph.catalogue.code_repo import code_repo_values
from graph.catalogue.report_transform import IngestTransformInput, IngestTransformPayload, distribution_values
from graph.core.enums import describe_enum
from graph.core.mutation import (
    convert_each,
    idempotency_key,
    mutation,
    optional,
    or_none,
    required,
    run_mutation,
    user_errors_field,
)
from graph.core.pagination import Connection
from graph.core.user_error_types import UserError
from graph.core.view import argument, computed, connection, embedded, lookup, one, root_connection, stored, view
from graph.core.where import (
    BooleanFilter,
    Condition,
    DateTimeFilter,
    IDFilter,
    OrderDirection,
    StringFilter,
    enum_conditions,
    order_input,
    where_input,
)
from graph.provenance.used_input import used_values
from resolvers.catalogue.report_transform import ingest_transform
from resolvers.catalogue.transform import have_succeeded, logs_url, notebook_url, request_transform
from resolvers.twins.cancel_execution import cancel_transform

if TYPE_CHECKING:
    from graph.catalogue.distribution import Distribution
    from graph.catalogue.resource import Resource

TransformWhere = where_input(
    "Transform",
    documents.Transform,
    **enum_conditions("status", ActivityStatus, "status", "Filter by the transform's state."),
    commit=Condition(
        StringFilter,
        "code.commit",
        "Filter by a commit of the code that ran; null matches transforms that ran no code.",
    ),
    validated=Condition(
        BooleanFilter, "details.validated", "Filter by whether the output of the run passed validation."
    ),
    created_at=Condition(DateTimeFilter, "created_at", "Filter by the time when the transform was requested."),
    resource_id=Condition(IDFilter, "resource_ref", "Filter by the resource whose code ran."),
)
TransformOrder = order_input(
    "Transform",
    documents.Transform,
    OrderDirection.DESC,
    CREATED_AT="created_at",
    STARTED_AT="started_at",
    ENDED_AT="ended_at",
)
TransformCauseKind = describe_enum(
    transform.TransformCauseKind,
    "The kind of event that made a transform due.",
    REQUESTED="The transform was requested with requestTransform.",
    CODE_CHANGED="The resource's code changed.",
    FILES_CHANGED="Files appeared or changed in a monitored directory.",
    INGESTED="None: the run took place elsewhere and was reported with ingestTransform.",
)


@view(transform.TransformCause)
class TransformCause:
    """The event that made a transform due."""

    kind: TransformCauseKind = stored(description="The kind of event.")  # type: ignore[valid-type]
    files: list[str] = stored(description="URLs of the files that appeared or changed; at most the first 1,000.")
    message: str | None = stored(description="The message given with the request, or the number of files.")


@view(documents.Transform)
class TransformDetails:
    """The outcome of a run. URLs that the viewer may not open are null."""

    completed: bool = computed(have_succeeded, "status", description="Whether the run succeeded.")
    validated: bool | None = stored(
        "details.validated",
        description="Whether the output of the run passed validation. Null when it was not validated.",
    )
    logs: str | None = computed(
        logs_url,
        "details.logs",
        description="URL of the run's logs. Null when there are none; URLs of objects in buckets are shown to workers "
        "and administrators only.",
    )
    notebook: str | None = computed(
        notebook_url,
        "details.notebook",
        description="URL of the run's notebook. Null when there is none; URLs of objects in buckets are shown to "
        "workers and administrators only.",
    )


@view(documents.Transform)
class Transform(Activity):
    """A transform: one run of a resource's code."""

    resource: "Resource" = one(
        documents.Resource, "resource_ref", description="The resource whose code the transform runs."
    )
    details: TransformDetails = embedded(description="The outcome of the run.")
    cause: TransformCause | None = stored(
        description="The event that made the transform due: changed files or commits, or a request. Null when unknown."
    )
    distributions: "Connection[Distribution]" = connection(
        documents.Distribution,
        "transform_ref",
        description="The distributions that the transform produced, in the order of publication.",
    )


@view()
class TransformQuery:
    transform: Transform | None = lookup(
        documents.Transform,
        argument("id", strawberry.ID, description="The transform's id."),
        description="The transform with this id. Null when no such transform exists.",
    )
    transforms: Connection[Transform] = root_connection(
        documents.Transform,
        where=TransformWhere,
        order_by=TransformOrder,
        description="All transforms, oldest first unless orderBy is given.",
    )


@strawberry.input(description="A request for a run of a resource's code.")
class RequestTransformInput:
    idempotency_key: str | None = idempotency_key()
    resource_id: strawberry.ID = required("Id of the resource whose code to run.")
    message: str | None = optional("Human-readable reason for the request.")


@strawberry.type(description="The transform that was written, or the reasons why nothing was written.")
class TransformPayload:
    transform: Transform | None = strawberry.field(
        description="The transform in its current state. Null when the call was refused.",
        default=None,
    )
    user_errors: list[UserError] = user_errors_field()


@strawberry.input(description="A transform to cancel before its end.")
class CancelTransformInput:
    idempotency_key: str | None = idempotency_key()
    id: strawberry.ID = required("Id of the transform to cancel.")
    reason: str | None = optional("Human-readable reason, recorded as the transform's error.")


@strawberry.type
class TransformMutation:
    @mutation(
        "Record a run of a resource's code with everything it produced. Finds or creates the organisation, resource "
        "and datasets, and publishes a new version of each dataset whose csvw changed. Datasets whose csvw is "
        "unchanged get no new version. For workers and administrators."
    )
    async def ingest_transform(self, info: Info, input: IngestTransformInput) -> IngestTransformPayload:
        return await run_mutation(
            info,
            input,
            IngestTransformPayload,
            lambda session, viewer: ingest_transform(
                session,
                viewer,
                organisation_url=input.organisation_url,
                organisation_name=or_none(input.organisation_name),
                landing_page=input.landing_page,
                resource_title=or_none(input.resource_title),
                info=or_none(input.info),
                code_repo=code_repo_values(input.code_repo),
                transform_id=or_none(input.transform_id),
                attempt=or_none(input.attempt),
                started_at=or_none(input.started_at),
                ended_at=or_none(input.ended_at),
                validated=or_none(input.validated),
                logs=or_none(input.logs),
                notebook=or_none(input.notebook),
                used=convert_each(used_values, or_none(input.used)),
                distributions=[distribution_values(distribution) for distribution in input.distributions],
            ),
        )

    @mutation(
        "Queue a run of a resource's code for the next free worker. When a transform of the resource is already "
        "waiting, that one is returned. For workers and administrators."
    )
    async def request_transform(self, info: Info, input: RequestTransformInput) -> TransformPayload:
        return await run_mutation(
            info,
            input,
            TransformPayload,
            lambda session, viewer: request_transform(
                session, viewer, resource_id=input.resource_id, message=or_none(input.message)
            ),
        )

    @mutation(
        "Cancel a transform that is waiting or running. A worker that is running it is refused with INVALID_STATE at "
        "its next report. The files that made the transform due stay pending for the resource's next transform. For "
        "workers and administrators. Refused with INVALID_STATE when the transform has ended."
    )
    async def cancel_transform(self, info: Info, input: CancelTransformInput) -> TransformPayload:
        return await run_mutation(
            info,
            input,
            TransformPayload,
            lambda session, viewer: cancel_transform(session, viewer, id=input.id, reason=or_none(input.reason)),
        )
