"""From the text of a document to one that may be executed: parsed, within the limits, valid, and cached."""

from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, TypeVar

import strawberry
from graphql import DocumentNode, GraphQLError, OperationDefinitionNode

from graph.engine.input_bounds import InputBounds, input_bounds
from graph.engine.introspection import SchemaAnswers, asks_for_schema
from graph.engine.limits import Limits, check_document, check_text, check_variables
from graph.engine.parsing import parsed
from graph.engine.plan import Planner, Plans, Point
from graph.engine.plan.planner import name_of
from graph.engine.validation import validation_errors
from graph.errors import (
    MAX_REQUEST_ERRORS,
    PARSE_FAILED,
    VALIDATION_FAILED,
    Formatted,
    RequestError,
    refusal_errors,
    request_errors,
)

MAX_ROOM = 250_000
"""Characters of all cached documents."""

Kept = TypeVar("Kept")


@dataclass(frozen=True)
class Prepared:
    """A document that may be executed."""

    text: str
    document: DocumentNode
    operations: dict[str | None, OperationDefinitionNode]
    plans: Plans
    bounds: dict[str | None, InputBounds]
    about_schema: frozenset[str | None]
    """The names of the operations that ask for the schema."""

    @cached_property
    def point(self) -> Point | None:
        """The point read of its only operation, if that is one."""
        match list(self.operations.values()):
            case [only]:
                return self.plans.point(only)
        return None

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """The operation of this name, or the only one. Raises RequestError when there is none, or several unnamed."""
        if name is None and len(self.operations) == 1:
            return next(iter(self.operations.values()))
        if name is None:
            raise RequestError("The document has several operations; operationName must say which one to run.")
        if name not in self.operations:
            raise RequestError(f"The document has no operation named {name[:80]!r}.")
        return self.operations[name]

    def asks_for_schema(self, operation: OperationDefinitionNode) -> bool:
        """Whether an operation asks for the schema, and therefore for nothing else."""
        return bool(self.about_schema) and name_of(operation) in self.about_schema

    def check_variables(self, operation: OperationDefinitionNode, variables: dict[str, Any]) -> None:
        """Refuse variables that are too many or too deep, by themselves or where they are used."""
        bounds = self.bounds[name_of(operation)]
        check_variables(variables, bounds.limits)
        bounds.check(variables)


class Unacceptable(Exception):
    """A document that will not be executed, with the errors for the client."""

    def __init__(self, errors: list[Formatted]) -> None:
        super().__init__(errors)
        self.errors = errors


class LRUCache(Generic[Kept]):
    """The most recently used values by document text, bounded by the characters of all texts together."""

    def __init__(self, characters: int) -> None:
        self._room = characters
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    def get(self, text: str) -> Kept | None:
        if (found := self._kept.get(text)) is not None:
            self._kept.move_to_end(text)
        return found

    def put(self, text: str, value: Kept) -> None:
        if text not in self._kept:
            self._room -= self._weight(text)
        self._kept[text] = value
        while self._room < 0:
            oldest, _ = self._kept.popitem(last=False)
            self._room += self._weight(oldest)

    def __len__(self) -> int:
        return len(self._kept)

    @staticmethod
    def _weight(text: str) -> int:
        # Even a short document has nodes, or errors, to keep.
        return len(text) + 500


@dataclass
class DocumentCache:
    """Prepares documents for one schema. Good and bad ones are cached apart, so that hostile ones evict no good one.

    The good ones take at most about 500 bytes for each character of room, with the trees and plans of the densest
    documents.
    """

    schema: strawberry.Schema
    limits: Limits = field(default_factory=Limits)
    planner: Planner = field(init=False)
    schema_answers: SchemaAnswers = field(init=False)
    room: int = MAX_ROOM
    """Characters of cached good documents."""
    good: LRUCache[Prepared] = field(init=False)
    bad: LRUCache[list[Formatted]] = field(default_factory=lambda: LRUCache(MAX_ROOM))

    def __post_init__(self) -> None:
        self.planner = Planner(self.schema)
        self.good = LRUCache(self.room)
        self.schema_answers = SchemaAnswers(self.schema)

    async def schema_answer(
        self, prepared: Prepared, operation: OperationDefinitionNode, variables: dict[str, Any]
    ) -> bytes | None:
        """The JSON text of the data of an operation that asks for the schema; None when its variables do not fit.

        Raises RequestError when it would be too large, Overloaded when too many requests wait.
        """
        return await self.schema_answers.data(prepared.text, prepared.document, name_of(operation), variables)

    def prepare(self, text: str) -> Prepared:
        """The document of a text. Raises Unacceptable with the errors for the client."""
        if (known := self.good.get(text)) is not None:
            return known
        if (errors := self.bad.get(text)) is not None:
            raise Unacceptable(errors)
        try:
            prepared = self._read(text)
        except Unacceptable as refusal:
            self.bad.put(text, refusal.errors)
            raise
        self.good.put(text, prepared)
        return prepared

    def is_known(self, text: str) -> bool:
        """Whether the result for a text is cached."""
        return self.good.get(text) is not None or self.bad.get(text) is not None

    def is_point(self, text: str) -> bool:
        """Whether a text is known to be a point read."""
        known = self.good.get(text)
        return known is not None and known.point is not None

    def _read(self, text: str) -> Prepared:
        try:
            check_text(text, self.limits)
            document = parsed(text, self.limits.tokens)
            check_document(document, self.limits)
        except RequestError as refusal:
            raise Unacceptable(refusal_errors(refusal)) from None
        except GraphQLError as error:
            raise Unacceptable(request_errors([error], PARSE_FAILED)) from None
        errors = validation_errors(self.schema._schema, document, MAX_REQUEST_ERRORS)
        if errors:
            raise Unacceptable(request_errors(errors, VALIDATION_FAILED))
        return self._bounded(text, document, _operations(document))

    def _bounded(
        self, text: str, document: DocumentNode, operations: dict[str | None, OperationDefinitionNode]
    ) -> Prepared:
        schema, limits = self.schema._schema, self.limits
        try:
            bounds = {name: input_bounds(schema, document, one, limits) for name, one in operations.items()}
            about_schema = frozenset(name for name, one in operations.items() if asks_for_schema(document, one))
        except RequestError as refusal:
            raise Unacceptable(refusal_errors(refusal)) from None
        return Prepared(text, document, operations, Plans(self.planner, document), bounds, about_schema)


def _operations(document: DocumentNode) -> dict[str | None, OperationDefinitionNode]:
    return {
        name_of(definition): definition
        for definition in document.definitions
        if isinstance(definition, OperationDefinitionNode)
    }
