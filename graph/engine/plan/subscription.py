"""Subscriptions answered by plan: the fields below the row that is followed are read as a query's levels are."""

from dataclasses import dataclass
from typing import Any

from graphql import OperationDefinitionNode, get_named_type
from graphql.execution.values import VariableValues
from strawberry import Schema

import documents
from graph.core.selections import Collector
from graph.engine.plan.compiler import Compiler
from graph.engine.plan.nested_reads import PlanRun, show
from graph.engine.plan.row_codegen import NotPlanned, Row, RowTemplate, step_aside
from resolvers.reads import lookups
from resolvers.reads.loaders import RequestLoader
from resolvers.reads.relations import Document

DOCUMENTS: dict[str, Document] = {"execution": documents.Execution}
"""The documents whose rows are followed, by the Subscription's field."""


@dataclass(frozen=True)
class Followed:
    """A compiled subscription."""

    key: str
    """The response name of its field."""
    document: Document
    shape: RowTemplate

    async def data(self, reader: RequestLoader, variables: VariableValues, row: Row) -> dict[str, Any] | None:
        """The data of a delivery about a row; None when the standard executor has to make it."""
        try:
            found = await lookups.by_ids(self.document, [row["_id"]], self.shape.fields, reader.viewer)
            (shown,) = await show(PlanRun(reader, variables), self.shape, [found[row["_id"]]], None)
        except Exception as error:
            step_aside(error, reader)
            return None
        return {self.key: shown}


def followed(schema: Schema, collector: Collector, operation: OperationDefinitionNode) -> Followed:
    """The plan of a subscription. Raises NotPlanned."""
    root = schema._schema.subscription_type
    assert root is not None
    match list(collector.fields(root, [operation.selection_set]).items()):
        case [(key, nodes)] if (document := DOCUMENTS.get(nodes[0].name.value)) is not None:
            type_ = get_named_type(root.fields[nodes[0].name.value].type)
            return Followed(key, document, Compiler(schema, collector).shape_below(nodes, type_))
    raise NotPlanned("a subscription to no row")
