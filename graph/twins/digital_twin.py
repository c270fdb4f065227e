"""Digital twins in the GraphQL schema."""

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
from graph.core.node import Node
from graph.core.pagination import Connection
from graph.core.user_error_types import UserError
from graph.core.view import argument, computed, connection, lookup, one, root_connection, stored, view
from graph.core.where import BooleanFilter, Condition, IDFilter, StringFilter, order_input, where_input
from graph.twins.execution import ExecutionOrder, ExecutionWhere
from resolvers.twins.digital_twin import DigitalTwinChanges, create_digital_twin, update_digital_twin
from resolvers.twins.readers import twin_readers

if TYPE_CHECKING:
    from graph.twins.execution import Execution
    from graph.twins.result import Result
    from graph.twins.user import User

DigitalTwinWhere = where_input(
    "DigitalTwin",
    documents.DigitalTwin,
    name=Condition(StringFilter, "name", "Filter by the digital twin's name."),
    public=Condition(BooleanFilter, "public", "Filter by whether everybody may read the digital twin."),
    owner_id=Condition(IDFilter, "owner_ref", "Filter by the digital twin's owner."),
    status=Condition(StringFilter, "status", "Filter by the digital twin's state, a text chosen by its owner."),
)
DigitalTwinOrder = order_input(
    "DigitalTwin", documents.DigitalTwin, NAME="name", CREATED_AT="created_at", UPDATED_AT="updated_at"
)


@view(documents.DigitalTwin)
class DigitalTwin(Node):
    """A digital twin: a project for which workflows are run. Everybody who may read the digital twin may also read its
    executions, steps, logs and results.
    """

    name: str = stored(description="The digital twin's name, unique among those of its owner.")
    status: str = stored(description="The digital twin's state, a text chosen by its owner.")
    public: bool = stored(
        description="Whether everybody may read the digital twin. This does not make the outputs of its steps public."
    )
    owner: "User" = one(documents.User, "owner_ref", description="The user who owns the digital twin.")
    readers: "list[User]" = computed(
        twin_readers,
        "reader_refs",
        "owner_ref",
        description="Users with whom the digital twin is shared, outputs included. Empty for viewers who may not "
        "change the digital twin.",
    )
    executions: "Connection[Execution]" = connection(
        documents.Execution,
        "digital_twin_ref",
        where=ExecutionWhere,
        order_by=ExecutionOrder,
        description="Executions of workflows for the digital twin, oldest first unless orderBy is given.",
    )
    results: "Connection[Result]" = connection(
        documents.Result, "digital_twin_ref", description="The digital twin's results, oldest first."
    )
    created_at: datetime = stored(description="When the digital twin was created.")
    updated_at: datetime = stored(description="When the digital twin last changed.")
    revision: int = stored(
        description="The digital twin's revision number, incremented by each change. Pass it as expectedRevision to "
        "refuse overwriting newer changes."
    )


@view()
class DigitalTwinQuery:
    digital_twin: DigitalTwin | None = lookup(
        documents.DigitalTwin,
        argument("id", strawberry.ID, description="The digital twin's id."),
        description="The digital twin with this id. Null when no such digital twin exists or you may not see it.",
    )
    digital_twins: Connection[DigitalTwin] = root_connection(
        documents.DigitalTwin,
        where=DigitalTwinWhere,
        order_by=DigitalTwinOrder,
        description="All digital twins that you may see, oldest first unless orderBy is given.",
    )


@strawberry.input(description="A digital twin to create.")
class CreateDigitalTwinInput:
    idempotency_key: str | None = idempotency_key()
    name: str = required("The digital twin's name, unique among those of its owner.")
    public: bool = optional("Whether everybody may read the digital twin.", default=False)
    owner_id: strawberry.ID | None = optional(
        "Id of the digital twin's owner; defaults to the viewer. Only administrators may name another user."
    )


@strawberry.input(description="Changes to a digital twin. Omitted fields stay unchanged.")
class UpdateDigitalTwinInput:
    idempotency_key: str | None = idempotency_key()
    id: strawberry.ID = required("Id of the digital twin to change.")
    expected_revision: int | None = expected_revision()
    name: str | None = optional("The digital twin's new name.")
    status: str | None = optional("The digital twin's new state, one line of text of your choice.")
    public: bool | None = optional(
        "Whether everybody may read the digital twin from now on, together with its executions, steps, logs and "
        "results."
    )


@strawberry.type(description="The digital twin that was written, or the reasons why nothing was written.")
class DigitalTwinPayload:
    digital_twin: DigitalTwin | None = strawberry.field(
        description="The digital twin in its current state. Null when the call was refused.", default=None
    )
    user_errors: list[UserError] = user_errors_field()


@strawberry.type
class DigitalTwinMutation:
    @mutation(
        "Create a digital twin of your own. For signed-in users. Refused with ALREADY_EXISTS when its owner has a "
        "digital twin with this name."
    )
    async def create_digital_twin(self, info: Info, input: CreateDigitalTwinInput) -> DigitalTwinPayload:
        return await run_mutation(
            info,
            input,
            DigitalTwinPayload,
            lambda session, viewer: create_digital_twin(
                session, viewer, name=input.name, public=input.public, owner_id=or_none(input.owner_id)
            ),
        )

    @mutation(
        "Change a digital twin. For its owner and administrators. Refused with ALREADY_EXISTS when its owner has "
        "another digital twin with the new name."
    )
    async def update_digital_twin(self, info: Info, input: UpdateDigitalTwinInput) -> DigitalTwinPayload:
        return await run_mutation(
            info,
            input,
            DigitalTwinPayload,
            lambda session, viewer: update_digital_twin(
                session,
                viewer,
                id=input.id,
                expected_revision=or_none(input.expected_revision),
                **without_unset(DigitalTwinChanges(name=input.name, status=input.status, public=input.public)),
            ),
        )
