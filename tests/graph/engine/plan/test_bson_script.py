"""Rows written as they were sent are those that the function of a template makes, whatever they hold."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from graphql import GraphQLObjectType, OperationDefinitionNode, is_leaf_type, parse

from documents.mongo import raw
from documents.mongo.database import Database
from graph.core.fields import NODE_VIEWS
from graph.engine.plan import Planner
from graph.engine.plan.json_output import dumps
from graph.engine.plan.nested_pages import NestedPages
from graph.engine.plan.nested_reads import RootNodes
from graph.engine.plan.row_codegen import RowTemplate
from graph.schema import schema
from resolvers.reads.answer_budget import AnswerBudget, AnswerLimits
from tests.graph.engine.plan.test_corrupt import ALWAYS, MISSING, ODD
from tests.support import builders as new
from tests.support.asking import ADMIN, as_written, by_plan, by_reference
from tests.support.needs import need_compiled, need_shared

need_compiled()

LATE = datetime(9999, 12, 31, 23, 59, 59, 999000, UTC)
VALUES = [*ALWAYS, *ODD, 'é\u2028\x1f"\\', LATE, datetime(1, 1, 1), -(2**31), "2024", ["a", "é"], [["a"]], [None, 1]]


def fields_of(kind: str) -> list[str]:
    """The fields of a view that are values."""
    type_ = schema._schema.type_map[NODE_VIEWS[kind]]
    assert isinstance(type_, GraphQLObjectType)
    return [name for name, field in type_.fields.items() if is_leaf_type(getattr(field.type, "of_type", field.type))]


def template_of(kind: str, selection: str) -> RowTemplate:
    """The compiled template of a selection on rows of a kind."""
    document = parse(f'{{ node(id: "{kind}_1") {{ ... on {NODE_VIEWS[kind]} {{ {selection} }} }} }}')
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    (nested_field,) = Planner(schema).plan(document, operation, {}).template.nested_fields
    assert isinstance(nested_field, RootNodes)
    return nested_field.template_of(kind)


def shown(template: RowTemplate, row: Any) -> bytes | None:
    """The function's text for a dictionary, None where it leaves the row to the standard executor."""
    try:
        return dumps(template.build([row])[0])
    except Exception:
        return None


@pytest.mark.parametrize("kind", sorted(NODE_VIEWS))
def test_each_field_is_written_as_the_function_shows_it_whatever_stands_there(kind: str) -> None:
    written = 0

    for name in fields_of(kind):
        template = template_of(kind, name)
        if template.nested_fields or template.writer is None:
            continue
        (path,) = template.required_paths - {"_id"} or {"_id"}
        for value in VALUES:
            row = bson.encode({"_id": f"{kind}_1"} | ({} if value is MISSING else {path: value}))
            expected = shown(template, bson.decode(row))
            try:
                texts, _ = template.texts([raw.Row(row)], [], None, AnswerBudget(AnswerLimits()), raw_bson=True)
                assert [expected] == texts, f"{name} of {value!r}"
            except AssertionError:
                raise
            except Exception:
                assert expected is None, f"{name} of {value!r}"
            written += 1

    assert written


def pages_below(template: RowTemplate) -> Iterator[NestedPages]:
    """The pages of a plan, at every level."""
    for nested_field in template.nested_fields:
        if isinstance(nested_field, NestedPages):
            yield nested_field
            for child_template in nested_field.connection.templates:
                yield from pages_below(child_template)


def test_every_level_of_the_deep_query_is_written_as_it_was_sent() -> None:
    document = parse((need_shared("peers") / "queries" / "deep.graphql").read_text())
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)

    levels = list(pages_below(Planner(schema).plan(document, operation, {}).template))

    assert [level.uses_raw_bson for level in levels] == [True] * 5


@pytest.mark.parametrize(
    ("selection", "as_sent"),
    [
        ("id displayName github createdAt __typename", True),
        ("id digitalTwins { nodes { id } pageInfo { endCursor } totalCount }", True),
        ("email", True),
        ("id digitalTwins { nodes { executions { nodes { workflowSchema { __typename } } } } }", True),
    ],
)
def test_what_is_plain_is_written_as_it_was_sent(selection: str, as_sent: bool) -> None:
    assert (template_of("user", selection).writer is not None) is as_sent


@pytest.mark.parametrize(
    ("kind", "selection"), [("output", "accessControl { public }"), ("output", "downloadUrl { url }")]
)
def test_what_is_embedded_or_made_of_it_comes_as_dictionaries(kind: str, selection: str) -> None:
    assert template_of(kind, selection).writer is None


async def test_rows_that_hold_something_else_are_shown_by_the_function(database: Database) -> None:
    tree = await new.a_tree(3)
    query = "{ users { nodes { id displayName github } pageInfo { endCursor } } }"
    await database.users.update_one({"_id": tree.users[1].id}, {"$set": {"github": 7}})

    found = await by_plan(query, ADMIN)

    assert as_written({"data": found}) == as_written(await by_reference(query, ADMIN))
    assert as_written(found)["users"]["nodes"][1]["github"] == "7"
