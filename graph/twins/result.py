"""Results in the GraphQL schema."""

from datetime import datetime
from typing import TYPE_CHECKING

import strawberry
from strawberry.types import Info

import documents
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
from graph.core.pagination import Connection
from graph.core.user_error_types import UserError
from graph.core.view import argument, connection_by_ids, lookup, one, stored, view
from graph.provenance.artifact import Artifact
from graph.twins.output import OutputWhere
from resolvers.twins.result import ResultChanges, create_result, update_result

if TYPE_CHECKING:
    from graph.twins.digital_twin import DigitalTwin
    from graph.twins.execution import Execution
    from graph.twins.output import Output


@view(documents.Result)
class Result(Artifact):
    """A result: outputs of an execution, gathered under a title."""

    digital_twin: "DigitalTwin" = one(
        documents.DigitalTwin, "digital_twin_ref", description="The digital twin that the result belongs to."
    )
    execution: "Execution" = one(
        documents.Execution, "execution_ref", description="The execution whose outputs the result gathers."
    )
    title: str = stored(description="The result's title.")
    description: str | None = stored(description="A description of the result.")
    tags: list[str] = stored(description="Tags that describe the result.")
    outputs: "Connection[Output]" = connection_by_ids(
        documents.Output,
        "output_refs",
        where=OutputWhere,
        description="The result's outputs that you may see, oldest first.",
    )
    created_at: datetime = stored(description="When the result was created.")
    updated_at: datetime = stored(description="When the result last changed.")
    revision: int = stored(
        description="The result's revision number, incremented by each change. Pass it as expectedRevision to refuse "
        "overwriting newer changes."
    )


@view()
class ResultQuery:
    result: Result | None = lookup(
        documents.Result,
        argument("id", strawberry.ID, description="The result's id."),
        description="The result with this id. Null when no such result exists or you may not see it.",
    )


@strawberry.input(description="A result to create.")
class CreateResultInput:
    idempotency_key: str | None = idempotency_key()
    execution_id: strawberry.ID = required("Id of the execution whose outputs the result gathers.")
    title: str = required("The result's title.")
    description: str | None = optional("A description of the result.")
    tags: list[str] | None = optional("Tags that describe the result.", default_factory=list)
    output_ids: list[strawberry.ID] = required(
        "Ids of outputs to gather: of steps of the execution, or of steps that it reuses; at most 1,000."
    )


@strawberry.input(description="Changes to a result. Omitted fields stay unchanged.")
class UpdateResultInput:
    idempotency_key: str | None = idempotency_key()
    id: strawberry.ID = required("Id of the result to change.")
    expected_revision: int | None = expected_revision()
    title: str | None = optional("The result's new title.")
    description: str | None = optional("The result's new description; null removes it.")
    tags: list[str] | None = optional("The complete list of the result's new tags.")
    add_output_ids: list[strawberry.ID] | None = optional(
        "Ids of outputs to add. Outputs that the result already has are ignored.", default_factory=list
    )
    remove_output_ids: list[strawberry.ID] | None = optional(
        "Ids of outputs to remove. Outputs that the result does not have are ignored.", default_factory=list
    )


@strawberry.type(description="The result that was written, or the reasons why nothing was written.")
class ResultPayload:
    result: Result | None = strawberry.field(
        description="The result in its current state. Null when the call was refused.", default=None
    )
    user_errors: list[UserError] = user_errors_field()


@strawberry.type
class ResultMutation:
    @mutation(
        "Create a result: gather outputs of an execution under a title. For the execution's owner and administrators."
    )
    async def create_result(self, info: Info, input: CreateResultInput) -> ResultPayload:
        return await run_mutation(
            info,
            input,
            ResultPayload,
            lambda session, viewer: create_result(
                session,
                viewer,
                execution_id=input.execution_id,
                title=input.title,
                description=or_none(input.description),
                tags=or_none(input.tags),
                output_ids=input.output_ids,
            ),
        )

    @mutation("Change a result. For the result's owner and administrators.")
    async def update_result(self, info: Info, input: UpdateResultInput) -> ResultPayload:
        return await run_mutation(
            info,
            input,
            ResultPayload,
            lambda session, viewer: update_result(
                session,
                viewer,
                id=input.id,
                expected_revision=or_none(input.expected_revision),
                add_output_ids=or_none(input.add_output_ids),
                remove_output_ids=or_none(input.remove_output_ids),
                **without_unset(ResultChanges(title=input.title, description=input.description, tags=input.tags)),
            ),
        )
