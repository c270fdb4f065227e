"""Enums of the documents, described for clients."""

from enum import Enum
from typing import TypeVar

import strawberry

E = TypeVar("E", bound=type[Enum])


def described(kind: E, description: str, **values: str) -> E:
    """`kind` as a GraphQL enum; `values` describes every member by its name."""
    if set(values) != set(kind.__members__):
        raise TypeError(f"{kind.__name__}: describe each of {', '.join(kind.__members__)}")
    shown = strawberry.enum(kind, description=description)
    for value in shown.__strawberry_definition__.values:  # type: ignore[attr-defined]
        value.description = values[value.name]
    return shown
