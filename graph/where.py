"""Inputs that filter and order lists, each declared as a table from field to what the document keeps."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, EnumMeta
from types import NoneType
from typing import Any, get_args

import strawberry
from strawberry.annotation import StrawberryAnnotation

from documents.paths import stored_path
from graph.scalars import BigInt
from resolvers import filters
from resolvers.filters import Filter
from resolvers.links import Document
from resolvers.order import ASCENDING, DESCENDING, Order, SortKey
from resolvers.refusals import LimitExceeded

UNSET = strawberry.UNSET
DEEPEST = 5
"""How deep and, or and not may be nested."""


def given(description: str, **options: Any) -> Any:
    """An input field that may be left out."""
    return strawberry.field(default=UNSET, description=description, **options)


@strawberry.input(description="Which ids.")
class IDFilter:
    eq: strawberry.ID | None = given("Exactly this id.")
    in_: list[strawberry.ID] | None = given("One of these ids. An empty list matches nothing.", name="in")


@strawberry.input(description="Which texts. Upper and lower case are told apart.")
class StringFilter:
    eq: str | None = given("Exactly this text; null matches what has none.")
    in_: list[str] | None = given("One of these texts. An empty list matches nothing.", name="in")
    contains: str | None = given("Texts with this part in them.")
    starts_with: str | None = given("Texts that begin with this.")


@strawberry.input(description="Which truth value.")
class BooleanFilter:
    eq: bool | None = given("Exactly this value; null matches what has none.")


@strawberry.input(description="Which times. Half-open windows (gte, lt) tile without overlap.")
class DateTimeFilter:
    gte: datetime | None = given("At this time or later.")
    gt: datetime | None = given("Later than this time.")
    lte: datetime | None = given("At this time or earlier.")
    lt: datetime | None = given("Earlier than this time.")


@strawberry.input(description="Which whole numbers.")
class BigIntFilter:
    eq: BigInt | None = given("Exactly this number; null matches what has none.")
    gte: BigInt | None = given("This number or more.")
    gt: BigInt | None = given("More than this number.")
    lte: BigInt | None = given("This number or less.")
    lt: BigInt | None = given("Less than this number.")


OPERATORS: dict[str, Callable[[str, Any], Filter]] = {
    "eq": filters.equals,
    "in_": filters.is_one_of,
    "contains": filters.contains,
    "starts_with": filters.starts_with,
    **{name: lambda path, value, name=name: filters.compares(path, name, value) for name in ("gte", "gt", "lte", "lt")},  # type: ignore[misc]
}


@dataclass(frozen=True)
class By:
    """One condition of a where input: which filter, on what the document keeps at `path`.

    `read` turns the given value into a filter where the type of `filter` does not say how.
    """

    filter: Any
    path: str
    description: str
    read: Callable[[str, Any], Filter] | None = None


@dataclass(frozen=True)
class WhereInput:
    """A where input and its translation into a filter."""

    type: Any
    conditions: dict[str, tuple[str, Callable[[str, Any], Filter]]]

    def to_filter(self, where: Any, depth: int = 1) -> Filter:
        """The filter that `where`, an instance of the input, stands for."""
        if depth > DEEPEST:
            raise LimitExceeded(f"A where may be nested {DEEPEST} deep, not deeper.")
        given = ((path, read, getattr(where, name)) for name, (path, read) in self.conditions.items())
        asked = [read(path, value) for path, read, value in given if value is not UNSET and value is not None]
        if (both := getattr(where, "and_", None)) is not None and both is not UNSET:
            asked.append(filters.all_of(self.to_filter(one, depth + 1) for one in both))
        if (either := getattr(where, "or_", None)) is not None and either is not UNSET:
            asked.append(filters.any_of(self.to_filter(one, depth + 1) for one in either))
        if (neither := getattr(where, "not_", None)) is not None and neither is not UNSET:
            asked.append(filters.none_of(self.to_filter(neither, depth + 1)))
        return filters.all_of(asked)


def where_input(name: str, document: Document, /, combined: bool = True, **conditions: By) -> WhereInput:
    """A `<name>Where` input with these conditions and, unless told otherwise, and, or and not."""
    annotations: dict[str, Any] = {key: one.filter | None for key, one in conditions.items()}
    members: dict[str, Any] = {key: given(one.description) for key, one in conditions.items()}
    if combined:
        annotations |= dict.fromkeys(("and_", "or_", "not_"), Any)
        members["and_"] = given("All of these as well. An empty list changes nothing.", name="and")
        members["or_"] = given("At least one of these. An empty list matches nothing.", name="or")
        members["not_"] = given("Not this.", name="not")
    made = type(f"{name}Where", (), {"__annotations__": annotations, "__module__": __name__, **members})
    shown = strawberry.input(made, description=f"Which of the {name} objects to list. All conditions must hold.")
    if combined:
        _refer_to_itself(shown)
    return WhereInput(
        shown, {key: (stored_path(document, by.path)[0], by.read or condition) for key, by in conditions.items()}
    )


def _refer_to_itself(shown: Any) -> None:
    kinds = {"and_": list[shown] | None, "or_": list[shown] | None, "not_": shown | None}
    for field in shown.__strawberry_definition__.fields:
        if field.python_name in kinds:
            field.type_annotation = StrawberryAnnotation(kinds[field.python_name])


def condition(path: str, asked: Any) -> Filter:
    """What an instance of one of the filters above, or a list of values, asks of what stands at `path`."""
    if isinstance(asked, list):
        return filters.is_one_of(path, [one.value if isinstance(one, Enum) else one for one in asked])
    values = {name: getattr(asked, name, UNSET) for name in OPERATORS}
    return filters.all_of(
        OPERATORS[name](path, value)
        for name, value in values.items()
        if value is not UNSET and (value is not None or name == "eq")
    )


@strawberry.enum(description="Upwards or downwards. What has no value comes last either way.")
class OrderDirection(Enum):
    ASC = strawberry.enum_value(ASCENDING, description="Smallest, earliest or first in the alphabet first.")
    DESC = strawberry.enum_value(DESCENDING, description="Largest, latest or last in the alphabet first.")


@dataclass(frozen=True)
class OrderInput:
    """An order input and its translation."""

    type: Any
    keys: dict[str, SortKey]

    def to_order(self, asked: list[Any]) -> Order:
        """The order that a list of the input's instances stands for."""
        return Order.by(*(self.keys[one.field.name].towards(one.direction.value) for one in asked))


