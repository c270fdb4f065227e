"""GraphQL over WebSocket, by graphql-transport-ws alone: the older protocol let clients in before they were known.

Protocol: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import orjson
import structlog
from graphql import GraphQLError
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketState
from strawberry.asgi import GraphQL
from strawberry.schema.base import BaseSchema
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types.execution import ExecutionResult, PreExecutionError
from strawberry.types.unset import UNSET, UnsetType

from graph.envelope import request_id
from graph.errors import (
    BAD_USER_INPUT,
    Formatted,
    HTTPRefusal,
    RequestRefused,
    field_errors,
    internal_errors,
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
FORBIDDEN, INTERNAL, TRY_AGAIN_LATER = 4403, 1011, 1013
"""Codes to close with: the protocol's own, RFC 6455's, and one of the registry that RFC opened."""

log = structlog.stdlib.get_logger("graph.sockets")
Stream = AsyncGenerator[PreExecutionError | ExecutionResult, None]


@dataclass
class Conversation:
    """One WebSocket, and what its client said about itself in `connection_init`."""

    connection: HTTPConnection
    connection_params: dict[str, object] = field(default_factory=dict)

    def introduced(self) -> HTTPConnection:
        """The connection as if the credentials had come in its header, which browsers cannot set on a WebSocket."""
        given = [value for name, value in self.connection_params.items() if name.lower() == "authorization"]
        if not given or given[0] is None:
            return self.connection
        # What is no text is no header, and is refused as one that cannot be read.
        header = given[0] if isinstance(given[0], str) and given[0].isascii() else "?"
        others = {name: value for name, value in self.connection.headers.items() if name != "authorization"}
        headers = Headers({**others, "authorization": header}).raw
        return HTTPConnection({**self.connection.scope, "headers": headers})


class Sockets(GraphQL[Conversation, None]):
    """Answers WebSockets at /graphql. Pages of other origins than ours and the allowed ones are refused with 403."""

    def __init__(self, preparer: Preparer, make_context: MakeContext, allowed_origins: Sequence[str]) -> None:
        super().__init__(
            cast(BaseSchema, PreparedStreams(preparer, make_context)),
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
            await socket.close(TRY_AGAIN_LATER if refusal.status == 503 else FORBIDDEN, refusal.message[:100])
        except Exception:
            log.exception("the WebSocket failed")
            if socket.application_state is not WebSocketState.DISCONNECTED:
                await socket.close(INTERNAL)

    async def get_context(self, request: Any, response: Any) -> Conversation:
        return Conversation(request)

    async def on_ws_connect(self, context: Conversation) -> UnsetType:
        """Let the client in. Raises HTTPRefusal for credentials that cannot be accepted."""
        await self._make_context(context.introduced())
        return cast(UnsetType, UNSET)

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

    def __init__(self, preparer: Preparer, make_context: MakeContext) -> None:
        self._preparer = preparer
        self._make_context = make_context

    async def stream(
        self,
        query: str,
        variable_values: dict[str, Any] | None = None,
        context_value: Any = None,
        operation_name: str | None = None,
        **rest: Any,
    ) -> Stream:
        """The results of an operation, one after another."""
        return self._stream(query, variable_values or {}, operation_name, context_value)

    async def _stream(self, query: str, variables: dict[str, Any], name: str | None, of: Conversation) -> Stream:
        try:
            prepared = self._preparer.prepare(query)
            prepared.operation(name)
            check_variables(variables, self._preparer.limits)
            # Each operation reads anew and has a budget of its own, and a token may have been revoked meanwhile.
            context = await self._make_context(of.introduced())
        except Unacceptable as refusal:
            yield PreExecutionError(data=None, errors=_as_errors(refusal.errors))
            return
        except (RequestRefused, HTTPRefusal) as refusal:
            yield PreExecutionError(data=None, errors=_as_errors(refusal_errors(refusal)))
            return
        except Exception:
            log.exception("the operation failed")
            yield PreExecutionError(data=None, errors=_as_errors(internal_errors(request_id())))
            return
        results = await self._preparer.schema.stream(
            query, variable_values=variables, operation_name=name, context_value=context
        )
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
