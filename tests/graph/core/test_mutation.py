"""Mutations: their inputs, several in one request, and what they may leave behind."""

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING
from hashlib import sha256
from typing import Any

import pytest
import strawberry
from strawberry.types.base import StrawberryOptional

import documents
from graph.schema import Mutation
from tests.conftest import RoundTrips
from tests.support.asking import ADMIN, ask
from tests.support.builders import everything_kept

pytestmark = pytest.mark.usefixtures("database")

CREATE = """mutation($key: String) {
  createOrganisation(input: {idempotencyKey: $key, url: "https://o.example"}) { userErrors { code } } }"""
MUTATIONS: dict[str, Any] = {field.python_name: field for field in Mutation.__strawberry_definition__.fields}  # type: ignore[attr-defined]


def _converters() -> Iterator[Any]:
    """The functions of the views that take an input object within the input of a mutation."""
    for name, module in sorted(sys.modules.items()):
        for function in vars(module).values() if name.startswith("graph.") else ():
            if inspect.isfunction(function) and function.__module__ == name:
                annotations = [parameter.annotation for parameter in inspect.signature(function).parameters.values()]
                shown = getattr(annotations[0], "__strawberry_definition__", None) if annotations else None
                if shown is not None and shown.is_input:
                    yield pytest.param(function, shown, id=function.__name__)


def _read_of(node: ast.AST, input: str, around: str = "") -> Iterator[tuple[str, str]]:
    """Each field that the code reads from its `input`, with or_none, without_unset or a condition around it."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == input:
        yield node.attr, around
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("or_none", "without_unset"):
        around = node.func.id
    if isinstance(node, ast.IfExp):
        around = ast.unparse(node.test)
    for child in ast.iter_child_nodes(node):
        yield from _read_of(child, input, around)


def _check_reads(function: Any, definition: Any, input: str, but: set[str]) -> None:
    """Assert that the function reads each field of its input, and none that may be left out without a check."""
    may_be_unset = {field.python_name for field in definition.fields if field.default is strawberry.UNSET}
    read = list(_read_of(ast.parse(textwrap.dedent(inspect.getsource(function))), input))
    unguarded = {field for field, around in read if around not in ("or_none", "without_unset", f"{input}.{field}")}

    assert {field for field, _ in read} | but == {field.python_name for field in definition.fields}
    assert unguarded & may_be_unset <= but


@pytest.mark.parametrize("name", MUTATIONS)
def test_each_field_of_an_input_reaches_the_write_and_one_left_out_never_as_unset(name: str) -> None:
    [argument] = MUTATIONS[name].arguments
    method = MUTATIONS[name].base_resolver.wrapped_func

    _check_reads(method, argument.type.__strawberry_definition__, "input", but={"idempotency_key"})


@pytest.mark.parametrize(("function", "definition"), list(_converters()))
def test_each_field_of_an_object_within_an_input_does_as_well(function: Any, definition: Any) -> None:
    [parameter] = inspect.signature(function).parameters

    _check_reads(function, definition, parameter, but=set())


def test_a_field_that_may_be_left_out_differs_from_null_unless_it_has_a_default() -> None:
    inputs = [argument.type.__strawberry_definition__ for field in MUTATIONS.values() for argument in field.arguments]
    inputs += [converter.values[1] for converter in _converters()]

    without_default = [
        f"{definition.name}.{field.python_name}"
        for definition in inputs
        for field in definition.fields
        if isinstance(field.type, StrawberryOptional) and field.default is field.default_factory is MISSING
    ]
    assert len(inputs) > len(MUTATIONS)
    assert without_default == []


async def test_a_key_is_kept_with_the_hash_of_the_plain_values_that_the_call_gave() -> None:
    organisation = documents.Organisation(id="organisation_1", url="https://o.example")
    await organisation.insert()

    await ask(
        """mutation { createResource(input: {
          idempotencyKey: "k", organisationId: "organisation_1", title: null, info: {b: 1, a: [true]}
          codeRepo: {url: "https://example.org/code", source: [{path: "a/main.py", commit: "0123abc"}]}
        }) { userErrors { message } } }""",
        ADMIN,
    )

    [kept] = await documents.IdempotencyKey.find_all().to_list()
    canonical = (
        '{"code_repo": {"monitor_dirs": [], "provider": "github", "source": [{"commit": "0123abc", '
        '"path": "a/main.py"}], "url": "https://example.org/code"}, "info": {"a": [true], "b": 1}, '
        '"organisation_id": "organisation_1", "title": null}'
    )
    assert kept.fingerprint == sha256(canonical.encode()).hexdigest()
    assert kept.outcome is not None


async def test_an_anonymous_caller_with_a_key_leaves_nothing_not_even_for_a_moment(
    round_trips: RoundTrips,
) -> None:
    before = await everything_kept()

    with round_trips.counting() as seen:
        found = await ask(CREATE, key="k")

    assert found["createOrganisation"]["userErrors"] == [{"code": "FORBIDDEN"}]
    assert seen == []
    assert await everything_kept() == before


async def test_each_mutation_of_a_request_answers_with_what_it_wrote_itself() -> None:
    organisation = documents.Organisation(url="https://o.example", name="before")
    await organisation.insert()
    resource = documents.Resource(organisation_ref=organisation.id, title="t")
    await resource.insert()

    found = await ask(
        """mutation($resource: ID!, $organisation: ID!) {
          first: updateResource(input: {id: $resource, title: "a"}) { resource { organisation { name } } }
          rename: updateOrganisation(input: {id: $organisation, name: "after"}) { organisation { name } }
          second: updateResource(input: {id: $resource, title: "b"}) { resource { organisation { name } } }
        }""",
        ADMIN,
        resource=resource.id,
        organisation=organisation.id,
    )

    assert found["first"]["resource"]["organisation"]["name"] == "before"
    assert found["second"]["resource"]["organisation"]["name"] == "after"


async def test_a_field_merged_at_one_place_and_alone_at_another_is_read_at_both() -> None:
    organisation = documents.Organisation(url="https://o.example", name="n")
    await organisation.insert()

    await ask(
        """{
          a: organisations { ...Listed nodes { url name } }
          b: organisations { ...Listed }
        } fragment Listed on OrganisationConnection { nodes { id } }"""
    )
