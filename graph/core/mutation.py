"""Mutations: the fields of their inputs, and payloads with the outcome or the refusals."""

import dataclasses
import inspect
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from functools import partial
from typing import Any, Protocol, TypeVar, cast

import strawberry
from strawberry.types import Info
from strawberry.utils.str_converters import to_camel_case

from documents.mongo.transaction import Session
from graph.core.fields import loader_of
from graph.core.user_error_types import user_errors
from resolvers.access.roles import refuse_anonymous
from resolvers.access.viewer import Viewer
from resolvers.user_errors import Refusal, Refusals
from resolvers.writes.idempotency import KeyedCall, Repeat, keyed_call, run_idempotent
from resolvers.writes.stored_outcome import load_outcome
from resolvers.writes.transaction import Outcome

P = TypeVar("P")
F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=Mapping[str, object])
T = TypeVar("T")
V = TypeVar("V")
Write = Callable[[Session, Viewer], Awaitable[Outcome]]
"""Returns the written objects by the payload's fields."""
Precheck = Callable[[Viewer], Awaitable[None]]
"""Work that takes too long for a transaction and runs before it begins."""

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
        field: Any = strawberry.mutation(method, description=description, graphql_type=_payload_type(method))
        for argument in field.arguments:
            argument.description = f"The input of {to_camel_case(method.__name__)}."
        return cast(F, field)

    return declare


def _payload_type(method: Callable[..., Any]) -> type:
    """The class that the method returns if it is named for the mutation, else a subclass that is."""
    shared: Any = inspect.get_annotations(method, eval_str=True)["return"]
    name = "".join(word.capitalize() for word in [*method.__name__.split("_"), "payload"])
    if shared.__name__ == name:
        return cast(type, shared)
    own = type(name, (shared,), {"__module__": shared.__module__})
    contents = shared.__strawberry_definition__.description
    description = f"The outcome of {to_camel_case(method.__name__)}: {contents[0].lower()}{contents[1:]}"
    return strawberry.type(own, description=description)


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
    """An input field that may be left out: it then has its default, or without one is `strawberry.UNSET`."""
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


class Input(Protocol):
    """The input of a mutation."""

    idempotency_key: str | None


def or_none(value: T) -> T | None:
    """The value of an input field, None for a field that was left out."""
    return None if value is strawberry.UNSET else value


def without_unset(changes: C) -> C:
    """The changes without those whose input fields were left out, which differ from null."""
    return cast(C, {name: value for name, value in changes.items() if value is not strawberry.UNSET})


def convert(convert_value: Callable[[T], V], value: T | None) -> V | None:
    """The converted value of an input field, which stays as it is when it is null or left out."""
    return convert_value(value) if value else cast(V | None, value)


def convert_each(convert: Callable[[T], V], values: list[T] | None) -> list[V] | None:
    """The converted items of an input field, which stays as it is when it is null or left out."""
    return [convert(value) for value in values] if values else cast(list[V] | None, values)


def plain_values(value: Any) -> Any:
    """An input as plain values: dictionaries without the fields left out, and enum values instead of members."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {name: plain_values(item) for name, item in fields if item is not strawberry.UNSET}
    if isinstance(value, list):
        return [plain_values(item) for item in value]
    return value.value if isinstance(value, Enum) else value


async def run_mutation(
    info: Info,
    input: Input,
    payload: Callable[..., P],
    work: Write,
    *,
    precheck: Precheck | None = None,
    repeat: Repeat = load_outcome,
) -> P:
    """Run `work` in a transaction; returns the payload with the written objects, or with the reasons for refusing.

    When the call is repeated under its idempotency key, `repeat` shows the objects written before.
    """
    loader = loader_of(info)
    loader.clear_cache()
    viewer = loader.viewer
    key = or_none(input.idempotency_key)
    inputs = {} if key is None else _without_key(input)
    check = partial(precheck, viewer) if precheck else None

    def work_in(session: Session) -> Awaitable[Outcome]:
        return work(session, viewer)

    try:
        outcome = await run_idempotent(viewer, info.field_name, inputs, key, work_in, precheck=check, repeat=repeat)
    except (Refusal, Refusals) as error:
        return payload(user_errors=user_errors(error))
    return payload(**outcome, user_errors=[])


async def run_without_transaction(
    info: Info,
    input: Input,
    payload: Callable[..., P],
    work: Callable[[Viewer, KeyedCall | None], Awaitable[Outcome]],
    *,
    repeat: Repeat = load_outcome,
) -> P:
    """The payload of `work(viewer, call)`, which is a single write, or manages its transactions itself.

    `call` is None without an idempotency key.
    """
    loader = loader_of(info)
    loader.clear_cache()
    viewer = loader.viewer
    key = or_none(input.idempotency_key)
    try:
        refuse_anonymous(viewer)
        call = None if key is None else keyed_call(viewer, info.field_name, _without_key(input), key, repeat)
        outcome = await work(viewer, call)
    except (Refusal, Refusals) as error:
        return payload(user_errors=user_errors(error))
    return payload(**outcome, user_errors=[])


def _without_key(input: Input) -> dict[str, Any]:
    """The input as plain values, by which a repeated call under its idempotency key is recognised."""
    return {name: value for name, value in plain_values(input).items() if name != "idempotency_key"}
