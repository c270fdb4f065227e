"""The standard executor, within the answer's budget.

Objects are counted where they are read (`resolvers/reads/loaders.py`), text here, where it becomes part of the answer.
"""

from collections.abc import Callable
from typing import Any, cast
from weakref import WeakMethod

from graphql import GraphQLLeafType, GraphQLObjectType, GraphQLOutputType
from graphql.type import GraphQLResolveInfoHelpers
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from resolvers.reads.answer_budget import AnswerTooLarge

PUNCTUATION = 4
"""Bytes around a field's name: quotes, a colon, and a comma or brace."""


class BudgetedExecutor(StrawberryGraphQLCoreExecutionContext):
    """Counts the text of an answer as it grows, never more than will be written, and stops at the limit."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # graphql-core's bound methods refer back to the executor, a cycle that would keep everything read until
        # collected.
        self.async_helpers = GraphQLResolveInfoHelpers(
            gather=_bind_weakly(self.gather_async_work), track=_bind_weakly(self.track_async_work)
        )

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Any,
        grouped_field_set: dict[str, Any],
        position_context: Any,
    ) -> Any:
        """The fields of one object, counted with their names. Raises AnswerTooLarge."""
        self._add_bytes(1 + sum(map(len, grouped_field_set)) + PUNCTUATION * len(grouped_field_set))
        return super().execute_fields(parent_type, source_value, path, grouped_field_set, position_context)

    def complete_leaf_value(self, return_type: GraphQLLeafType, result: Any) -> Any:  # type: ignore[override]
        """A serialised value. Raises AnswerTooLarge."""
        serialized = super().complete_leaf_value(return_type, result)
        # JSON is written as its stored text.
        text = serialized if isinstance(serialized, str) else result
        self._add_bytes(len(text) if isinstance(text, str) else 1)
        return serialized

    def handle_field_error(
        self, raw_error: Exception, return_type: GraphQLOutputType, field_details_list: Any, path: Any
    ) -> None:
        """Record the error of a field, unless it ends the whole answer."""
        if isinstance(raw_error, AnswerTooLarge):
            raise raw_error
        super().handle_field_error(raw_error, return_type, field_details_list, path)

    def _add_bytes(self, size: int) -> None:
        loader = getattr(self.context_value, "loader", None)
        if loader is not None:
            loader.budget.add_bytes(size)


def _bind_weakly(method: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The method, bound by a weak reference to its object."""
    reference = WeakMethod(method)
    return lambda values: cast(Any, reference())(values)
