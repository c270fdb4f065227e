"""Planning: compiles operations to plans, and answers by them."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import structlog
from graphql import DocumentNode, GraphQLError, OperationDefinitionNode
from graphql.execution.values import VariableValues
from strawberry import Schema

from documents.mongo.replies import counting_replies
from graph.core.selections import Collector, flags_of, fragments_of
from graph.engine.plan.compiler import Compiler
from graph.engine.plan.levels import Levels, depth, levels_of
from graph.engine.plan.nested_reads import PlanRun, RootLookup, read_nested_fields
from graph.engine.plan.point_lookup import Point, point
from graph.engine.plan.row_codegen import ROOT, NotPlanned, RowTemplate, step_aside
from graph.engine.plan.subscription import Followed, followed
from graph.engine.plan.variables import Variables
from resolvers.reads.loaders import RequestLoader

log = structlog.stdlib.get_logger("graph.plan")

MOST_VARIANTS = 16
"""Plans kept for one document: @skip and @include on variables make several of one document."""


def name_of(operation: OperationDefinitionNode) -> str | None:
    """The name of an operation, None when it has none."""
    return operation.name.value if operation.name else None


@dataclass(frozen=True)
class Plan:
    """A compiled operation."""

    shape: RowTemplate

    @cached_property
    def gathers(self) -> bool:
        """Whether all its reads are coalesced with those of other requests, so that it needs no single-flight."""
        return all(isinstance(column, RootLookup) and not column.shape.columns for column in self.shape.columns)

    @cached_property
    def levels(self) -> Levels:
        """The pages that it reads, with those nested in them."""
        return levels_of(self.shape)

    @cached_property
    def likeness(self) -> int:
        """A key that is equal for operations of about the same cost."""
        return hash(self.levels)

    @cached_property
    def depth(self) -> int:
        """How deep its pages are nested."""
        return depth(self.levels)

    async def data(self, reader: RequestLoader, variables: VariableValues) -> Any:
        """The answer's data; None when the standard executor has to answer. Raises AnswerTooLarge."""
        try:
            with counting_replies(reader.budget.add_stored):
                columns = await read_nested_fields(PlanRun(reader, variables), self.shape, [ROOT], None)
            (data,) = self.shape.build([ROOT], *columns)
        except Exception as error:
            step_aside(error, reader)
            return None
        return data


class Planner:
    """Compiles each operation once, and answers by its plan."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    def plan(self, document: DocumentNode, operation: OperationDefinitionNode, flags: dict[str, bool]) -> Plan:
        """The plan of an operation. Raises NotPlanned."""
        collector = Collector(self._schema._schema, fragments_of(document), flags)
        return Plan(Compiler(self._schema, collector).operation(operation))

    def followed(self, document: DocumentNode, operation: OperationDefinitionNode, flags: dict[str, bool]) -> Followed:
        """The plan of a subscription. Raises NotPlanned."""
        return followed(self._schema, Collector(self._schema._schema, fragments_of(document), flags), operation)

    def variables(self, operation: OperationDefinitionNode) -> Variables:
        """The reader of an operation's variables."""
        return Variables(self._schema._schema, operation)


class Plans:
    """The plans of one document, by operation and by the values of the variables in its @skip and @include."""

    def __init__(self, planner: Planner, document: DocumentNode) -> None:
        self._planner = planner
        self._document = document
        self._flags = flags_of(document)
        self._made: dict[Hashable, Plan | None] = {}
        self._followed: dict[str | None, Followed | None] = {}
        self._variables: dict[str | None, Variables] = {}

    @property
    def vary(self) -> bool:
        """Whether variables decide which fields are selected, so that there are several plans."""
        return bool(self._flags)

    def find(self, operation: OperationDefinitionNode, given: dict[str, Any]) -> tuple[Plan, VariableValues] | None:
        """The plan, and the values of its variables; None when the standard executor has to answer."""
        name = name_of(operation)
        variables = self._variables_of(name, operation).values(given)
        if variables is None:
            return None
        flags = {name: variables.coerced.get(name, False) for name in self._flags}
        # A variable with a default may still be null in a condition, which is an error.
        plan = None if None in flags.values() else self._plan(name, operation, flags)
        return None if plan is None else (plan, variables)

    def followed(
        self, operation: OperationDefinitionNode, given: dict[str, Any]
    ) -> tuple[Followed, VariableValues] | None:
        """The plan of a subscription and the values of its variables; None when the standard executor has to answer."""
        name = name_of(operation)
        variables = self._variables_of(name, operation).values(given)
        if variables is None or self._flags:
            return None
        if name not in self._followed:
            self._followed[name] = self._compiled_to_follow(operation)
        found = self._followed[name]
        return None if found is None else (found, variables)

    def point(self, operation: OperationDefinitionNode) -> Point | None:
        """The point read of an operation that is one; None for all others."""
        name = name_of(operation)
        plan = None if self._flags else self._plan(name, operation, {})
        return None if plan is None else point(name, plan.shape, self._variables_of(name, operation).only_text)

    def _variables_of(self, name: str | None, operation: OperationDefinitionNode) -> Variables:
        found = self._variables.get(name)
        if found is None:
            found = self._variables[name] = self._planner.variables(operation)
        return found

    def _plan(self, name: str | None, operation: OperationDefinitionNode, flags: dict[str, bool]) -> Plan | None:
        key = (name, *flags.values())
        if key not in self._made:
            if len(self._made) >= MOST_VARIANTS:
                self._made.clear()
            self._made[key] = self._compiled(operation, flags)
        return self._made[key]

    def _compiled_to_follow(self, operation: OperationDefinitionNode) -> Followed | None:
        try:
            return self._planner.followed(self._document, operation, {})
        except (NotPlanned, GraphQLError) as error:
            log.debug("a subscription has no plan", reason=str(error)[:200])
            return None

    def _compiled(self, operation: OperationDefinitionNode, flags: dict[str, bool]) -> Plan | None:
        try:
            return self._planner.plan(self._document, operation, flags)
        except (NotPlanned, GraphQLError) as error:
            log.debug("an operation has no plan", reason=str(error)[:200])
            return None
