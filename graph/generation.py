"""What was derived from the reports of a server, as clients see it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import strawberry
from strawberry.types import Info

import documents
from documents import generation
from graph.enums import described
from graph.mutation import mutation, optional, perform, refused, wanted
from graph.node import Node
from graph.scalars import BigInt
from graph.user_errors import UserError
from graph.view import one, stored, view
from resolvers.generation import activate_generation, discard_generation

if TYPE_CHECKING:
    from graph.instance import Instance

GenerationStatus = described(
    generation.GenerationStatus,
    "Where a generation stands.",
    BUILDING="Its archives are being read.",
    READY="Complete; it can be made active.",
    ACTIVE="The one that readers see.",
    RETIRED="It was active before, and can be made so again.",
    DISCARDED="Given up; its jobs are removed.",
)


@view(documents.Generation)
class Generation(Node):
    """A complete projection of raw archives by one parser version, built beside the active one and switched to in one
    write.
    """

    instance: Instance = one(documents.Instance, "instance_ref", description="The server whose reports they are.")
    parser_version: str = stored(description="The version of the reader that made it.")
    status: GenerationStatus = stored(description="Where it stands.")  # type: ignore[valid-type]
    reason: str | None = stored(description="Why the reports were read again, when they were.")
    archives: int = stored(description="How many reports are in it.")
    jobs: BigInt = stored(description="How many jobs are in it.")
    content_hash: str | None = stored(
        description="Equal for equal archives and parser, in whatever order they came. Null before the first is in it."
    )
    created_at: datetime = stored(description="When it was begun.")
    activated_at: datetime | None = stored(description="When it last became the active one.")


@strawberry.input(description="Which generation readers are to see.")
class ActivateGenerationInput:
    generation_id: strawberry.ID = wanted("A generation that is READY or RETIRED, of an instance of your own.")
    expected_active_generation_id: strawberry.ID | None = optional(
        "Refused with REVISION_CONFLICT, and nothing written, when another generation is active than this one."
    )


@strawberry.input(description="Which generation is not needed any more.")
class DiscardGenerationInput:
    generation_id: strawberry.ID = wanted("A generation that is READY or RETIRED, of an instance of your own.")


@strawberry.type(description="A generation that was written, or why it was not.")
class GenerationPayload:
    generation: Generation | None = strawberry.field(description="As it is now.", default=None)
    user_errors: list[UserError] = refused()


@strawberry.type
class GenerationMutation:
    @mutation(
        "Let readers see this generation from now on, and no longer the one that was active, which is RETIRED: the "
        "same call with that one switches back. Reports that it lacks are queued, unless an earlier version of the "
        "reader made it. The active one again changes nothing."
    )
    async def activate_generation(self, info: Info, input: ActivateGenerationInput) -> GenerationPayload:
        return await perform(info, GenerationPayload, activate_generation, input)

    @mutation("Give up a generation that is not active. Its jobs are removed in the background; its reports are kept.")
    async def discard_generation(self, info: Info, input: DiscardGenerationInput) -> GenerationPayload:
        return await perform(info, GenerationPayload, discard_generation, input)
