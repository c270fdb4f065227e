"""Answering by plan where there is one."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import structlog
from graphql import DocumentNode, GraphQLError, OperationDefinitionNode
from graphql.execution.values import VariableValues
from strawberry import Schema

from graph.plan.collect import Collector, flags_of, fragments_of
from graph.plan.columns import Keyed, Run, show
from graph.plan.compile import Compiler
from graph.plan.point import Point, point
from graph.plan.shape import ROOT, NotPlanned, Shape, step_aside
from graph.plan.variables import Variables
from resolvers.reader import Reader

log = structlog.stdlib.get_logger("graph.plan")

MOST_VARIANTS = 16
"""Plans kept for one document: conditions on variables make others of it."""


def name_of(operation: OperationDefinitionNode) -> str | None:
    """What an operation is called, None where it has no name."""
    return operation.name.value if operation.name else None


@dataclass(frozen=True)
class Plan:
    """A compiled operation."""

    shape: Shape

    @cached_property
    def gathers(self) -> bool:
        """Whether all it reads is read together with what others ask for, so that equal questions need not wait."""
        return all(isinstance(column, Keyed) and not column.shape.columns for column in self.shape.columns)

    async def data(self, reader: Reader, variables: VariableValues) -> Any:
        """The answer's data; None when the standard executor has to answer."""
        spent = reader.budget.spent
        try:
            (data,) = await show(Run(reader, variables), self.shape, [ROOT])
        except Exception as error:
            step_aside(error, reader, spent)
            return None
        return data


class Planner:
    """Compiles operations once, and answers by their plans."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    def plan(self, document: DocumentNode, operation: OperationDefinitionNode, flags: dict[str, bool]) -> Plan:
        """The plan of an operation. Raises NotPlanned."""
        collector = Collector(self._schema._schema, fragments_of(document), flags)
        return Plan(Compiler(self._schema, collector).operation(operation))

    def variables(self, operation: OperationDefinitionNode) -> Variables:
        """What reads the values of an operation's variables."""
        return Variables(self._schema._schema, operation)


class Plans:
    """The plans of one document, by operation and by the values of the variables that its conditions name."""

    def __init__(self, planner: Planner, document: DocumentNode) -> None:
        self._planner = planner
        self._document = document
        self._flags = flags_of(document)
        self._made: dict[Hashable, Plan | None] = {}
        self._variables: dict[str | None, Variables] = {}

    def find(self, operation: OperationDefinitionNode, given: dict[str, Any]) -> tuple[Plan, VariableValues] | None:
        """The plan, and the values of its variables; None when the standard executor has to answer."""
        name = name_of(operation)
        variables = self._variables_of(name, operation).values(given)
        if variables is None:
            return None
        flags = {name: variables.coerced.get(name, False) for name in self._flags}
        # A variable with a default may be null in a condition all the same, which is an error.
        plan = None if None in flags.values() else self._plan(name, operation, flags)
        return None if plan is None else (plan, variables)

    def point(self, operation: OperationDefinitionNode) -> Point | None:
        """What answers an operation that is but a look-up by a variable, None for all others."""
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

    def _compiled(self, operation: OperationDefinitionNode, flags: dict[str, bool]) -> Plan | None:
        try:
            return self._planner.plan(self._document, operation, flags)
        except (NotPlanned, GraphQLError) as error:
            log.debug("an operation has no plan", reason=str(error)[:200])
            return None
