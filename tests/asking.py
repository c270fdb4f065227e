"""Asking the schema as a client would, as any viewer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from graphql import DocumentNode, OperationDefinitionNode, OperationType, parse

from graph.context import Context
from graph.errors import field_errors
from graph.plan import Planner, Plans
from graph.schema import schema
from resolvers.reader import Reader
from resolvers.viewer import ANONYMOUS, Role, Viewer

ADMIN = Viewer(Role.ADMIN)
WORKER = Viewer(Role.WORKER)


planner = Planner(schema)
comparing = True


async def answer(query: str, viewer: Viewer = ANONYMOUS, /, **variables: Any) -> dict[str, Any]:
    """The whole answer, as the server gives it: by plan where there is one.

    Unless round trips are being counted, the reference answers too, and both must have given the same bytes.
    """
    planned = await by_plan(query, viewer, **variables)
    if planned is not None and not comparing:
        return as_written({"data": planned})
    written = await by_reference(query, viewer, **variables)
    if "errors" not in written and is_planned(query):
        assert planned is not None, f"There is no plan for {query}"
        assert orjson.dumps(planned) == orjson.dumps(written["data"])
    return as_written(written)


@contextmanager
def without_comparison() -> Iterator[None]:
    """Answer once, not twice, within the block."""
    global comparing
    before, comparing = comparing, False
    try:
        yield
    finally:
        comparing = before


def as_written(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer as a client reads it."""
    shown: dict[str, Any] = orjson.loads(orjson.dumps(answer))
    return shown


async def by_reference(query: str, viewer: Viewer = ANONYMOUS, /, **variables: Any) -> dict[str, Any]:
    """The answer of the standard executor."""
    result = await schema.execute(query, variable_values=variables, context_value=Context(Reader(viewer)))
    written: dict[str, Any] = {"data": result.data}
    if result.errors:
        written["errors"] = field_errors(result.errors, "a-request")
    return written


async def by_plan(query: str, viewer: Viewer, /, **variables: Any) -> Any:
    """The data by plan alone; None where it steps aside, or nothing is asked for that a plan answers."""
    if not is_planned(query):
        return None
    document = parse(query)
    return await Plans(planner, document).data(the_operation(document), variables, Reader(viewer))


def is_planned(query: str) -> bool:
    """Whether a document asks for data, not for a change or for the schema: whether there must be a plan."""
    asks_for_schema = "__schema" in query or "__type(" in query
    return the_operation(parse(query)).operation is OperationType.QUERY and not asks_for_schema


def the_operation(document: DocumentNode) -> OperationDefinitionNode:
    """The one operation of a document."""
    (operation,) = (one for one in document.definitions if isinstance(one, OperationDefinitionNode))
    return operation


async def ask(query: str, viewer: Viewer = ANONYMOUS, /, **variables: Any) -> Any:
    """The data of an answer that has no errors."""
    found = await answer(query, viewer, **variables)
    assert "errors" not in found, found["errors"]
    return found["data"]


async def refusal(query: str, viewer: Viewer = ANONYMOUS, /, **variables: Any) -> tuple[str, str]:
    """Code and message of the one error of an answer."""
    (error,) = (await answer(query, viewer, **variables))["errors"]
    return error["extensions"]["code"], error["message"]
