"""GraphQL over WebSocket, by graphql-transport-ws alone: the older protocol let clients in before they were known.

Protocol: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

import json
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta
from typing import Any, cast

import orjson
import structlog
from graphql import GraphQLError
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.schema.base import BaseSchema
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types.execution import ExecutionResult, PreExecutionError

from graph.envelope import request_id
from graph.errors import (
    BAD_USER_INPUT,
    Formatted,
    HTTPRefusal,
    RequestRefused,
    field_errors,
    refusal_errors,
    request_errors,
)
from graph.http import ORJSON, MakeContext
from graph.limits import check_variables
from graph.prepare import Preparer, Unacceptable

INIT_TIMEOUT = timedelta(seconds=10)
MAX_OPERATIONS = 20
MAX_MESSAGE = 131_072
"""Bytes of one message from a client."""

log = structlog.stdlib.get_logger("graph.sockets")
Stream = AsyncGenerator[PreExecutionError | ExecutionResult, None]


class Sockets(GraphQL[object, None]):
    """Answers WebSockets at /graphql. Pages of other origins than ours and the allowed ones are refused with 403."""

    def __init__(self, preparer: Preparer, make_context: MakeContext, allowed_origins: Sequence[str]) -> None:
        super().__init__(
            cast(BaseSchema, PreparedStreams(preparer)),
            graphql_ide=None,
            subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
            connection_init_wait_timeout=INIT_TIMEOUT,
            max_subscriptions_per_connection=MAX_OPERATIONS,
            allowed_origins=allowed_origins,
        )
        self._make_context = make_context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        try:
            await self.run(socket)
        except HTTPRefusal as refusal:
            await socket.close(4403, refusal.message[:100])

    async def get_context(self, request: Any, response: Any) -> object:
        return await self._make_context(request)

    def decode_json(self, data: str | bytes) -> object:
        try:
            message = json.loads(data)
        except (ValueError, RecursionError):
            raise json.JSONDecodeError("not JSON", "", 0) from None
        if not isinstance(message, dict) or not isinstance(message.get("id", ""), str):
            raise json.JSONDecodeError("not a message", "", 0)
        if message.get("type") == "subscribe" and not _is_request(message.get("payload")):
            raise json.JSONDecodeError("not a request", "", 0)
        return message

    def encode_json(self, data: object) -> str:
        return orjson.dumps(data, option=ORJSON).decode()


class PreparedStreams:
    """Stands where Strawberry's handler expects a schema: documents are prepared, and errors masked, as over HTTP."""

    def __init__(self, preparer: Preparer) -> None:
        self._preparer = preparer

    async def stream(
        self, query: str, variable_values: dict[str, Any] | None = None, operation_name: str | None = None, **rest: Any
    ) -> Stream:
        """The results of an operation, one after another."""
        return self._stream(query, variable_values or {}, operation_name, rest)

    async def _stream(self, query: str, variables: dict[str, Any], name: str | None, rest: dict[str, Any]) -> Stream:
        try:
            prepared = self._preparer.prepare(query)
            prepared.operation(name)
            check_variables(variables, self._preparer.limits)
        except Unacceptable as refusal:
            yield PreExecutionError(data=None, errors=_as_errors(refusal.errors))
            return
        except RequestRefused as refusal:
            yield PreExecutionError(data=None, errors=_as_errors(refusal_errors(refusal)))
            return
        results = await self._preparer.schema.stream(query, variable_values=variables, operation_name=name, **rest)
        async for result in results:
            yield _masked(cast(PreExecutionError | ExecutionResult, result))


def _is_request(payload: object) -> bool:
    return (
        isinstance(payload, dict)
        and isinstance(payload.get("query"), str)
        and isinstance(payload.get("variables"), dict | None)
        and isinstance(payload.get("operationName"), str | None)
    )


def _masked(result: PreExecutionError | ExecutionResult) -> PreExecutionError | ExecutionResult:
    errors = result.errors or []
    if isinstance(result, PreExecutionError):
        result.errors = _as_errors(request_errors(errors, BAD_USER_INPUT))
    elif errors:
        result.errors = _as_errors(field_errors(errors, request_id()))
    return result


def _as_errors(formatted: list[Formatted]) -> list[GraphQLError]:
    return [GraphQLError(one["message"], path=one.get("path"), extensions=one["extensions"]) for one in formatted]
