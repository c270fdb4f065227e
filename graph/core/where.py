"""Inputs that filter and order lists, each declared as a table from its fields to stored paths."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, EnumMeta
from functools import cache, partial
from types import NoneType
from typing import Any, NamedTuple, get_args

import strawberry
from strawberry.annotation import StrawberryAnnotation
from strawberry.utils.str_converters import to_camel_case

from documents.mongo.field_paths import list_on, stored_path
from graph.core.scalars import BigInt
from resolvers import filters
from resolvers.filters import Filter
from resolvers.reads.order import ASCENDING, DESCENDING, Order, SortKey
from resolvers.reads.relations import Document
from resolvers.user_errors import LimitExceeded

UNSET = strawberry.UNSET
WHERE_INPUTS: set[str] = set()
"""The names of all inputs that filter lists."""
ORDER_INPUTS: set[str] = set()
"""The names of all inputs that order lists."""
DEEPEST = 5
"""The maximum nesting of and, or and not."""


def given(description: str, **options: Any) -> Any:
    """An optional field of a filter."""
    return strawberry.field(default=UNSET, description=description, **options)


@strawberry.input(description="A filter on ids.")
class IDFilter:
    eq: strawberry.ID | None = given("Matches exactly this id; null matches objects without one.")
    in_: list[strawberry.ID] | None = given("Matches any of these ids. An empty list matches nothing.", name="in")


@strawberry.input(description="A filter on texts. Comparisons are case-sensitive.")
class StringFilter:
    eq: str | None = given("Matches exactly this text; null matches objects without one.")
    in_: list[str] | None = given("Matches any of these texts. An empty list matches nothing.", name="in")
    contains: str | None = given("Matches texts that contain this one.")
    starts_with: str | None = given("Matches texts that begin with this one.")


@strawberry.input(description="A filter on boolean values.")
class BooleanFilter:
    eq: bool | None = given("Matches exactly this value; null matches objects without one.")


@strawberry.input(description="A filter on times. Half-open windows (gte and lt) follow one another without overlap.")
class DateTimeFilter:
    gte: datetime | None = given("Matches this time and later ones.")
    gt: datetime | None = given("Matches times later than this one.")
    lte: datetime | None = given("Matches this time and earlier ones.")
    lt: datetime | None = given("Matches times earlier than this one.")


@strawberry.input(description="A filter on whole numbers.")
class BigIntFilter:
    eq: BigInt | None = given("Matches exactly this number; null matches objects without one.")
    gte: BigInt | None = given("Matches this number and greater ones.")
    gt: BigInt | None = given("Matches numbers greater than this one.")
    lte: BigInt | None = given("Matches this number and smaller ones.")
    lt: BigInt | None = given("Matches numbers smaller than this one.")


OPERATORS: dict[str, Callable[[str, Any], Filter]] = {
    "eq": filters.equals,
    "in_": filters.is_one_of,
    "not_in": filters.is_none_of,
    "contains": filters.contains,
    "starts_with": filters.starts_with,
    **{name: lambda path, value, name=name: filters.compares(path, name, value) for name in ("gte", "gt", "lte", "lt")},  # type: ignore[misc]
}


@cache
def enum_filter(kind: Any) -> Any:
    """The input `<kind>Filter`, which filters by the values of an enum."""
    body = {
        "__annotations__": {"in_": list[kind] | None, "not_in": list[kind] | None},
        "__module__": __name__,
        "in_": given("Matches any of these values. An empty list matches nothing.", name="in"),
        "not_in": given("Matches all values except these. An empty list matches everything."),
    }
    return strawberry.input(
        type(f"{kind.__name__}Filter", (), body), description=f"A filter on {kind.__name__} values."
    )


@dataclass(frozen=True)
class By:
    """One condition of a where input: a filter on the stored value at `path`.

    `read` turns the given value into a filter where the type of `filter` does not imply how. `instead` is the condition
    that replaces a deprecated one.
    """

    filter: Any
    path: str
    description: str
    read: Callable[[str, Any], Filter] | None = None
    instead: str | None = None


def by_enum(name: str, kind: Any, path: str, description: str) -> dict[str, By]:
    """The condition `<name>Filter`, and the older list of values as `name`."""
    return {
        f"{name}_filter": By(enum_filter(kind), path, description),
        name: By(list[kind], path, f"{description[:-1]}, given as a list of accepted values.", instead=f"{name}Filter"),
    }


@dataclass(frozen=True)
class WhereInput:
    """A where input and its translation into a filter."""

    type: Any
    conditions: dict[str, tuple[str, Callable[[str, Any], Filter]]]

    def to_filter(self, where: Any, depth: int = 1) -> Filter:
        """The filter for `where`, an instance of the input."""
        if depth > DEEPEST:
            raise LimitExceeded(f"A where may be nested at most {DEEPEST} levels deep.")
        given = ((path, read, getattr(where, name)) for name, (path, read) in self.conditions.items())
        asked = [read(path, value) for path, read, value in given if value is not UNSET and value is not None]
        if (both := getattr(where, "and_", None)) is not None and both is not UNSET:
            asked.append(filters.all_of(self.to_filter(one, depth + 1) for one in both))
        if (either := getattr(where, "or_", None)) is not None and either is not UNSET:
            asked.append(filters.any_of(self.to_filter(one, depth + 1) for one in either))
        if (neither := getattr(where, "not_", None)) is not None and neither is not UNSET:
            asked.append(filters.none_of(self.to_filter(neither, depth + 1)))
        return filters.all_of(asked)


def where_input(name: str, document: Document, /, **conditions: By) -> WhereInput:
    """A `<name>Where` input with these conditions, and with and, or and not."""
    annotations: dict[str, Any] = {key: one.filter | None for key, one in conditions.items()}
    annotations |= dict.fromkeys(("and_", "or_", "not_"), Any)
    members: dict[str, Any] = {
        key: given(one.description, deprecation_reason=f"Use {one.instead}." if one.instead else None)
        for key, one in conditions.items()
    }
    members["and_"] = given("Further conditions, all of which must hold. An empty list changes nothing.", name="and")
    members["or_"] = given(
        "Alternative conditions, at least one of which must hold. An empty list matches nothing.", name="or"
    )
    members["not_"] = given("A condition that must not hold.", name="not")
    made = type(f"{name}Where", (), {"__annotations__": annotations, "__module__": __name__, **members})
    shown = strawberry.input(made, description=f"Conditions on {name} objects, all of which must hold.")
    _refer_to_itself(shown)
    WHERE_INPUTS.add(f"{name}Where")
    return WhereInput(shown, {key: _bound(document, by) for key, by in conditions.items()})


def _bound(document: Document, by: By) -> tuple[str, Callable[[str, Any], Filter]]:
    """The stored path that a condition is about, and the function that turns a given value into a filter."""
    path, _ = stored_path(document, by.path)
    held = list_on(document, by.path)
    return path, by.read or (partial(_condition_on_list, held) if held else condition)


def _condition_on_list(held: str, path: str, asked: Any) -> Filter:
    below = path.removeprefix(held).removeprefix(".")
    return on_elements(
        asked, filters.has_no_elements(held), lambda: filters.has_element(held, below, _conditions(below, asked))
    )


def _refer_to_itself(shown: Any) -> None:
    kinds = {"and_": list[shown] | None, "or_": list[shown] | None, "not_": shown | None}
    for field in shown.__strawberry_definition__.fields:
        if field.python_name in kinds:
            field.type_annotation = StrawberryAnnotation(kinds[field.python_name])


def condition(path: str, asked: Any) -> Filter:
    """The filter on `path` for an instance of one of the filters above, or for a list of values."""
    return filters.all_of(_conditions(path, asked))


def on_elements(asked: Any, none: Filter, some: Callable[[], Filter]) -> Filter:
    """The filter on lists that need one element which meets all conditions.

    `none` is the filter for a missing or empty list, which null stands for; `some` makes the filter for a list with
    such an element.
    """
    given = _conditions("", asked)
    if getattr(asked, "eq", UNSET) is None:
        return none if len(given) == 1 else filters.MATCH_NOTHING
    return some() if given else {}


def _conditions(path: str, asked: Any) -> list[Filter]:
    """The conditions of an instance of one of the filters above, or of a list of values."""
    if isinstance(asked, list):
        return [filters.is_one_of(path, _stored(asked))]
    values = {name: getattr(asked, name, UNSET) for name in OPERATORS}
    return [
        OPERATORS[name](path, _stored(value))
        for name, value in values.items()
        if value is not UNSET and (value is not None or name == "eq")
    ]


def _stored(value: Any) -> Any:
    """A given value in its stored form."""
    if isinstance(value, list):
        return [one.value if isinstance(one, Enum) else one for one in value]
    return value


@strawberry.enum(description="A sort direction. Objects without a value come last in either direction.")
class OrderDirection(Enum):
    ASC = strawberry.enum_value(
        ASCENDING, description="Ascending: smallest, earliest or alphabetically first value first."
    )
    DESC = strawberry.enum_value(
        DESCENDING, description="Descending: largest, latest or alphabetically last value first."
    )


@dataclass(frozen=True)
class OrderInput:
    """An order input and its translation."""

    type: Any
    keys: dict[str, SortKey]

    def to_order(self, asked: list[Any]) -> Order:
        """The order for a list of the input's instances."""
        return Order.by(*(self.keys[one.field.name].with_direction(one.direction.value) for one in asked))


