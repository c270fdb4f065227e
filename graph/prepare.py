"""From the text of a document to one that may be executed: parsed, within the limits, valid, and remembered."""

from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property
from typing import Generic, TypeVar

import strawberry
from graphql import DocumentNode, GraphQLError, OperationDefinitionNode, parse, validate
from graphql.validation import specified_rules
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from graph.errors import (
    LIMIT_EXCEEDED,
    MAX_REQUEST_ERRORS,
    PARSE_FAILED,
    VALIDATION_FAILED,
    Formatted,
    RequestRefused,
    refusal_errors,
    request_errors,
)
from graph.limits import Limits, check_document, check_text
from graph.plan import Planner, Plans, Point
from graph.plan.planner import name_of

RULES = (*specified_rules, MaybeNullValidationRule, OneOfInputValidationRule)
"""What `strawberry.Schema.execute` checks."""

Kept = TypeVar("Kept")


@dataclass(frozen=True)
class Prepared:
    """A document that may be executed."""

    text: str
    document: DocumentNode
    operations: dict[str | None, OperationDefinitionNode]
    plans: Plans

    @cached_property
    def point(self) -> Point | None:
        """What answers its only operation, where that is but a look-up by a variable."""
        match list(self.operations.values()):
            case [only]:
                return self.plans.point(only)
        return None

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """The operation of this name, or the only one. Raises RequestRefused when there is none or a choice."""
        if name is None and len(self.operations) == 1:
            return next(iter(self.operations.values()))
        if name is None:
            raise RequestRefused("The document has several operations; operationName must say which one to run.")
        if name not in self.operations:
            raise RequestRefused(f"The document has no operation named {name[:80]!r}.")
        return self.operations[name]


class Unacceptable(Exception):
    """A document that will not be executed, with what the client is told about it."""

    def __init__(self, errors: list[Formatted]) -> None:
        super().__init__(errors)
        self.errors = errors


class Recent(Generic[Kept]):
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
        # A short document still keeps nodes, or the errors about it.
        return len(text) + 500


@dataclass
class Preparer:
    """Prepares documents for one schema. Good and bad ones are remembered apart: hostile ones push out no good one.

    The trees of the good ones take at most about 150 MB, when clients send the densest documents there are.
    """

    schema: strawberry.Schema
    limits: Limits = field(default_factory=Limits)
    planner: Planner = field(init=False)
    good: Recent[Prepared] = field(default_factory=lambda: Recent(250_000))
    bad: Recent[list[Formatted]] = field(default_factory=lambda: Recent(250_000))

    def __post_init__(self) -> None:
        self.planner = Planner(self.schema)

    def prepare(self, text: str) -> Prepared:
        """The document of a text. Raises Unacceptable with what to tell the client."""
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

    def _read(self, text: str) -> Prepared:
        try:
            check_text(text, self.limits)
            document = self._parse(text)
            check_document(document, self.limits)
        except RequestRefused as refusal:
            raise Unacceptable(refusal_errors(refusal)) from None
        errors = validate(self.schema._schema, document, RULES, max_errors=MAX_REQUEST_ERRORS)
        if errors:
            raise Unacceptable(request_errors(errors, VALIDATION_FAILED))
        return Prepared(text, document, _operations(document), Plans(self.planner, document))

    def _parse(self, text: str) -> DocumentNode:
        try:
            return parse(text, max_tokens=self.limits.tokens)
        except GraphQLError as error:
            if f"more than {self.limits.tokens} tokens" in error.message:
                limit = f"The request has more than {self.limits.tokens:,} tokens, which is as many as are allowed."
                raise RequestRefused(limit, LIMIT_EXCEEDED) from None
            if "nested too deeply" in error.message:
                raise RequestRefused("The request is nested too deeply to be read.", LIMIT_EXCEEDED) from None
            raise Unacceptable(request_errors([error], PARSE_FAILED)) from None


def _operations(document: DocumentNode) -> dict[str | None, OperationDefinitionNode]:
    return {
        name_of(definition): definition
        for definition in document.definitions
        if isinstance(definition, OperationDefinitionNode)
    }
