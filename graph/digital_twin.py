"""Digital twins, as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import strawberry
from strawberry.types import Info

import documents
from graph.connection import Connection
from graph.execution import ExecutionOrder, ExecutionWhere
from graph.mutation import expected_revision, idempotency_key, mutation, optional, perform, refused, wanted
from graph.node import Node
from graph.user_errors import UserError
from graph.view import every, many, one, stored, view
from graph.where import BooleanFilter, By, IDFilter, StringFilter, order_input, where_input
from resolvers.digital_twin import create_digital_twin, update_digital_twin

if TYPE_CHECKING:
    from graph.execution import Execution
    from graph.result import Result
    from graph.user import User

DigitalTwinWhere = where_input(
    "DigitalTwin",
    documents.DigitalTwin,
    name=By(StringFilter, "name", "Its name."),
    public=By(BooleanFilter, "public", "Whether everybody may read it."),
    owner_id=By(IDFilter, "owner_ref", "Whose it is."),
    status=By(StringFilter, "status", "Where it stands, in its owner's words."),
)
DigitalTwinOrder = order_input(
    "DigitalTwin", documents.DigitalTwin, NAME="name", CREATED_AT="created_at", UPDATED_AT="updated_at"
)


@view(documents.DigitalTwin)
class DigitalTwin(Node):
    """A project that workflows are run for. Its executions, steps, logs and results are read by whoever may read it."""

    name: str = stored(description="Its name, unique among its owner's.")
    status: str = stored(description="Where it stands, in its owner's words.")
    public: bool = stored(description="Whether everybody may read it. That does not publish the outputs of its steps.")
    owner: User = one(documents.User, "owner_ref", description="Whose it is.")
    executions: Connection[Execution] = many(
        documents.Execution,
        "digital_twin_ref",
        where=ExecutionWhere,
        order_by=ExecutionOrder,
        description="Runs of workflows for it, oldest first.",
    )
    results: Connection[Result] = many(
        documents.Result, "digital_twin_ref", description="Outputs gathered under titles, oldest first."
    )
    created_at: datetime = stored(description="When it was created.")
    updated_at: datetime = stored(description="When it last changed.")
    revision: int = stored(description="Rises by one with each change; for expectedRevision.")


@view()
class DigitalTwinQuery:
    digital_twins: Connection[DigitalTwin] = every(
        documents.DigitalTwin,
        where=DigitalTwinWhere,
        order_by=DigitalTwinOrder,
        description="All digital twins that you may see, oldest first.",
    )


@strawberry.input(description="A new digital twin.")
class CreateDigitalTwinInput:
    idempotency_key: str | None = idempotency_key()
    name: str = wanted("Its name; no two twins of an owner have the same.")
    public: bool = wanted("Whether everybody may read it.", default=False)
    owner_id: strawberry.ID | None = optional(
        "The viewer, when absent. Only administrators make twins for somebody else."
    )


@strawberry.input(description="What to change of a digital twin.")
class UpdateDigitalTwinInput:
    id: strawberry.ID = wanted("Which digital twin.")
    expected_revision: int | None = expected_revision()
    name: str | None = optional("Its name from now on.")
    status: str | None = optional("Where it stands, one line in your words.")
    public: bool | None = optional(
        "Whether everybody may read it from now on, and its executions, steps, logs and results with it."
    )


@strawberry.type(description="A digital twin that was written, or why it was not.")
class DigitalTwinPayload:
    digital_twin: DigitalTwin | None = strawberry.field(description="As it is now.", default=None)
    user_errors: list[UserError] = refused()


@strawberry.type
class DigitalTwinMutation:
    @mutation("Begin a digital twin of your own.")
    async def create_digital_twin(self, info: Info, input: CreateDigitalTwinInput) -> DigitalTwinPayload:
        return await perform(info, DigitalTwinPayload, create_digital_twin, input)

    @mutation("Change a digital twin of your own.")
    async def update_digital_twin(self, info: Info, input: UpdateDigitalTwinInput) -> DigitalTwinPayload:
        return await perform(info, DigitalTwinPayload, update_digital_twin, input)