def order_input(
    name: str, document: Document, /, default: OrderDirection = OrderDirection.ASC, **fields: str
) -> OrderInput:
    """A `<name>Order` input over these fields, given as `FIELD="python path"`."""
    values = {key: strawberry.enum_value(key, description=f"By {key.lower().replace('_', ' ')}.") for key in fields}
    kind: Any = EnumMeta.__call__(Enum, f"{name}OrderField", values, module=__name__)
    members = strawberry.enum(kind, description=f"What lists of {name} objects can be ordered by.")
    body = {
        "__annotations__": {"field": members, "direction": OrderDirection},
        "__module__": __name__,
        "field": strawberry.field(description="What to order by."),
        "direction": strawberry.field(default=default, description="In which direction."),
    }
    shown = strawberry.input(type(f"{name}Order", (), body), description=f"An order for lists of {name} objects.")
    return OrderInput(shown, {key: sort_key(document, path) for key, path in fields.items()})


def sort_key(document: Document, path: str) -> SortKey:
    """The key for sorting by what a document keeps at `path`."""
    found, info = stored_path(document, path)
    held = str(info.annotation)
    kind: Any = next((one for one in (datetime, float, int) if one.__name__ in held), str)
    return SortKey(found, kind, nullable=NoneType in get_args(info.annotation))
