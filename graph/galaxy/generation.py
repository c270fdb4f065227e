"""Generations in the GraphQL schema: jobs and usage derived from the reports of an instance."""

from datetime import datetime
from typing import TYPE_CHECKING

import strawberry
from strawberry.types import Info

import documents
from documents.galaxy import generation
from graph.core.enums import describe_enum
from graph.core.mutation import idempotency_key, mutation, optional, or_none, required, run_mutation, user_errors_field
from graph.core.scalars import BigInt
from graph.core.user_error_types import UserError
from graph.core.view import argument, lookup, one, stored, view
from graph.provenance.artifact import Artifact
from resolvers.galaxy.generation import activate_generation, discard_generation

if TYPE_CHECKING:
    from graph.galaxy.instance import Instance

GenerationStatus = describe_enum(
    generation.GenerationStatus,
    "The state of a generation.",
    BUILDING="The generation's archives are being read.",
    READY="The generation is complete and can be activated.",
    ACTIVE="The generation is the one that readers see.",
    RETIRED="The generation was active before and can be activated again.",
    DISCARDED="The generation was discarded; its jobs are deleted.",
)


@view(documents.Generation)
class Generation(Artifact):
    """A generation: all jobs that one version of the parser derived from an instance's archives. A new generation is
    built beside the active one and replaces it in a single write.
    """

    instance: "Instance" = one(
        documents.Instance, "instance_ref", description="The instance from whose archives the generation was derived."
    )
    parser_version: str = stored(description="Version of the parser that derived the generation.")
    status: GenerationStatus = stored(description="The generation's state.")  # type: ignore[valid-type]
    reason: str | None = stored(description="The reason why the archives were read again. Null when they were not.")
    archives: int = stored(description="Number of archives in the generation.")
    jobs: BigInt = stored(description="Number of jobs in the generation.")
    content_hash: str | None = stored(
        description="Hash of the generation's content: equal for the same archives and parser version, in whatever "
        "order the archives were read. Null before the first archive is read."
    )
    created_at: datetime = stored(description="When building the generation began.")
    activated_at: datetime | None = stored(
        description="When the generation was last activated. Null before the first time."
    )


@view()
class GenerationQuery:
    generation: Generation | None = lookup(
        documents.Generation,
        argument("id", strawberry.ID, description="The generation's id."),
        description="The generation with this id. Null when no such generation exists or you may not see it.",
    )


@strawberry.input(description="A generation to activate.")
class ActivateGenerationInput:
    idempotency_key: str | None = idempotency_key()
    generation_id: strawberry.ID = required(
        "Id of a generation that is READY or RETIRED; you must be an owner of its instance or an administrator."
    )
    expected_active_generation_id: strawberry.ID | None = optional(
        "Id of the generation that you expect to be active. When another one is active, the call is "
        "refused with REVISION_CONFLICT and nothing is written."
    )


@strawberry.input(description="A generation to discard.")
class DiscardGenerationInput:
    idempotency_key: str | None = idempotency_key()
    generation_id: strawberry.ID = required(
        "Id of a generation that is READY or RETIRED; you must be an owner of its instance or an administrator."
    )


@strawberry.type(description="The generation that was written, or the reasons why nothing was written.")
class GenerationPayload:
    generation: Generation | None = strawberry.field(
        description="The generation in its current state. Null when the call was refused.", default=None
    )
    user_errors: list[UserError] = user_errors_field()


@strawberry.type
class GenerationMutation:
    @mutation(
        "Activate a generation, so that readers see it in place of the active one, which becomes RETIRED. Activating "
        "that one again switches back. Reports that the generation lacks are queued for ingestion, unless an earlier "
        "version of the parser derived it. Activating the active generation has no effect. For the instance's owners "
        "and administrators. Refused with INVALID_STATE when the generation is incomplete or discarded."
    )
    async def activate_generation(self, info: Info, input: ActivateGenerationInput) -> GenerationPayload:
        return await run_mutation(
            info,
            input,
            GenerationPayload,
            lambda session, viewer: activate_generation(
                session,
                viewer,
                generation_id=input.generation_id,
                expected_active_generation_id=or_none(input.expected_active_generation_id),
            ),
        )

    @mutation(
        "Discard a generation that is not active. Its jobs are deleted in the background, and its archives are kept. "
        "For the instance's owners and administrators. Refused with INVALID_STATE unless the generation is READY or "
        "RETIRED."
    )
    async def discard_generation(self, info: Info, input: DiscardGenerationInput) -> GenerationPayload:
        return await run_mutation(
            info,
            input,
            GenerationPayload,
            lambda session, viewer: discard_generation(session, viewer, generation_id=input.generation_id),
        )
