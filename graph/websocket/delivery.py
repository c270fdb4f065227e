"""The messages that a subscription delivers."""

import hashlib
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLError
from strawberry.types.execution import ExecutionResult

from graph.engine.error_masking import Formatted
from graph.engine.plan.json_output import dumps
from resolvers.reads.answer_budget import AnswerBudget


@dataclass(frozen=True)
class Delivery:
    """A result, and a mark to compare it by."""

    result: ExecutionResult
    mark: bytes
    """Equal for results that look the same to the client."""


def delivery(answer: dict[str, Any], budget: AnswerBudget) -> Delivery:
    """An answer as a delivery: as text, which takes less memory than objects while a slow client reads.

    Raises AnswerTooLarge.
    """
    data = None if answer["data"] is None else dumps(answer["data"])
    budget.check_text(len(data or b""))
    mark = hashlib.blake2b(data or b"")
    mark.update(dumps([error["message"] for error in answer.get("errors") or []]))
    return Delivery(as_result({**answer, "data": data}), mark.digest())


def as_result(answer: dict[str, Any]) -> ExecutionResult:
    """An answer in the form that Strawberry sends."""
    errors = answer.get("errors")
    return ExecutionResult(data=answer["data"], errors=as_errors(errors) if errors else None)


def as_errors(formatted: list[Formatted]) -> list[GraphQLError]:
    """Errors in the form that Strawberry sends."""
    return [
        GraphQLError(error["message"], path=error.get("path"), extensions=error["extensions"]) for error in formatted
    ]
