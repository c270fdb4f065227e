"""User errors: refusals as data, which a payload shows instead of an object."""

from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

import strawberry

from graph.core.node import Node
from resolvers import user_errors as refusals
from resolvers.user_errors import Refusal as Refused
from resolvers.user_errors import Refusals

E = TypeVar("E", bound="UserError")


@strawberry.enum(description="The reason why a mutation was refused, as a code for programs.")
class ErrorCode(Enum):
    VALIDATION = strawberry.enum_value("VALIDATION", description="An input value is invalid.")
    NOT_FOUND = strawberry.enum_value(
        "NOT_FOUND", description="No object with this id or key exists, or you may not see it."
    )
    FORBIDDEN = strawberry.enum_value("FORBIDDEN", description="You may not perform this operation.")
    REVISION_CONFLICT = strawberry.enum_value(
        "REVISION_CONFLICT", description="The object has changed since you read it; nothing was written."
    )
    ALREADY_EXISTS = strawberry.enum_value(
        "ALREADY_EXISTS", description="Another object already has a key that must be unique."
    )
    INVALID_STATE = strawberry.enum_value(
        "INVALID_STATE", description="The object's state does not allow this operation."
    )
    IDEMPOTENCY_MISMATCH = strawberry.enum_value(
        "IDEMPOTENCY_MISMATCH", description="The idempotencyKey was used before with another input."
    )
    IN_PROGRESS = strawberry.enum_value(
        "IN_PROGRESS",
        description="The first call with this idempotencyKey, or the reading of an uploaded file, is still in "
        "progress; retry later.",
    )
    CHECKSUM_MISMATCH = strawberry.enum_value(
        "CHECKSUM_MISMATCH", description="The bytes are not those that were announced."
    )
    UNSUPPORTED_VERSION = strawberry.enum_value(
        "UNSUPPORTED_VERSION", description="This release does not support the given format version."
    )
    LIMIT_EXCEEDED = strawberry.enum_value("LIMIT_EXCEEDED", description="The request exceeds a limit of the server.")
    QUOTA_EXCEEDED = strawberry.enum_value(
        "QUOTA_EXCEEDED", description="A quota of yours is used up; the message says when it is renewed."
    )


@strawberry.interface(description="The reason why a mutation was refused.")
class UserError:
    code: ErrorCode = strawberry.field(description="The reason as a code for programs.")
    message: str = strawberry.field(
        description="Human-readable explanation that names the object and the value concerned."
    )
    path: list[str] = strawberry.field(
        description='Path to the refused value within the arguments, such as ["input","steps","2","parameters"].'
    )


GRAPHQL_TYPES: dict[type[Refused], type[UserError]] = {}
_ATTRIBUTES: dict[type[Refused], dict[str, str]] = {}


def shows(refusal: type[Refused], **attributes: str) -> Callable[[type[E]], type[E]]:
    """Show refusals of a class as the decorated type, whose own fields are the refusal's `attributes`."""

    def decorate(cls: type[E]) -> type[E]:
        GRAPHQL_TYPES[refusal] = cls
        _ATTRIBUTES[refusal] = attributes
        return cls

    return decorate


@shows(refusals.InvalidInput)
@strawberry.type(description="A refusal because an input value is invalid.")
class InvalidInput(UserError):
    pass


@shows(refusals.NotFound)
@strawberry.type(description="A refusal because no object with this id exists, or you may not see it.")
class NotFound(UserError):
    pass


@shows(refusals.Forbidden)
@strawberry.type(description="A refusal because you may see the object but not perform this operation on it.")
class Forbidden(UserError):
    pass


@shows(
    refusals.RevisionConflict,
    expected_revision="expected_revision",
    current_revision="current_revision",
    current="current",
)
@strawberry.type(description="A refusal because the object has changed since you read it.")
class RevisionConflict(UserError):
    expected_revision: int = strawberry.field(description="The revision that the call expected.")
    current_revision: int = strawberry.field(description="The object's current revision.")
    current: Node | None = strawberry.field(description="The object in its current state, to merge your changes with.")


@shows(refusals.InvalidState, current_state="current_state", allowed_states="allowed_states")
@strawberry.type(description="A refusal because the object's state does not allow the operation.")
class InvalidState(UserError):
    current_state: str = strawberry.field(description="The object's current state.")
    allowed_states: list[str] = strawberry.field(description="The states in which the operation is allowed.")


@strawberry.type(description="A refusal of any other kind, identified by its code.")
class Refusal(UserError):
    pass


def user_errors(refused: Refused | Refusals) -> list[UserError]:
    """The refusals as user errors."""
    return [_user_error(each) for each in (refused.refusals if isinstance(refused, Refusals) else [refused])]


def _user_error(refused: Refused) -> UserError:
    common: dict[str, Any] = {
        "code": ErrorCode(refused.error_code),
        "message": refused.message,
        "path": ["input", *refused.path],
    }
    own = {field: getattr(refused, name) for field, name in _ATTRIBUTES.get(type(refused), {}).items()}
    return GRAPHQL_TYPES.get(type(refused), Refusal)(**common, **own)
