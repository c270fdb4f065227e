"""Plans of operations: compiled once for each document, and run."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import structlog
from graphql import DocumentNode, GraphQLError, OperationDefinitionNode
from graphql.execution.values import VariableValues
from strawberry import Schema

from documents.mongo.replies import counting_replies
from graph.core.selections import Collector, condition_variables, fragments_of
from graph.engine.plan.compiler import Compiler
from graph.engine.plan.levels import Levels, levels_of, page_depth
from graph.engine.plan.nested_reads import PlanRun, RootLookup, read_nested_fields
from graph.engine.plan.point_lookup import PointLookup, point_lookup
from graph.engine.plan.row_codegen import ROOT, RowTemplate, UnsupportedByPlan, fall_back
from graph.engine.plan.subscription import SubscriptionPlan, subscription_plan
from graph.engine.plan.variables import Variables
from resolvers.reads.loaders import RequestLoader

log = structlog.stdlib.get_logger("graph.plan")

MAX_VARIANTS = 16
"""Plans cached for one document: @skip and @include on variables make several of one document."""


def name_of(operation: OperationDefinitionNode) -> str | None:
    """The name of an operation, None when it has none."""
    return operation.name.value if operation.name else None


@dataclass(frozen=True)
class Plan:
    """A compiled operation."""

    template: RowTemplate

    @cached_property
    def is_coalesced(self) -> bool:
        """Whether all its reads are coalesced with those of other requests, so that it needs no single-flight."""
        return all(
            isinstance(nested_field, RootLookup) and not nested_field.template.nested_fields
            for nested_field in self.template.nested_fields
        )

    @cached_property
    def levels(self) -> Levels:
        """The pages that it reads, with those nested in them."""
        return levels_of(self.template)

    @cached_property
    def cost_key(self) -> int:
        """A key that is equal for operations of about the same cost."""
        return hash(self.levels)

    @cached_property
    def depth(self) -> int:
        """How deep its pages are nested."""
        return page_depth(self.levels)

    async def data(self, loader: RequestLoader, variables: VariableValues) -> Any:
        """The answer's data; None when the standard executor has to answer. Raises AnswerTooLarge."""
        try:
            with counting_replies(loader.budget.add_stored_bytes):
                columns = await read_nested_fields(PlanRun(loader, variables), self.template, [ROOT], None)
            (data,) = self.template.build([ROOT], *columns)
        except Exception as error:
            fall_back(error, loader)
            return None
        return data


class Planner:
    """Compiles operations of one schema."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    def plan(
        self, document: DocumentNode, operation: OperationDefinitionNode, condition_values: dict[str, bool]
    ) -> Plan:
        """The plan of an operation. Raises UnsupportedByPlan."""
        collector = Collector(self._schema._schema, fragments_of(document), condition_values)
        return Plan(Compiler(self._schema, collector).operation(operation))

    def subscription(
        self, document: DocumentNode, operation: OperationDefinitionNode, condition_values: dict[str, bool]
    ) -> SubscriptionPlan:
        """The plan of a subscription. Raises UnsupportedByPlan."""
        return subscription_plan(
            self._schema, Collector(self._schema._schema, fragments_of(document), condition_values), operation
        )

    def variables(self, operation: OperationDefinitionNode) -> Variables:
        """The variables of an operation."""
        return Variables(self._schema._schema, operation)


class Plans:
    """The plans of one document, by operation and by the values of the variables in its @skip and @include."""

    def __init__(self, planner: Planner, document: DocumentNode) -> None:
        self._planner = planner
        self._document = document
        self._condition_variables = condition_variables(document)
        self._plans: dict[Hashable, Plan | None] = {}
        self._subscriptions: dict[str | None, SubscriptionPlan | None] = {}
        self._variables: dict[str | None, Variables] = {}

    @property
    def depend_on_variables(self) -> bool:
        """Whether variables decide which fields are selected, so that there are several plans."""
        return bool(self._condition_variables)

    def find(self, operation: OperationDefinitionNode, values: dict[str, Any]) -> tuple[Plan, VariableValues] | None:
        """The plan, and the values of its variables; None when the standard executor has to answer."""
        name = name_of(operation)
        variables = self._variables_of(name, operation).values(values)
        if variables is None:
            return None
        conditions = {name: variables.coerced.get(name, False) for name in self._condition_variables}
        # A variable with a default may still be null in a condition, which is an error.
        plan = None if None in conditions.values() else self._plan(name, operation, conditions)
        return None if plan is None else (plan, variables)

    def subscription(
        self, operation: OperationDefinitionNode, values: dict[str, Any]
    ) -> tuple[SubscriptionPlan, VariableValues] | None:
        """The plan of a subscription and the values of its variables; None when the standard executor has to answer."""
        name = name_of(operation)
        variables = self._variables_of(name, operation).values(values)
        if variables is None or self._condition_variables:
            return None
        if name not in self._subscriptions:
            self._subscriptions[name] = self._compile_subscription(operation)
        plan = self._subscriptions[name]
        return None if plan is None else (plan, variables)

    def point_lookup(self, operation: OperationDefinitionNode) -> PointLookup | None:
        """The point lookup of an operation that is one; None for all others."""
        name = name_of(operation)
        plan = None if self._condition_variables else self._plan(name, operation, {})
        if plan is None:
            return None
        return point_lookup(name, plan.template, self._variables_of(name, operation).only_string)

    def _variables_of(self, name: str | None, operation: OperationDefinitionNode) -> Variables:
        variables = self._variables.get(name)
        if variables is None:
            variables = self._variables[name] = self._planner.variables(operation)
        return variables

    def _plan(
        self, name: str | None, operation: OperationDefinitionNode, condition_values: dict[str, bool]
    ) -> Plan | None:
        key = (name, *condition_values.values())
        if key not in self._plans:
            if len(self._plans) >= MAX_VARIANTS:
                self._plans.clear()
            self._plans[key] = self._compile(operation, condition_values)
        return self._plans[key]

    def _compile_subscription(self, operation: OperationDefinitionNode) -> SubscriptionPlan | None:
        try:
            return self._planner.subscription(self._document, operation, {})
        except (UnsupportedByPlan, GraphQLError) as error:
            log.debug("a subscription has no plan", reason=str(error)[:200])
            return None

    def _compile(self, operation: OperationDefinitionNode, condition_values: dict[str, bool]) -> Plan | None:
        try:
            return self._planner.plan(self._document, operation, condition_values)
        except (UnsupportedByPlan, GraphQLError) as error:
            log.debug("an operation has no plan", reason=str(error)[:200])
            return None
