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
from graph.limits import MAX_WHERE_DEPTH
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


def optional_condition(description: str, **options: Any) -> Any:
    """An optional field of a where input or a filter."""
    return strawberry.field(default=UNSET, description=description, **options)


@strawberry.input(description="A filter on ids.")
class IDFilter:
    eq: strawberry.ID | None = optional_condition("Matches exactly this id; null matches objects without one.")
    in_: list[strawberry.ID] | None = optional_condition(
        "Matches any of these ids. An empty list matches nothing.", name="in"
    )


@strawberry.input(description="A filter on texts. Comparisons are case-sensitive.")
class StringFilter:
    eq: str | None = optional_condition("Matches exactly this text; null matches objects without one.")
    in_: list[str] | None = optional_condition("Matches any of these texts. An empty list matches nothing.", name="in")
    contains: str | None = optional_condition("Matches texts that contain this one.")
    starts_with: str | None = optional_condition("Matches texts that begin with this one.")


@strawberry.input(description="A filter on boolean values.")
class BooleanFilter:
    eq: bool | None = optional_condition("Matches exactly this value; null matches objects without one.")


@strawberry.input(description="A filter on times. Half-open windows (gte and lt) follow one another without overlap.")
class DateTimeFilter:
    gte: datetime | None = optional_condition("Matches this time and later ones.")
    gt: datetime | None = optional_condition("Matches times later than this one.")
    lte: datetime | None = optional_condition("Matches this time and earlier ones.")
    lt: datetime | None = optional_condition("Matches times earlier than this one.")


@strawberry.input(description="A filter on whole numbers.")
class BigIntFilter:
    eq: BigInt | None = optional_condition("Matches exactly this number; null matches objects without one.")
    gte: BigInt | None = optional_condition("Matches this number and greater ones.")
    gt: BigInt | None = optional_condition("Matches numbers greater than this one.")
    lte: BigInt | None = optional_condition("Matches this number and smaller ones.")
    lt: BigInt | None = optional_condition("Matches numbers smaller than this one.")


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
        "in_": optional_condition("Matches any of these values. An empty list matches nothing.", name="in"),
        "not_in": optional_condition("Matches all values except these. An empty list matches everything."),
    }
    return strawberry.input(
        type(f"{kind.__name__}Filter", (), body), description=f"A filter on {kind.__name__} values."
    )


@dataclass(frozen=True)
class Condition:
    """One condition of a where input: a filter on the stored value at `path`.

    `to_filter` makes the filter from the path and the client's value where the type of `filter` does not imply how.
    `instead` is the condition that replaces a deprecated one.
    """

    filter: Any
    path: str
    description: str
    to_filter: Callable[[str, Any], Filter] | None = None
    instead: str | None = None


def enum_conditions(name: str, kind: Any, path: str, description: str) -> dict[str, Condition]:
    """The condition `<name>Filter`, and the older list of values as `name`."""
    return {
        f"{name}_filter": Condition(enum_filter(kind), path, description),
        name: Condition(
            list[kind], path, f"{description[:-1]}, given as a list of accepted values.", instead=f"{name}Filter"
        ),
    }


@dataclass(frozen=True)
class WhereInput:
    """A where input and its translation into a filter."""

    type: Any
    conditions: dict[str, tuple[str, Callable[[str, Any], Filter]]]

    def to_filter(self, where: Any, depth: int = 1) -> Filter:
        """The filter for `where`, an instance of the input."""
        if depth > MAX_WHERE_DEPTH:
            raise LimitExceeded(f"A where may be nested at most {MAX_WHERE_DEPTH} levels deep.")
        values = ((path, to_filter, getattr(where, name)) for name, (path, to_filter) in self.conditions.items())
        parts = [
            to_filter(path, value) for path, to_filter, value in values if value is not UNSET and value is not None
        ]
        if (all_of := getattr(where, "and_", None)) is not None and all_of is not UNSET:
            parts.append(filters.all_of(self.to_filter(branch, depth + 1) for branch in all_of))
        if (any_of := getattr(where, "or_", None)) is not None and any_of is not UNSET:
            parts.append(filters.any_of(self.to_filter(branch, depth + 1) for branch in any_of))
        if (none_of := getattr(where, "not_", None)) is not None and none_of is not UNSET:
            parts.append(filters.none_of(self.to_filter(none_of, depth + 1)))
        return filters.all_of(parts)


