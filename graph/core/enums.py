"""Enums of the documents, described for clients."""

from enum import Enum
from typing import TypeVar

import strawberry

E = TypeVar("E", bound=type[Enum])


def describe_enum(kind: E, description: str, **values: str) -> E:
    """`kind` as a GraphQL enum; `values` describes every member by its name."""
    if set(values) != set(kind.__members__):
        raise TypeError(f"{kind.__name__}: describe each of {', '.join(kind.__members__)}")
    enum_type = strawberry.enum(kind, description=description)
    for value in enum_type.__strawberry_definition__.values:  # type: ignore[attr-defined]
        value.description = values[value.name]
    return enum_type
