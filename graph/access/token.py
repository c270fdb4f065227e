"""API tokens in the GraphQL schema."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import strawberry
from strawberry.types import Info

import documents
from graph.core.enums import describe_enum
from graph.core.mutation import (
    idempotency_key,
    mutation,
    optional,
    or_none,
    required,
    run_mutation,
    user_errors_field,
)
from graph.core.node import Node
from graph.core.pagination import Connection
from graph.core.user_error_types import UserError
from graph.core.view import argument, lookup, one, root_connection, stored, view
from graph.core.where import Condition, IDFilter, StringFilter, order_input, where_input
from resolvers.access import viewer
from resolvers.access.token import create_token, revoke_token
from resolvers.access.token_secret import hash_of, new_secret
from resolvers.reads.rows import Row

if TYPE_CHECKING:
    from graph.catalogue.organisation import Organisation
    from graph.catalogue.resource import Resource
    from graph.twins.user import User

TokenRole = describe_enum(
    viewer.TokenRole,
    "The role that an API token gives its bearer.",
    USER="Writes objects of the token's user.",
    WORKER="Writes the catalogue and the component registry, and reports activities.",
    ADMIN="Reads and writes everything.",
)
TokenWhere = where_input(
    "Token",
    documents.Token,
    name=Condition(StringFilter, "name", "Filter by the token's name."),
    user_id=Condition(IDFilter, "user_ref", "Filter by the user that the token stands for."),
)
TokenOrder = order_input("Token", documents.Token, NAME="name", CREATED_AT="created_at")
SECRET_NOT_REPEATED = (
    "This call repeats an earlier one. The secret was in the payload of that call and is not kept: if you do not have "
    "it, revoke this token and create another one, with another idempotencyKey."
)


@view(documents.Token)
class Token(Node):
    """An API token, whose secret authenticates its bearer. You see those that stand for you; administrators see all."""

    name: str = stored(description="The token's purpose, as it was named when it was created.")
    role: TokenRole = stored(description="The role of the token's bearer.")  # type: ignore[valid-type]
    user: "User | None" = one(
        documents.User, "user_ref", description="The user that the token stands for. Null when it stands for none."
    )
    organisation: "Organisation | None" = one(
        documents.Organisation,
        "organisation_ref",
        description="The organisation that a WORKER's token is bound to: it works for resources of that one alone. "
        "Null when it is bound to none.",
    )
    resource: "Resource | None" = one(
        documents.Resource,
        "resource_ref",
        description="The resource that a WORKER's token is bound to: it works for that one alone. Null when it is "
        "bound to none.",
    )
    created_at: datetime = stored(description="When the token was created.")
    expires_at: datetime | None = stored(description="When the token expires. Null when it does not.")
    last_used_at: datetime | None = stored(
        description="When the token was last used, to the minute. Null when it never was."
    )
    revoked_at: datetime | None = stored(description="When the token was revoked. Null when it was not.")


@view()
class TokenQuery:
    token: Token | None = lookup(
        documents.Token,
        argument("id", strawberry.ID, description="The token's id."),
        description="The API token with this id. Null when there is none that you may see.",
    )
    tokens: Connection[Token] = root_connection(
        documents.Token,
        where=TokenWhere,
        order_by=TokenOrder,
        description="The API tokens that you may see, also expired and revoked ones: those that stand for you, and for "
        "administrators all. Oldest first unless orderBy is given.",
    )


@strawberry.input(description="An API token to create.")
class CreateTokenInput:
    idempotency_key: str | None = idempotency_key()
    name: str = required("The token's purpose, by which you recognise it when you revoke it.")
    role: TokenRole = optional(  # type: ignore[valid-type]
        "The role of the token's bearer. Only administrators create tokens of another role than USER.",
        default=viewer.TokenRole.USER,
    )
    user_id: strawberry.ID | None = optional(
        "Id of the user that the token stands for. A USER token stands for you unless an administrator names another "
        "user; the others stand for nobody by default."
    )
    organisation_id: strawberry.ID | None = optional(
        "Id of the organisation that a WORKER's token is bound to: it claims, reports and publishes for resources of "
        "that one alone, and writes nothing else."
    )
    resource_id: strawberry.ID | None = optional(
        "Id of the resource that a WORKER's token is bound to: it claims, reports and publishes for that one alone, "
        "and writes nothing else."
    )
    expires_at: datetime | None = optional(
        "When the token expires, at the latest when the API token does with which you create it. Without a time it "
        "expires with that one, or never when you signed in otherwise."
    )


@strawberry.type(description="The token with its secret, or the reasons why there is none.")
class CreateTokenPayload:
    token: Token | None = strawberry.field(description="The token. Null when the call was refused.", default=None)
    secret: str | None = strawberry.field(
        description="The secret that authenticates the token's bearer, shown only once and stored only as a hash. Null "
        "when a call is repeated.",
        default=None,
    )
    notice: str | None = strawberry.field(
        description="A sentence that says why there is no secret, when a call is repeated. Null otherwise.",
        default=None,
    )
    user_errors: list[UserError] = user_errors_field()


@strawberry.input(description="An API token to revoke.")
class RevokeTokenInput:
    idempotency_key: str | None = idempotency_key()
    id: strawberry.ID = required("Id of the token.")


@strawberry.type(description="The token that was revoked, or the reasons why it was not.")
class RevokeTokenPayload:
    token: Token | None = strawberry.field(
        description="The token in its current state. Null when the call was refused.", default=None
    )
    user_errors: list[UserError] = user_errors_field()


@strawberry.type
class TokenMutation:
    @mutation(
        "Create an API token; the payload contains its secret, this once. Users create USER tokens for themselves, "
        "administrators any for anybody, workers none."
    )
    async def create_token(self, info: Info, input: CreateTokenInput) -> CreateTokenPayload:
        secret = new_secret()
        return await run_mutation(
            info,
            input,
            _payload_with_secret(secret),
            lambda session, viewer: create_token(
                session,
                viewer,
                secret=secret,
                role=input.role,
                name=input.name,
                user_id=or_none(input.user_id),
                organisation_id=or_none(input.organisation_id),
                resource_id=or_none(input.resource_id),
                expires_at=or_none(input.expires_at),
            ),
        )

    @mutation(
        "Revoke an API token and all tokens that were created with it, at any depth: requests with them are refused "
        "from now on. Users revoke tokens that stand for them, but for those of the role ADMIN; administrators any."
    )
    async def revoke_token(self, info: Info, input: RevokeTokenInput) -> RevokeTokenPayload:
        return await run_mutation(
            info,
            input,
            RevokeTokenPayload,
            lambda session, viewer: revoke_token(session, viewer, id=input.id),
        )


def _payload_with_secret(secret: str) -> Callable[..., CreateTokenPayload]:
    """Return the function that makes a payload, with the secret if it is the token's: a repeated call makes one that is
    not stored.

    The secret is not part of the outcome, because outcomes are stored for as long as a call may be repeated.
    """

    def payload(user_errors: list[UserError], token: Any = None) -> CreateTokenPayload:
        row: Row | None = token
        is_first = row is not None and row["hash"] == hash_of(secret)
        return CreateTokenPayload(
            token=token,
            secret=secret if is_first else None,
            notice=SECRET_NOT_REPEATED if row is not None and not is_first else None,
            user_errors=user_errors,
        )

    return payload
