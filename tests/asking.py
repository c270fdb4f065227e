"""Asking the schema as a client would, as any viewer."""

from typing import Any

import orjson

from graph.context import Context
from graph.errors import field_errors
from graph.schema import schema
from resolvers.reader import Reader
from resolvers.viewer import ANONYMOUS, Role, Viewer

ADMIN = Viewer(Role.ADMIN)
WORKER = Viewer(Role.WORKER)


async def answer(query: str, viewer: Viewer = ANONYMOUS, /, **variables: Any) -> dict[str, Any]:
    """The whole answer, as it would be written."""
    result = await schema.execute(query, variable_values=variables, context_value=Context(Reader(viewer)))
    written: dict[str, Any] = {"data": result.data}
    if result.errors:
        written["errors"] = field_errors(result.errors, "a-request")
    shown: dict[str, Any] = orjson.loads(orjson.dumps(written))
    return shown


async def ask(query: str, viewer: Viewer = ANONYMOUS, /, **variables: Any) -> Any:
    """The data of an answer that has no errors."""
    found = await answer(query, viewer, **variables)
    assert "errors" not in found, found["errors"]
    return found["data"]


async def refusal(query: str, viewer: Viewer = ANONYMOUS, /, **variables: Any) -> tuple[str, str]:
    """Code and message of the one error of an answer."""
    (error,) = (await answer(query, viewer, **variables))["errors"]
    return error["extensions"]["code"], error["message"]
