"""Asking the schema as a client would, as any viewer."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from inspect import isawaitable
from typing import Any, cast

import orjson
from graphql import ExecutionResult, OperationType, execute
from strawberry.execution import optimized_is_awaitable

from graph.context import Context
from graph.engine.error_masking import field_errors
from graph.engine.plan.json_output import dumps
from graph.engine.prepare import DocumentCache, InvalidDocument
from graph.http.operation_executor import IsAwaitable
from graph.limits import Limits
from graph.schema import schema
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from resolvers.reads.loaders import RequestLoader

ADMIN = Viewer(Role.ADMIN)
WORKER = Viewer(Role.WORKER)


document_cache = DocumentCache(
    schema, Limits(**{limit.name: 10**9 for limit in fields(Limits)}), max_characters=2_000_000
)
"""Texts are read once, as the server does. Tests ask more, and more at a time, than clients may."""
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
        assert dumps(planned) == dumps(written["data"])
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
    shown: dict[str, Any] = orjson.loads(dumps(answer))
    return shown


async def by_reference(query: str, viewer: Viewer = ANONYMOUS, /, **variables: Any) -> dict[str, Any]:
    """The answer of the standard executor."""
    result = await execute_query(query, variables, Context(RequestLoader(viewer)))
    written: dict[str, Any] = {"data": result.data}
    if result.errors:
        written["errors"] = field_errors(result.errors, "a-request")
    return written


async def execute_query(query: str, variables: dict[str, Any], context: Context) -> ExecutionResult:
    """The result of the standard executor, which reads through this context."""
    try:
        prepared = document_cache.prepare(query)
    except InvalidDocument:
        # Strawberry's schema words the errors of an invalid document.
        refused = await schema.execute(query, variable_values=variables, context_value=context)
        assert isinstance(refused, ExecutionResult)
        return refused
    running = execute(
        schema._schema,
        prepared.document,
        variable_values=variables,
        context_value=context,
        is_awaitable=cast(IsAwaitable, optimized_is_awaitable),
        executor_class=schema.execution_context_class,
    )
    return await running if isawaitable(running) else running


async def by_plan(query: str, viewer: Viewer, /, **variables: Any) -> Any:
    """The data by plan alone; None where it falls back, or nothing is asked for that a plan answers."""
    if not is_planned(query):
        return None
    prepared = document_cache.prepare(query)
    found = prepared.plans.find(prepared.operation(None), variables)
    if found is None:
        return None
    plan, values = found
    return await plan.data(RequestLoader(viewer), values)


def is_planned(query: str) -> bool:
    """Whether a document asks for data, not for a change or for the schema: whether there must be a plan."""
    asks_for_schema = "__schema" in query or "__type(" in query
    try:
        return not asks_for_schema and document_cache.prepare(query).operation(None).operation is OperationType.QUERY
    except InvalidDocument:
        return False


async def ask(query: str, viewer: Viewer = ANONYMOUS, /, **variables: Any) -> Any:
    """The data of an answer that has no errors."""
    found = await answer(query, viewer, **variables)
    assert "errors" not in found, found["errors"]
    return found["data"]


async def refusal(query: str, viewer: Viewer = ANONYMOUS, /, **variables: Any) -> tuple[str, str]:
    """Code and message of the one error of an answer."""
    (error,) = (await answer(query, viewer, **variables))["errors"]
    return error["extensions"]["code"], error["message"]
