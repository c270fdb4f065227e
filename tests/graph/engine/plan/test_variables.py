"""Values of plain types go past the coercion of GraphQL, and mean the same."""

from typing import Any

import pytest
from graphql import GraphQLSchema, OperationDefinitionNode, build_schema, get_variable_values, parse
from graphql.execution.values import VariableValues

from graph.engine.plan.variables import Variables
from tests.support.asking import ask, refusal

SCHEMA: GraphQLSchema = build_schema("type Query { field(a: ID, b: String, c: Int, d: Boolean, e: [ID!]): Int }")


def operation(definitions: str) -> OperationDefinitionNode:
    (found,) = parse(f"query({definitions}) {{ field }}").definitions
    assert isinstance(found, OperationDefinitionNode)
    return found


def sources(values: VariableValues) -> dict[str, tuple[str, Any]]:
    return {name: (str(source.signature.type), source.value) for name, source in values.sources.items()}


@pytest.mark.parametrize(
    ("definitions", "given"),
    [
        ("$a: ID!", {"a": "x"}),
        ("$a: ID!", {"a": 7}),
        ("$a: ID!", {"a": None}),
        ("$a: ID", {"a": None}),
        ("$a: ID!", {}),
        ("$a: ID", {}),
        ('$a: ID! = "y"', {}),
        ("$a: ID!, $b: String!", {"a": "x", "b": "y", "z": 1}),
        ("$b: String!", {"b": 1}),
        ("$c: Int!", {"c": 2**31 - 1}),
        ("$c: Int!", {"c": 2**31}),
        ("$c: Int!", {"c": True}),
        ("$c: Int!", {"c": 1.0}),
        ("$d: Boolean!", {"d": False}),
        ("$d: Boolean!", {"d": 0}),
        ("$e: [ID!]", {"e": ["x"]}),
        ("$a: ID!, $e: [ID!]", {"a": "x", "e": "y"}),
    ],
)
def test_values_are_those_of_graphql(definitions: str, given: dict[str, Any]) -> None:
    node = operation(definitions)
    expected = get_variable_values(SCHEMA, node.variable_definitions or (), given)

    found = Variables(SCHEMA, node).values(given)

    if isinstance(expected, VariableValues):
        assert found is not None
        assert (found.coerced, sources(found)) == (expected.coerced, sources(expected))
    else:
        assert found is None


@pytest.mark.usefixtures("database")
async def test_arguments_by_variables_are_those_by_literals() -> None:
    paged = "query($first: Int, $after: String) { organisations(first: $first, after: $after) { nodes { url } } }"

    assert await ask(paged) == {"organisations": {"nodes": []}}
    assert await ask(paged, first=3, after=None) == {"organisations": {"nodes": []}}
    assert "BAD_CURSOR" in await refusal(paged, first=3, after="?")
