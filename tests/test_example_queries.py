"""The queries that people begin with fit the schema, and select the id of each object, as caches of clients need."""

import ast
import json
import re
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    FieldNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    NoDeprecatedCustomRule,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
    parse,
    validate,
)
from graphql.execution.values import get_variable_values

from graph.clients.worker import queries
from tests.support.core_schema import schema
from tests.support.needs import PROJECT, need
from tests.test_readme import PAGES, blocks, manual

OPERATION = r"(?:query|mutation|subscription)[ (].*?"


def fenced() -> list[str]:
    return blocks("graphql")


def tabs() -> list[str]:
    return [tab.read_text(encoding="utf-8") for tab in sorted((PROJECT / "graph/graphiql/queries").glob("*.graphql"))]


def in_scripts() -> list[str]:
    texts = [manual(), *(one.read_text(encoding="utf-8") for one in sorted((PROJECT / "examples").iterdir()))]
    found = [re.findall(rf"ask '({OPERATION})'|= \"({OPERATION})\"[;\n]", text, re.DOTALL) for text in texts]
    return ["".join(pair) for pairs in found for pair in pairs]


def of_the_worker() -> list[str]:
    return [text for name, text in vars(queries).items() if name.isupper() and name != "ERRORS"]


def with_variables() -> list[tuple[str, str]]:
    """Each operation of the pages with each block of variables that follows it, before the next operation."""
    found = []
    for path in PAGES:
        operation = ""
        for language, text in re.findall(r"^```(\w*)\n(.*?)^```$", path.read_text("utf-8"), re.MULTILINE | re.DOTALL):
            if language == "graphql":
                operation = text
            elif language == "json" and text.startswith('{"input"'):
                found.append((operation, text))
    return found


EXAMPLES = [*fenced(), *tabs(), *in_scripts(), *of_the_worker()]


def without_id(selections: SelectionSetNode, type_: Any, *, named: bool = False) -> Iterator[str]:
    """The types of objects that a selection shows without their ids."""
    fields = {one.name.value for one in selections.selections if isinstance(one, FieldNode)}
    named = named or "id" in fields
    if "id" in getattr(type_, "fields", {}) and not named:
        yield type_.name
    for one in selections.selections:
        match one:
            case FieldNode(selection_set=SelectionSetNode() as below):
                field = schema.get_field(type_, one.name.value)
                assert field is not None
                yield from without_id(below, get_named_type(field.type))
            case InlineFragmentNode(type_condition=condition, selection_set=below) if condition:
                yield from without_id(below, schema.type_map[condition.name.value], named=named)
            case FragmentSpreadNode():
                pytest.fail("Examples have no fragments that they share.")


def test_there_are_examples_of_each_kind() -> None:
    assert [len(found) >= least for found, least in ((fenced(), 15), (tabs(), 5), (in_scripts(), 9))] == [True] * 3


@pytest.mark.parametrize("query", EXAMPLES, ids=lambda query: " ".join(query.split())[:60])
def test_an_example_fits_the_schema_and_uses_nothing_deprecated(query: str) -> None:
    document = parse(query)

    assert validate(schema, document) == []
    assert validate(schema, document, [NoDeprecatedCustomRule]) == []


@pytest.mark.parametrize("query", EXAMPLES, ids=lambda query: " ".join(query.split())[:60])
def test_an_example_selects_the_id_of_each_object(query: str) -> None:
    for operation in parse(query).definitions:
        assert isinstance(operation, OperationDefinitionNode)
        root = schema.get_root_type(operation.operation)
        assert list(without_id(operation.selection_set, root)) == []


@pytest.mark.parametrize(("operation", "variables"), with_variables(), ids=lambda text: " ".join(text.split())[:40])
def test_the_variables_of_an_example_fit_its_operation(operation: str, variables: str) -> None:
    (definition,) = parse(operation).definitions
    assert isinstance(definition, OperationDefinitionNode)

    given = get_variable_values(schema, definition.variable_definitions or (), json.loads(variables))

    assert not isinstance(given, list), given


def test_there_are_examples_with_variables() -> None:
    assert len(with_variables()) >= 10
    assert all("$input" in operation for operation, _ in with_variables())


@pytest.mark.parametrize("text", blocks("python"), ids=lambda text: " ".join(text.split())[:40])
def test_an_example_in_python_is_python(text: str) -> None:
    # Some are a line of a dictionary, others of a function.
    entry = re.match(r" +[\w.\"]+: ", text)
    assert ast.parse(f"entries = {{{text}}}" if entry else textwrap.dedent(text)).body


def test_an_example_in_javascript_is_a_module(tmp_path: Path) -> None:
    scripts = blocks("js")
    assert scripts
    for number, text in enumerate(scripts):
        module = tmp_path / f"{number}.mjs"
        module.write_text(text, encoding="utf-8")
        checked = subprocess.run([need("node"), "--check", module], capture_output=True, text=True, timeout=60)
        assert checked.returncode == 0, checked.stderr
