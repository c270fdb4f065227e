"""Transforms, as clients see them."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import strawberry
from strawberry.types import Info

import documents
from documents import transform
from graph.activity import Activity, ActivityStatus
from graph.connection import Connection
from graph.declared import reader_of
from graph.enums import described
from graph.ingest_transform import IngestTransformInput, IngestTransformPayload
from graph.mutation import idempotency_key, mutation, optional, perform, refused, wanted
from graph.user_errors import UserError
from graph.view import argument, computed, every, facet, found, many, one, stored, view
from graph.where import (
    BooleanFilter,
    By,
    DateTimeFilter,
    IDFilter,
    OrderDirection,
    StringFilter,
    order_input,
    where_input,
)
from resolvers.ingest.transform import ingest_transform
from resolvers.ingest.turns import turn
from resolvers.transform import completed, logs_url, notebook_url, request_transform
from resolvers.viewer import Role

if TYPE_CHECKING:
    from graph.distribution import Distribution
    from graph.resource import Resource

TransformWhere = where_input(
    "Transform",
    documents.Transform,
    status=By(list[ActivityStatus], "status", "Any of these states."),  # type: ignore[valid-type]
    commit=By(StringFilter, "code.commit", "A commit that it ran."),
    validated=By(BooleanFilter, "details.validated", "Whether what it made was found to be good."),
    created_at=By(DateTimeFilter, "created_at", "When it was asked for."),
    resource_id=By(IDFilter, "resource_ref", "Whose code it ran."),
)
TransformOrder = order_input(
    "Transform",
    documents.Transform,
    OrderDirection.DESC,
    CREATED_AT="created_at",
    STARTED_AT="started_at",
    ENDED_AT="ended_at",
)
TransformCauseKind = described(
    transform.TransformCauseKind,
    "What made a transform due.",
    REQUESTED="Somebody asked for it.",
    CODE_CHANGED="The resource's code changed.",
    FILES_CHANGED="Files appeared or changed in a directory that the code watches.",
    INGESTED="Nothing here: it ran elsewhere and was reported.",
)


@view(transform.TransformCause)
class TransformCause:
    """Why a transform was due."""

    kind: TransformCauseKind = stored(description="What made it due.")  # type: ignore[valid-type]
    files: list[str] = stored(description="The files that appeared or changed, the first 1,000 of them.")
    message: str | None = stored(description="What was said when it was asked for, or how many files there are.")


@view(documents.Transform)
class TransformDetails:
    """What a run left behind. logs and notebook are URLs; a reader who may not open them gets null."""

    completed: bool = computed(completed, "status", description="Whether it ended well.")
    validated: bool | None = stored(
        "details.validated", description="Whether what it made was found to be good; null when nobody looked."
    )
    logs: str | None = computed(
        logs_url, "details.logs", description="Where its logs are kept. Objects in buckets are for workers only."
    )
    notebook: str | None = computed(
        notebook_url,
        "details.notebook",
        description="Where its notebook can be read. Objects in buckets are for workers only.",
    )


@view(documents.Transform)
class Transform(Activity):
    """One run of a resource's code."""

    resource: Resource = one(documents.Resource, "resource_ref", description="Whose code it ran.")
    details: TransformDetails = facet(description="What it left behind.")
    cause: TransformCause | None = stored(description="Why it was due: which files or commits changed, or who asked.")
    distributions: Connection[Distribution] = many(
        documents.Distribution, "transform_ref", description="What it made, in the order of publication."
    )


@view()
class TransformQuery:
    transform: Transform | None = found(
        documents.Transform,
        argument("id", strawberry.ID, description="Its id."),
        description="The transform with this id.",
    )
    transforms: Connection[Transform] = every(
        documents.Transform, where=TransformWhere, order_by=TransformOrder, description="All transforms."
    )


@strawberry.input(description="Asks for a run of a resource's code.")
class RequestTransformInput:
    idempotency_key: str | None = idempotency_key()
    resource_id: strawberry.ID = wanted("Whose code to run.")
    message: str | None = optional("Why, for people.")


@strawberry.type(description="The transform that waits now, or why none was made.")
class RequestTransformPayload:
    transform: Transform | None = strawberry.field(
        description="The new one, or the one that was waiting already.", default=None
    )
    user_errors: list[UserError] = refused()


@strawberry.type
class TransformMutation:
    @mutation(
        "A transform ran: record it with everything it made. Creates or finds the organisation, resource and datasets; "
        "publishes a new version of each dataset whose csvw changed, and none where it did not."
    )
    async def ingest_transform(self, info: Info, input: IngestTransformInput) -> IngestTransformPayload:
        # Who may not publish is refused without waiting for those who do.
        may_publish = reader_of(info).viewer.role in (Role.WORKER, Role.ADMIN)
        async with turn(input.organisation_url, input.landing_page) if may_publish else nullcontext():
            return await perform(info, IngestTransformPayload, ingest_transform, input)

    @mutation("Make a transform wait for a worker. While one waits already, that one is the answer.")
    async def request_transform(self, info: Info, input: RequestTransformInput) -> RequestTransformPayload:
        return await perform(info, RequestTransformPayload, request_transform, input)
