"""Users, as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import strawberry
from strawberry.types import Info

import documents
from graph.connection import Connection
from graph.digital_twin import DigitalTwinOrder, DigitalTwinWhere
from graph.mutation import idempotency_key, mutation, optional, perform, refused, wanted
from graph.node import Node
from graph.user_errors import UserError
from graph.view import argument, computed, every, found, many, stored, view
from graph.where import By, StringFilter, order_input, where_input
from resolvers.user import create_user, emails

if TYPE_CHECKING:
    from graph.digital_twin import DigitalTwin

UserWhere = where_input(
    "User",
    documents.User,
    display_name=By(StringFilter, "display_name", "Their name on this server."),
    github=By(StringFilter, "github", "Their name on GitHub."),
)
UserOrder = order_input("User", documents.User, DISPLAY_NAME="display_name", CREATED_AT="created_at")


@view(documents.User)
class User(Node):
    """A person or an account that owns digital twins."""

    display_name: str = stored(description="Their name on this server, unique.")
    email: str | None = computed(emails, "email", description="Visible to the user and to administrators only.")
    github: str | None = stored(description="Their name on GitHub.")
    digital_twins: Connection[DigitalTwin] = many(
        documents.DigitalTwin,
        "owner_ref",
        where=DigitalTwinWhere,
        order_by=DigitalTwinOrder,
        description="Digital twins that they own, oldest first.",
    )
    created_at: datetime = stored(description="When they were first recorded.")
    updated_at: datetime = stored(description="When they last changed.")


@view()
class UserQuery:
    user: User | None = found(
        documents.User,
        argument("id", strawberry.ID | None, description="Their id."),
        argument("display_name", str | None, description="Their name on this server."),
        description="The user with this id or this name.",
    )
    users: Connection[User] = every(
        documents.User, where=UserWhere, order_by=UserOrder, description="All users, oldest first."
    )


@strawberry.input(description="A new user.")
class CreateUserInput:
    idempotency_key: str | None = idempotency_key()
    display_name: str = wanted("Their name on this server; no two users have the same.")
    email: str = wanted("Where they are reached; shown to them and to administrators only.")
    github: str | None = optional("Their name on GitHub.")


@strawberry.type(description="A user that was written, or why it was not.")
class UserPayload:
    user: User | None = strawberry.field(description="As they are now.", default=None)
    user_errors: list[UserError] = refused()


@strawberry.type
class UserMutation:
    @mutation("Record a user. For administrators: who signs in is recorded at their first visit.")
    async def create_user(self, info: Info, input: CreateUserInput) -> UserPayload:
        return await perform(info, UserPayload, create_user, input)
