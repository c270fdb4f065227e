"""Warnings in payloads: input that was accepted but may be a mistake."""

from collections.abc import Callable
from typing import Any, TypeVar

import strawberry

P = TypeVar("P")


@strawberry.type(name="Warning", description="A part of the input that was accepted unchanged but may be a mistake.")
class InputWarning:
    message: str = strawberry.field(
        description="Human-readable text that names the suspicious value and suggests the one that may have been meant."
    )
    path: list[str] = strawberry.field(
        description='Path to the value within the arguments, such as ["input","steps","2","parameters","rows"].'
    )


def warnings_field() -> Any:
    """The payload's list of warnings."""
    return strawberry.field(
        description="Parts of the input that were accepted unchanged but may be mistakes: parameters that the "
        "component version does not declare, each with the nearest declared name. At most 100, followed by one that "
        "says that there are more.",
        default_factory=list,
    )


def with_warnings(payload: Callable[..., P]) -> Callable[..., P]:
    """A payload whose `warnings` are given as plain values."""

    def payload_with_warnings(*, warnings: list[dict[str, Any]] | None = None, **fields: Any) -> P:
        return payload(warnings=[InputWarning(**warning) for warning in warnings or []], **fields)

    return payload_with_warnings
