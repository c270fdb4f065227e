"""Results, as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import strawberry
from strawberry.types import Info

import documents
from graph.connection import Connection
from graph.declared import reader_of
from graph.mutation import expected_revision, idempotency_key, mutation, optional, perform, refused, wanted
from graph.node import Node
from graph.output import OutputWhere
from graph.user_errors import UserError
from graph.view import gathered, one, stored, view
from resolvers.ingest.turns import turn
from resolvers.result import create_result, update_result

if TYPE_CHECKING:
    from graph.digital_twin import DigitalTwin
    from graph.execution import Execution
    from graph.output import Output


@view(documents.Result)
class Result(Node):
    """Outputs of an execution, gathered under a title."""

    digital_twin: DigitalTwin = one(documents.DigitalTwin, "digital_twin_ref", description="The twin it is about.")
    execution: Execution = one(documents.Execution, "execution_ref", description="Where its outputs come from.")
    title: str = stored(description="Its title.")
    description: str | None = stored(description="What it shows.")
    tags: list[str] = stored(description="Words to find it by.")
    outputs: Connection[Output] = gathered(
        documents.Output, "output_refs", where=OutputWhere, description="Its outputs that you may see, oldest first."
    )
    created_at: datetime = stored(description="When it was made.")
    updated_at: datetime = stored(description="When it last changed.")
    revision: int = stored(description="Rises by one with each change; for expectedRevision.")


@strawberry.input(description="A new result.")
class CreateResultInput:
    idempotency_key: str | None = idempotency_key()
    execution_id: strawberry.ID = wanted("Where the outputs come from.")
    title: str = wanted("Its title.")
    description: str | None = optional("What it shows.")
    tags: list[str] | None = wanted("Words to find it by.", default_factory=list)
    output_ids: list[strawberry.ID] = wanted(
        "Outputs of steps of the execution, or of steps that it reuses; at most 1,000."
    )


@strawberry.input(description="What to change of a result.")
class UpdateResultInput:
    id: strawberry.ID = wanted("Which result.")
    expected_revision: int | None = expected_revision()
    title: str | None = optional("Its title from now on.")
    description: str | None = optional("What it shows; null takes the description away.")
    tags: list[str] | None = optional("Its tags from now on, instead of those it had.")
    add_output_ids: list[strawberry.ID] | None = wanted(
        "Outputs to gather as well. Adding one that is there already changes nothing.", default_factory=list
    )
    remove_output_ids: list[strawberry.ID] | None = wanted(
        "Outputs to let go of. Removing one that is not there changes nothing.", default_factory=list
    )


@strawberry.type(description="A result that was written, or why it was not.")
class ResultPayload:
    result: Result | None = strawberry.field(description="As it is now.", default=None)
    user_errors: list[UserError] = refused()


@strawberry.type
class ResultMutation:
    @mutation("Gather outputs of an execution of your own under a title.")
    async def create_result(self, info: Info, input: CreateResultInput) -> ResultPayload:
        async with turn(reader_of(info).viewer.key, input.execution_id):
            return await perform(info, ResultPayload, create_result, input)

    @mutation("Change a result of your own.")
    async def update_result(self, info: Info, input: UpdateResultInput) -> ResultPayload:
        async with turn(reader_of(info).viewer.key, input.id):
            return await perform(info, ResultPayload, update_result, input)
