"""Validation of documents without reference cycles.

graphql-core's `validate` leaves visitors that refer to themselves and to the document. Those of dense documents are
megabytes, which stay in memory until Python collects garbage, which is paused while answers are made.
"""

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    ParallelVisitor,
    TypeInfo,
    TypeInfoVisitor,
    ValidationContext,
    Visitor,
    specified_rules,
    visit,
)
from graphql.language.ast import QUERY_DOCUMENT_KEYS
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

RULES = (*specified_rules, MaybeNullValidationRule, OneOfInputValidationRule)
"""The rules that `strawberry.Schema.execute` checks."""
VISITED_KEYS = {kind: tuple(key for key in keys if key != "description") for kind, keys in QUERY_DOCUMENT_KEYS.items()}
"""The children of each kind of node that are visited: by the specification, descriptions change nothing."""


class _Aborted(Exception):
    """The maximum number of errors is reached."""


def validation_errors(schema: GraphQLSchema, document: DocumentNode, max_errors: int) -> list[GraphQLError]:
    """The first errors of a document by the rules of GraphQL's specification and of Strawberry, in order; [] if valid.

    The document must be within the limits (`graph/engine/document_limits.py`), since some rules follow fragments by
    recursion.
    """
    errors: list[GraphQLError] = []

    def add_error(error: GraphQLError) -> None:
        if len(errors) == max_errors:
            raise _Aborted
        errors.append(error)

    types = TypeInfo(schema)
    context = ValidationContext(schema, document, types, add_error)
    rules: list[Visitor] = [rule(context) for rule in RULES]
    parallel = ParallelVisitor(rules)
    outermost = TypeInfoVisitor(types, parallel)
    try:
        visit(document, outermost, VISITED_KEYS)
    except _Aborted:
        errors.append(GraphQLError(f"There are more than {max_errors} errors; the others are not looked for."))
    except RecursionError:
        errors.append(GraphQLError("The fragments are nested too deeply to be validated."))
    finally:
        for visitor in (outermost, parallel, *rules):
            # It holds bound methods of its own visitor.
            visitor.enter_leave_map.clear()
    return errors
