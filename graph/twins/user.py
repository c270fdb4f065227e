"""Users in the GraphQL schema."""

from datetime import datetime
from typing import TYPE_CHECKING

import strawberry
from strawberry.types import Info

import documents
from graph.core.mutation import (
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
from graph.core.view import argument, computed, connection, lookup, root_connection, stored, view
from graph.core.where import Condition, StringFilter, order_input, where_input
from graph.twins.digital_twin import DigitalTwinOrder, DigitalTwinWhere
from graph.twins.workflow import WorkflowOrder, WorkflowWhere
from resolvers.twins.user import UserChanges, create_user, emails, update_user

if TYPE_CHECKING:
    from graph.twins.digital_twin import DigitalTwin
    from graph.twins.workflow import Workflow

UserWhere = where_input(
    "User",
    documents.User,
    display_name=Condition(StringFilter, "display_name", "Filter by the user's display name."),
    github=Condition(StringFilter, "github", "Filter by the user's GitHub name."),
)
UserOrder = order_input("User", documents.User, DISPLAY_NAME="display_name", CREATED_AT="created_at")


@view(documents.User)
class User(Node):
    """A person or account that owns digital twins."""

    display_name: str = stored(description="The user's display name, unique on this server.")
    email: str | None = computed(
        emails,
        "email",
        description="The user's email address, shown to the user and to administrators only; null for other viewers.",
    )
    github: str | None = stored(description="The user's GitHub name.")
    digital_twins: "Connection[DigitalTwin]" = connection(
        documents.DigitalTwin,
        "owner_ref",
        where=DigitalTwinWhere,
        order_by=DigitalTwinOrder,
        description="Digital twins that the user owns, oldest first unless orderBy is given.",
    )
    workflows: "Connection[Workflow]" = connection(
        documents.Workflow,
        "owner_ref",
        where=WorkflowWhere,
        order_by=WorkflowOrder,
        description="Workflows that the user owns, oldest first unless orderBy is given.",
    )
    created_at: datetime = stored(description="When the user was first recorded.")
    updated_at: datetime = stored(description="When the user last changed.")


@view()
class UserQuery:
    user: User | None = lookup(
        documents.User,
        argument("id", strawberry.ID | None, description="The user's id."),
        argument("display_name", str | None, description="The user's display name."),
        description="The user with this id or this display name. Null when no such user exists.",
    )
    users: Connection[User] = root_connection(
        documents.User,
        where=UserWhere,
        order_by=UserOrder,
        description="All users, oldest first unless orderBy is given.",
    )


@strawberry.input(description="A user to record.")
class CreateUserInput:
    idempotency_key: str | None = idempotency_key()
    display_name: str = required("The user's display name, unique on this server.")
    email: str = required("The user's email address, shown to the user and to administrators only.")
    github: str | None = optional("The user's GitHub name.")


@strawberry.type(description="The user that was written, or the reasons why nothing was written.")
class UserPayload:
    user: User | None = strawberry.field(
        description="The user's record in its current state. Null when the call was refused.", default=None
    )
    user_errors: list[UserError] = user_errors_field()


@strawberry.input(description="Changes to a user. Omitted fields stay unchanged.")
class UpdateUserInput:
    idempotency_key: str | None = idempotency_key()
    id: strawberry.ID = required("Id of the user to change: yourself, unless you are an administrator.")
    display_name: str | None = optional("The user's new display name, unique on this server.")
    email: str | None = optional("The user's new email address; null removes it.")
    github: str | None = optional("The user's new GitHub name; null removes it.")


@strawberry.type
class UserMutation:
    @mutation(
        "Record a user before their first visit. For administrators: users who sign in are recorded automatically at "
        "their first visit. Refused with ALREADY_EXISTS when the display name is taken."
    )
    async def create_user(self, info: Info, input: CreateUserInput) -> UserPayload:
        return await run_mutation(
            info,
            input,
            UserPayload,
            lambda session, viewer: create_user(
                session, viewer, display_name=input.display_name, email=input.email, github=or_none(input.github)
            ),
        )

    @mutation(
        "Change your own display name, email address and GitHub name. Administrators may change those of any user. "
        "Refused with ALREADY_EXISTS when the display name is taken."
    )
    async def update_user(self, info: Info, input: UpdateUserInput) -> UserPayload:
        return await run_mutation(
            info,
            input,
            UserPayload,
            lambda session, viewer: update_user(
                session,
                viewer,
                id=input.id,
                **without_unset(UserChanges(display_name=input.display_name, email=input.email, github=input.github)),
            ),
        )
