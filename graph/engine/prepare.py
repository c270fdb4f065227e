"""Preparation of documents: parsed, checked against the limits, validated, and cached by their text."""

from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, TypeVar

import strawberry
from graphql import DocumentNode, GraphQLError, OperationDefinitionNode

from graph.engine.document_limits import check_document, check_text, check_variables
from graph.engine.error_masking import MAX_REQUEST_ERRORS, Formatted, refusal_errors, request_errors
from graph.engine.input_bounds import InputBounds, input_bounds
from graph.engine.introspection import SchemaAnswers, asks_for_schema
from graph.engine.operation_identity import OperationIdentity
from graph.engine.parsing import parse_document
from graph.engine.plan import Planner, Plans, PointLookup
from graph.engine.plan.planner import name_of
from graph.engine.validation import validation_errors
from graph.errors import PARSE_FAILED, VALIDATION_FAILED, RequestError
from graph.limits import Limits

MAX_CACHED_CHARACTERS = 250_000
"""Characters of all cached documents."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class PreparedDocument:
    """A document that may be executed."""

    text: str
    document: DocumentNode
    operations: dict[str | None, OperationDefinitionNode]
    plans: Plans
    bounds: dict[str | None, InputBounds]
    about_schema: frozenset[str | None]
    """The names of the operations that ask for the schema."""
    identities: dict[str | None, OperationIdentity]
    """The names and kinds of the operations, by the name that a request gives, which may leave out the only one."""

    @cached_property
    def point_lookup(self) -> PointLookup | None:
        """The point lookup of its only operation, if that is one."""
        match list(self.operations.values()):
            case [only]:
                return self.plans.point_lookup(only)
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


class InvalidDocument(Exception):
    """A document that cannot be executed, with the errors for the client."""

    def __init__(self, errors: list[Formatted]) -> None:
        super().__init__(errors)
        self.errors = errors


class LRUCache(Generic[Value]):
    """The most recently used values by document text, bounded by the characters of all texts together."""

    def __init__(self, characters: int) -> None:
        self._characters_left = characters
        self._values: OrderedDict[str, Value] = OrderedDict()

    def get(self, text: str) -> Value | None:
        if (value := self._values.get(text)) is not None:
            self._values.move_to_end(text)
        return value

    def put(self, text: str, value: Value) -> None:
        if text not in self._values:
            self._characters_left -= self._weight(text)
        self._values[text] = value
        while self._characters_left < 0:
            oldest, _ = self._values.popitem(last=False)
            self._characters_left += self._weight(oldest)

    def __len__(self) -> int:
        return len(self._values)

    @staticmethod
    def _weight(text: str) -> int:
        # Even a short document has nodes, or errors, that take memory.
        return len(text) + 500


@dataclass
class DocumentCache:
    """Prepares documents for one schema.

    Valid and invalid documents are cached apart, so that hostile ones evict no valid ones. Valid ones take at most
    about 500 bytes per character of their text, with the trees and plans of the densest documents.
    """

    schema: strawberry.Schema
    limits: Limits = field(default_factory=Limits)
    planner: Planner = field(init=False)
    schema_answers: SchemaAnswers = field(init=False)
    max_characters: int = MAX_CACHED_CHARACTERS
    """Characters of all cached valid documents."""
    valid: LRUCache[PreparedDocument] = field(init=False)
    invalid: LRUCache[list[Formatted]] = field(default_factory=lambda: LRUCache(MAX_CACHED_CHARACTERS))

    def __post_init__(self) -> None:
        self.planner = Planner(self.schema)
        self.valid = LRUCache(self.max_characters)
        self.schema_answers = SchemaAnswers(self.schema)

    async def schema_answer(
        self, prepared: PreparedDocument, operation: OperationDefinitionNode, variables: dict[str, Any]
    ) -> bytes | None:
        """The JSON text of the data of an operation that asks for the schema; None when its variables do not fit.

        Raises RequestError when it would be too large, Overloaded when too many requests wait.
        """
        return await self.schema_answers.data(prepared.text, prepared.document, name_of(operation), variables)

    def prepare(self, text: str) -> PreparedDocument:
        """The document of a text. Raises InvalidDocument with the errors for the client."""
        if (cached := self.valid.get(text)) is not None:
            return cached
        if (errors := self.invalid.get(text)) is not None:
            raise InvalidDocument(errors)
        try:
            prepared = self._parse_and_validate(text)
        except InvalidDocument as refusal:
            self.invalid.put(text, refusal.errors)
            raise
        self.valid.put(text, prepared)
        return prepared

    def is_cached(self, text: str) -> bool:
        """Whether the result for a text is cached."""
        return self.valid.get(text) is not None or self.invalid.get(text) is not None

    def is_point_lookup(self, text: str) -> bool:
        """Whether a text is cached as a point lookup."""
        cached = self.valid.get(text)
        return cached is not None and cached.point_lookup is not None

    def _parse_and_validate(self, text: str) -> PreparedDocument:
        try:
            check_text(text, self.limits)
            document = parse_document(text, self.limits.tokens)
            check_document(document, self.limits)
        except RequestError as refusal:
            raise InvalidDocument(refusal_errors(refusal)) from None
        except GraphQLError as error:
            raise InvalidDocument(request_errors([error], PARSE_FAILED)) from None
        errors = validation_errors(self.schema._schema, document, MAX_REQUEST_ERRORS)
        if errors:
            raise InvalidDocument(request_errors(errors, VALIDATION_FAILED))
        return self._with_bounds(text, document, _operations_by_name(document))

    def _with_bounds(
        self, text: str, document: DocumentNode, operations: dict[str | None, OperationDefinitionNode]
    ) -> PreparedDocument:
        schema, limits = self.schema._schema, self.limits
        try:
            bounds = {name: input_bounds(schema, document, operation, limits) for name, operation in operations.items()}
            about_schema = frozenset(
                name for name, operation in operations.items() if asks_for_schema(document, operation)
            )
        except RequestError as refusal:
            raise InvalidDocument(refusal_errors(refusal)) from None
        return PreparedDocument(
            text, document, operations, Plans(self.planner, document), bounds, about_schema, _identities(operations)
        )


def _identities(operations: dict[str | None, OperationDefinitionNode]) -> dict[str | None, OperationIdentity]:
    named = {name: OperationIdentity(name or "", operation.operation.value) for name, operation in operations.items()}
    return named | ({None: next(iter(named.values()))} if len(named) == 1 else {})


def _operations_by_name(document: DocumentNode) -> dict[str | None, OperationDefinitionNode]:
    return {
        name_of(definition): definition
        for definition in document.definitions
        if isinstance(definition, OperationDefinitionNode)
    }
