"""Refusals as data: what a payload says instead of an object."""

from __future__ import annotations

from enum import Enum
from typing import Any

import strawberry

from graph.node import Node
from resolvers import refusals
from resolvers.refusals import Refusal as Refused
from resolvers.refusals import Refusals


@strawberry.enum(description="Why a mutation was refused.")
class ErrorCode(Enum):
    VALIDATION = strawberry.enum_value("VALIDATION", description="A value cannot be taken.")
    NOT_FOUND = strawberry.enum_value("NOT_FOUND", description="No such thing exists that you may see.")
    FORBIDDEN = strawberry.enum_value("FORBIDDEN", description="You may not do this.")
    REVISION_CONFLICT = strawberry.enum_value(
        "REVISION_CONFLICT", description="The object has moved on; nothing was written."
    )
    ALREADY_EXISTS = strawberry.enum_value(
        "ALREADY_EXISTS", description="Another object holds a key that must be unique."
    )
    INVALID_STATE = strawberry.enum_value("INVALID_STATE", description="The object's state does not allow this.")
    IDEMPOTENCY_MISMATCH = strawberry.enum_value(
        "IDEMPOTENCY_MISMATCH", description="The key was used with another input."
    )
    IN_PROGRESS = strawberry.enum_value(
        "IN_PROGRESS", description="The first call with this key has not ended; ask again."
    )
    CHECKSUM_MISMATCH = strawberry.enum_value(
        "CHECKSUM_MISMATCH", description="The bytes are not those that were announced."
    )
    UNSUPPORTED_VERSION = strawberry.enum_value(
        "UNSUPPORTED_VERSION", description="This release does not know the version."
    )
    LIMIT_EXCEEDED = strawberry.enum_value("LIMIT_EXCEEDED", description="More than the server takes in one go.")


def _code() -> Any:
    return strawberry.field(description="For programs.")


def _message() -> Any:
    return strawberry.field(description="For people; names the thing and the value.")


def _path() -> Any:
    return strawberry.field(description='Path into the input, e.g. ["input","steps","2","parameters"].')


@strawberry.interface(description="Why nothing was written.")
class UserError:
    code: ErrorCode = _code()
    message: str = _message()
    path: list[str] = _path()


@strawberry.type(description="A value that cannot be taken.")
class InvalidInput(UserError):
    pass


@strawberry.type(description="Nothing with this id exists that you may see.")
class NotFound(UserError):
    pass


@strawberry.type(description="You may see the object, but not do this to it.")
class Forbidden(UserError):
    pass


@strawberry.type(description="The object has moved on since you read it.")
class RevisionConflict(UserError):
    expected_revision: int = strawberry.field(description="What the call expected.")
    current_revision: int = strawberry.field(description="What the object is at.")
    current: Node | None = strawberry.field(description="The object as it is now, to merge with.")


@strawberry.type(description="A move that the object's state does not allow.")
class InvalidState(UserError):
    current_state: str = strawberry.field(description="Where the object stands.")
    allowed_states: list[str] = strawberry.field(description="Where it would have to stand.")


@strawberry.type(description="Any other refusal; the code says which.")
class Refusal(UserError):
    pass


SHOWN_AS: dict[type[Refused], type[UserError]] = {
    refusals.InvalidInput: InvalidInput,
    refusals.NotFound: NotFound,
    refusals.Forbidden: Forbidden,
    refusals.RevisionConflict: RevisionConflict,
    refusals.InvalidState: InvalidState,
}


def user_errors(refused: Refused | Refusals) -> list[UserError]:
    """The refusals as a client sees them."""
    return [_shown(one) for one in (refused.refusals if isinstance(refused, Refusals) else [refused])]


def _shown(refused: Refused) -> UserError:
    common: dict[str, Any] = {
        "code": ErrorCode(refused.error_code),
        "message": refused.message,
        "path": ["input", *refused.path],
    }
    if isinstance(refused, refusals.RevisionConflict):
        common |= {"expected_revision": refused.expected_revision, "current_revision": refused.current_revision}
        common["current"] = refused.current
    if isinstance(refused, refusals.InvalidState):
        common |= {"current_state": refused.current_state, "allowed_states": refused.allowed_states}
    return SHOWN_AS.get(type(refused), Refusal)(**common)