class Renamed(NamedTuple):
    """A deprecated name in an order input."""

    path: str
    to: str


def order_input(
    name: str, document: Document, /, default: OrderDirection = OrderDirection.ASC, **fields: str | Renamed
) -> OrderInput:
    """A `<name>Order` input over these fields, given as `FIELD="python path"`."""
    values = {key: _order_value(key, by) for key, by in fields.items()}
    kind: Any = EnumMeta.__call__(Enum, f"{name}OrderField", values, module=__name__)
    members = strawberry.enum(kind, description=f"The fields by which lists of {name} objects can be ordered.")
    body = {
        "__annotations__": {"field": members, "direction": OrderDirection},
        "__module__": __name__,
        "field": strawberry.field(description="The field to order by."),
        "direction": strawberry.field(default=default, description="The sort direction."),
    }
    shown = strawberry.input(type(f"{name}Order", (), body), description=f"A sort key for lists of {name} objects.")
    ORDER_INPUTS.add(f"{name}Order")
    paths = {key: by.path if isinstance(by, Renamed) else by for key, by in fields.items()}
    return OrderInput(shown, {key: sort_key(document, path) for key, path in paths.items()})


def _order_value(key: str, by: str | Renamed) -> Any:
    deprecated = f"Use {by.to}." if isinstance(by, Renamed) else None
    description = f"Order by {to_camel_case(key.lower())}."
    return strawberry.enum_value(key, description=description, deprecation_reason=deprecated)


def sort_key(document: Document, path: str) -> SortKey:
    """The sort key for the stored value at `path`."""
    found, info = stored_path(document, path)
    held = str(info.annotation)
    kind: Any = next((one for one in (datetime, float, int) if one.__name__ in held), str)
    return SortKey(found, kind, nullable=NoneType in get_args(info.annotation))
