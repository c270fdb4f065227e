"""Subscriptions answered by plan: the fields below the observed row are read like the levels of a query."""

from dataclasses import dataclass
from typing import Any

from graphql import OperationDefinitionNode, get_named_type
from graphql.execution.values import VariableValues
from strawberry import Schema

import documents
from graph.core.selections import Collector
from graph.engine.plan.compiler import Compiler
from graph.engine.plan.nested_reads import PlanRun, render_rows
from graph.engine.plan.row_codegen import Row, RowTemplate, UnsupportedByPlan, fall_back
from resolvers.reads import lookups
from resolvers.reads.loaders import RequestLoader
from resolvers.reads.relations import Document

DOCUMENTS: dict[str, Document] = {"execution": documents.Execution}
"""The documents whose rows are observed, by the Subscription's field."""


@dataclass(frozen=True)
class SubscriptionPlan:
    """A compiled subscription."""

    key: str
    """The response name of its field."""
    document: Document
    template: RowTemplate

    async def data(self, loader: RequestLoader, variables: VariableValues, row: Row) -> dict[str, Any] | None:
        """The data of a delivery about a row; None when the standard executor has to make it."""
        try:
            rows = await lookups.by_ids(self.document, [row["_id"]], self.template.fields, loader.viewer)
            (text,) = await render_rows(PlanRun(loader, variables), self.template, [rows[row["_id"]]], None)
        except Exception as error:
            fall_back(error, loader)
            return None
        return {self.key: text}


def subscription_plan(schema: Schema, collector: Collector, operation: OperationDefinitionNode) -> SubscriptionPlan:
    """The plan of a subscription. Raises UnsupportedByPlan."""
    root = schema._schema.subscription_type
    assert root is not None
    match list(collector.fields(root, [operation.selection_set]).items()):
        case [(key, nodes)] if (document := DOCUMENTS.get(nodes[0].name.value)) is not None:
            type_ = get_named_type(root.fields[nodes[0].name.value].type)
            return SubscriptionPlan(key, document, Compiler(schema, collector).nested_template(nodes, type_))
    raise UnsupportedByPlan("a subscription to no row")
