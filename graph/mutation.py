"""How a mutation answers: its input as plain values, its outcome or its refusals as a payload."""

import dataclasses
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any, TypeVar

import strawberry
from strawberry.types import Info

from graph.declared import reader_of
from graph.user_errors import UserError, user_errors
from resolvers.refusals import Refusal, Refusals
from resolvers.writing import Outcome, Session, write

P = TypeVar("P")
F = TypeVar("F", bound=Callable[..., Any])
Write = Callable[..., Awaitable[Outcome]]
"""`(session, viewer, **input)` → what was written, by the payload's fields."""
Before = Callable[..., Awaitable[None]]
"""`(viewer, **input)`: what takes too long for a transaction, done before it begins."""

IDEMPOTENCY_KEY = "The same key with the same input answers with the first result; with another input it is refused."
EXPECTED_REVISION = "Refused with REVISION_CONFLICT, and nothing written, when the object has moved on."


def mutation(description: str) -> Callable[[F], F]:
    """A field of the root Mutation type, answered by the method below it."""

    def declare(method: F) -> F:
        field: Any = strawberry.mutation(method, description=description)
        for argument in field.arguments:
            argument.description = "What to write."
        declared: F = field
        return declared

    return declare


def idempotency_key() -> Any:
    """The input field that makes a call safe to repeat."""
    return strawberry.field(default=strawberry.UNSET, description=IDEMPOTENCY_KEY)


def expected_revision() -> Any:
    """The input field that refuses to overwrite what others changed."""
    return strawberry.field(default=strawberry.UNSET, description=EXPECTED_REVISION)


def wanted(description: str, **options: Any) -> Any:
    """An input field that must be given, or has a default."""
    return strawberry.field(description=description, **options)


def optional(description: str, **options: Any) -> Any:
    """An input field that may be left out; what is left out is not passed on."""
    return strawberry.field(default=strawberry.UNSET, description=description, **options)


def refused() -> Any:
    """The payload's list of refusals."""
    return strawberry.field(description="Why nothing was written; empty when it was.", default_factory=list)


async def perform(
    info: Info, payload: Callable[..., P], work: Write, input: object, *, before: Before | None = None
) -> P:
    """The payload of `work` done with `input`: what it wrote, or why it wrote nothing."""
    given = plain(input)
    key = given.pop("idempotency_key", None)
    reader_of(info).forget()
    viewer = reader_of(info).viewer

    def work_in(session: Session) -> Awaitable[Outcome]:
        return work(session, viewer, **given)

    try:
        if before:
            await before(viewer, **given)
        outcome = await write(viewer, info.field_name, given, key, work_in)
    except (Refusal, Refusals) as error:
        return payload(user_errors=user_errors(error))
    return payload(**outcome, user_errors=[])


async def perform_by_itself(
    info: Info, payload: Callable[..., P], work: Callable[..., Awaitable[Outcome]], input: object
) -> P:
    """The payload of `work(viewer, **input)`, which is one write, or sees to its transactions itself."""
    reader_of(info).forget()
    viewer = reader_of(info).viewer
    try:
        outcome = await work(viewer, **plain(input))
    except (Refusal, Refusals) as error:
        return payload(user_errors=user_errors(error))
    return payload(**outcome, user_errors=[])


def plain(value: Any) -> Any:
    """An input as plain values: dictionaries without what was left out, enum values instead of members."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {name: plain(one) for name, one in pairs if one is not strawberry.UNSET}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value.value if isinstance(value, Enum) else value


__all__ = [
    "UserError",
    "expected_revision",
    "idempotency_key",
    "mutation",
    "optional",
    "perform",
    "perform_by_itself",
    "plain",
    "refused",
    "wanted",
]