def where_input(name: str, document: Document, /, **conditions: Condition) -> WhereInput:
    """A `<name>Where` input with these conditions, and with and, or and not."""
    annotations: dict[str, Any] = {key: condition.filter | None for key, condition in conditions.items()}
    annotations |= dict.fromkeys(("and_", "or_", "not_"), Any)
    members: dict[str, Any] = {
        key: optional_condition(
            condition.description, deprecation_reason=f"Use {condition.instead}." if condition.instead else None
        )
        for key, condition in conditions.items()
    }
    members["and_"] = optional_condition(
        "Further conditions, all of which must hold. An empty list changes nothing.", name="and"
    )
    members["or_"] = optional_condition(
        "Alternative conditions, at least one of which must hold. An empty list matches nothing.", name="or"
    )
    members["not_"] = optional_condition("A condition that must not hold.", name="not")
    cls = type(f"{name}Where", (), {"__annotations__": annotations, "__module__": __name__, **members})
    input_type = strawberry.input(cls, description=f"Conditions on {name} objects, all of which must hold.")
    _refer_to_itself(input_type)
    WHERE_INPUTS.add(f"{name}Where")
    return WhereInput(input_type, {key: _bind(document, condition) for key, condition in conditions.items()})


def _bind(document: Document, condition: Condition) -> tuple[str, Callable[[str, Any], Filter]]:
    """The stored path of a condition, and the function that makes a filter from the path and the client's value."""
    path, _ = stored_path(document, condition.path)
    list_path = list_on(document, condition.path)
    return path, condition.to_filter or (partial(_list_filter, list_path) if list_path else field_filter)


def _list_filter(list_path: str, path: str, value: Any) -> Filter:
    below = path.removeprefix(list_path).removeprefix(".")
    return element_filter(
        value,
        filters.has_no_elements(list_path),
        lambda: filters.has_element(list_path, below, _conditions(below, value)),
    )


def _refer_to_itself(input_type: Any) -> None:
    kinds = {"and_": list[input_type] | None, "or_": list[input_type] | None, "not_": input_type | None}
    for field in input_type.__strawberry_definition__.fields:
        if field.python_name in kinds:
            field.type_annotation = StrawberryAnnotation(kinds[field.python_name])


def field_filter(path: str, value: Any) -> Filter:
    """The filter on `path` for an instance of one of the filter inputs above, or for a list of values."""
    return filters.all_of(_conditions(path, value))


def element_filter(value: Any, empty: Filter, with_element: Callable[[], Filter]) -> Filter:
    """The filter on lists that need one element which meets all conditions.

    `empty` is the filter for a missing or empty list, which null stands for; `with_element` makes the filter for a list
    with such an element.
    """
    conditions = _conditions("", value)
    if getattr(value, "eq", UNSET) is None:
        return empty if len(conditions) == 1 else filters.MATCH_NOTHING
    return with_element() if conditions else {}


def _conditions(path: str, value: Any) -> list[Filter]:
    """The conditions of an instance of one of the filter inputs above, or of a list of values."""
    if isinstance(value, list):
        return [filters.is_one_of(path, _to_stored_value(value))]
    operands = {name: getattr(value, name, UNSET) for name in OPERATORS}
    return [
        OPERATORS[name](path, _to_stored_value(operand))
        for name, operand in operands.items()
        if operand is not UNSET and (operand is not None or name == "eq")
    ]


def _to_stored_value(value: Any) -> Any:
    """A client's value as it is stored."""
    if isinstance(value, list):
        return [member.value if isinstance(member, Enum) else member for member in value]
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

    def to_order(self, order_by: list[Any]) -> Order:
        """The order for a list of the input's instances."""
        return Order.by(*(self.keys[key.field.name].with_direction(key.direction.value) for key in order_by))


class DeprecatedName(NamedTuple):
    """A deprecated name in an order input."""

    path: str
    replacement: str


def order_input(
    name: str, document: Document, /, default: OrderDirection = OrderDirection.ASC, **fields: str | DeprecatedName
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
    input_type = strawberry.input(
        type(f"{name}Order", (), body), description=f"A sort key for lists of {name} objects."
    )
    ORDER_INPUTS.add(f"{name}Order")
    paths = {key: by.path if isinstance(by, DeprecatedName) else by for key, by in fields.items()}
    return OrderInput(input_type, {key: sort_key(document, path) for key, path in paths.items()})


def _order_value(key: str, by: str | DeprecatedName) -> Any:
    deprecated = f"Use {by.replacement}." if isinstance(by, DeprecatedName) else None
    description = f"Order by {to_camel_case(key.lower())}."
    return strawberry.enum_value(key, description=description, deprecation_reason=deprecated)


def sort_key(document: Document, path: str) -> SortKey:
    """The sort key for the stored value at `path`."""
    full_path, info = stored_path(document, path)
    annotation = str(info.annotation)
    value_type: Any = next((type_ for type_ in (datetime, float, int) if type_.__name__ in annotation), str)
    return SortKey(full_path, value_type, nullable=NoneType in get_args(info.annotation))
