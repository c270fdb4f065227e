"""Mutations: the input as plain values, and a payload with the outcome or the refusals."""

import dataclasses
import inspect
from collections.abc import Awaitable, Callable
from enum import Enum
from functools import partial
from typing import Any, TypeVar, cast

import strawberry
from strawberry.types import Info
from strawberry.utils.str_converters import to_camel_case

from documents.mongo.transaction import Session
from graph.core.fields import reader_of
from graph.core.user_error_types import UserError, user_errors
from resolvers.access.roles import refuse_anonymous
from resolvers.user_errors import Refusal, Refusals
from resolvers.writes.idempotency import Repeat, keyed_call, run_idempotent
from resolvers.writes.stored_outcome import load_outcome
from resolvers.writes.transaction import Outcome

P = TypeVar("P")
F = TypeVar("F", bound=Callable[..., Any])
Write = Callable[..., Awaitable[Outcome]]
"""`(session, viewer, **input)` → the written objects, by the payload's fields."""
Before = Callable[..., Awaitable[None]]
"""`(viewer, **input)`: work that takes too long for a transaction and runs before it begins."""

IDEMPOTENCY_KEY = (
    "Makes the call safe to retry: a repeated call with the same key and the same input writes nothing and returns "
    "what the first call wrote, in its current state, or NOT_FOUND when you may no longer see it. The same key with "
    "another input is refused with IDEMPOTENCY_MISMATCH. Keys are kept for 7 days."
)
EXPECTED_REVISION = (
    "The revision that the change is based on. When the object has changed since, the call is refused with "
    "REVISION_CONFLICT and nothing is written."
)


def mutation(description: str) -> Callable[[F], F]:
    """A field of the root Mutation type, answered by the method below it.

    Its type is a payload of its own, such as UpdateResourcePayload of update_resource, with the fields of the one that
    the method returns, so that each mutation's payload can grow on its own.
    """

    def declare(method: F) -> F:
        field: Any = strawberry.mutation(method, description=description, graphql_type=_own_payload(method))
        for argument in field.arguments:
            argument.description = f"The input of {to_camel_case(method.__name__)}."
        declared: F = field
        return declared

    return declare


def _own_payload(method: Callable[..., Any]) -> type:
    shared: Any = inspect.get_annotations(method, eval_str=True)["return"]
    name = "".join(word.capitalize() for word in [*method.__name__.split("_"), "payload"])
    if shared.__name__ == name:
        return cast(type, shared)
    own = type(name, (shared,), {"__module__": shared.__module__})
    what = shared.__strawberry_definition__.description
    outcome = f"The outcome of {to_camel_case(method.__name__)}: {what[0].lower()}{what[1:]}"
    return strawberry.type(own, description=outcome)


def idempotency_key() -> Any:
    """The input field that makes a call safe to repeat."""
    return strawberry.field(default=strawberry.UNSET, description=IDEMPOTENCY_KEY)


def expected_revision() -> Any:
    """The input field that prevents overwriting the changes of others."""
    return strawberry.field(default=strawberry.UNSET, description=EXPECTED_REVISION)


def required(description: str, **options: Any) -> Any:
    """An input field that must be given."""
    return strawberry.field(description=description, **options)


def optional(description: str, **options: Any) -> Any:
    """An input field that may be left out: it then has its default, and without one is not passed on."""
    if options.keys().isdisjoint({"default", "default_factory"}):
        options["default"] = strawberry.UNSET
    return strawberry.field(description=description, **options)


def user_errors_field() -> Any:
    """The payload's list of user errors."""
    return strawberry.field(
        description="Reasons why nothing was written, or why the outcome of an earlier call is not shown again. Empty "
        "on success.",
        default_factory=list,
    )


async def run_mutation(
    info: Info,
    payload: Callable[..., P],
    work: Write,
    input: object,
    *,
    before: Before | None = None,
    repeat: Repeat = load_outcome,
) -> P:
    """The payload of `work` run with `input`: the written objects, or the reasons for refusing.

    When the call is repeated under its idempotency key, `repeat` shows the objects written before.
    """
    given = plain(input)
    key = given.pop("idempotency_key", None)
    reader_of(info).forget()
    viewer = reader_of(info).viewer

    def work_in(session: Session) -> Awaitable[Outcome]:
        return work(session, viewer, **given)

    first = partial(before, viewer, **given) if before else None
    try:
        outcome = await run_idempotent(viewer, info.field_name, given, key, work_in, before=first, repeat=repeat)
    except (Refusal, Refusals) as error:
        return payload(user_errors=user_errors(error))
    return payload(**outcome, user_errors=[])


async def run_without_transaction(
    info: Info,
    payload: Callable[..., P],
    work: Callable[..., Awaitable[Outcome]],
    input: object,
    *,
    repeat: Repeat = load_outcome,
) -> P:
    """The payload of `work(viewer, call, **input)`, which is a single write, or manages its transactions itself.

    `call` is None without an idempotency key.
    """
    given = plain(input)
    key = given.pop("idempotency_key", None)
    reader_of(info).forget()
    viewer = reader_of(info).viewer
    try:
        refuse_anonymous(viewer)
        call = None if key is None else keyed_call(viewer, info.field_name, given, key, repeat)
        outcome = await work(viewer, call, **given)
    except (Refusal, Refusals) as error:
        return payload(user_errors=user_errors(error))
    return payload(**outcome, user_errors=[])


def plain(value: Any) -> Any:
    """An input as plain values: dictionaries without the fields left out, and enum values instead of members."""
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
    "plain",
    "required",
    "run_mutation",
    "run_without_transaction",
    "user_errors_field",
]
