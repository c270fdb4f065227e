"""The WebSocket endpoint, for graphql-transport-ws only: the older protocol lets clients in unauthenticated.

Protocol: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import timedelta
from typing import Any, cast

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState
from strawberry.asgi import ASGIWebSocketAdapter, GraphQL
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.schema.base import BaseSchema
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types.unset import UNSET, UnsetType

from documents.outage import outage_of
from graph.context import Context
from graph.engine.error_masking import outage_errors, refusal_errors
from graph.engine.plan.json_output import dumps
from graph.errors import HTTPError, Overloaded, OverloadReason
from graph.http.graphql import GraphQLHandler
from graph.http.media_types import JSON
from graph.http.operation_executor import is_signed_in
from graph.http.send_buffers import SendBuffer, send_buffer_of
from graph.limits import MAX_SOCKET_OPERATIONS, MAX_SOCKETS, SEND_TIMEOUT
from graph.websocket.operations import TRY_AGAIN_LATER, OperationRunner, close_code
from graph.websocket.session import WebSocketSession
from resolvers.activities.change_stream import ChangeFeed

INIT_TIMEOUT = timedelta(seconds=10)
ANONYMOUS_SHARE, UNAUTHENTICATED_SHARE = 0.5, 0.25
"""The share of all sockets for anonymous clients, and for clients that have not authenticated yet."""
MAX_REASON_BYTES = 120
"""Bytes of the reason in a close frame."""
COPIES_PER_MESSAGE = 2
"""Copies of a message in memory: the answer and the message."""
INTERNAL_ERROR = 1011
SLOW_CLIENT = "unread"
BAD_MESSAGE = 4400
SURROGATE = re.compile("[\ud800-\udfff]")

log = structlog.stdlib.get_logger("graph.sockets")


class InvalidMessage(Exception):
    """A frame that does not hold a message of the protocol; the text says why."""


class BackpressureAdapter(ASGIWebSocketAdapter):
    """Sends a message only once the client has read those before, and none to a client that is gone or never reads.

    A subscription with newer data sends that instead, so nothing is queued for a slow client.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._handler = asyncio.current_task()

    async def close(self, code: int, reason: str) -> None:
        # A close frame has room for 123 bytes, and a reason may repeat what the client sent.
        await super().close(code, reason.encode(errors="replace")[:MAX_REASON_BYTES].decode(errors="ignore"))

    async def send_json(self, message: Mapping[str, object]) -> None:
        text = cast(str, self.view.encode_json(message))
        buffer = send_buffer_of(self.ws.scope)
        try:
            if self.ws.application_state is WebSocketState.DISCONNECTED:
                raise WebSocketDisconnected
            async with asyncio.timeout(SEND_TIMEOUT):
                with buffer.holding(COPIES_PER_MESSAGE * len(text)) if buffer else nullcontext():
                    await self.ws.send_text(text)
        except (WebSocketDisconnected, TimeoutError) as error:
            if asyncio.current_task() is self._handler:
                raise WebSocketDisconnected from error
            if isinstance(error, TimeoutError) and self._handler:
                self._handler.cancel(SLOW_CLIENT)
            # The operation ends as if its client had cancelled it.
            raise asyncio.CancelledError from error


class GraphQLWebSocketEndpoint(GraphQL[WebSocketSession, None]):
    """Answers WebSockets at /graphql. Pages of an origin that is neither the server's nor allowed get 403."""

    websocket_adapter_class = BackpressureAdapter  # type: ignore[assignment]

    def __init__(
        self, graphql: GraphQLHandler, allowed_origins: Sequence[str], max_sockets: int, changes: ChangeFeed
    ) -> None:
        super().__init__(
            cast(BaseSchema, OperationRunner(graphql, changes)),
            graphql_ide=None,
            subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
            connection_init_wait_timeout=INIT_TIMEOUT,
            max_subscriptions_per_connection=MAX_SOCKET_OPERATIONS,
            allowed_origins=allowed_origins,
        )
        self._make_context, self._metrics = graphql.make_context, graphql.metrics
        self._admission = graphql.admission
        self._max_sockets = min(MAX_SOCKETS, max_sockets)
        self._open = 0
        self._anonymous: set[int] = set()
        """GraphQLWebSocketEndpoint of anonymous clients, by the id() of their scope."""
        self._unauthenticated: dict[int, SendBuffer | None] = {}
        """GraphQLWebSocketEndpoint whose clients have not authenticated yet, the oldest first."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        if self._open >= self._max_sockets:
            await self._refuse(socket)
            return
        self._enter(id(scope), send_buffer_of(scope))
        try:
            await self._answer(socket)
        except WebSocketDisconnect:
            # Nobody is left to be told why the socket is closed.
            return
        except asyncio.CancelledError as error:
            if error.args != (SLOW_CLIENT,):
                raise
        finally:
            self._leave(id(scope))

    def _enter(self, key: int, buffer: SendBuffer | None) -> None:
        if len(self._unauthenticated) >= UNAUTHENTICATED_SHARE * self._max_sockets:
            # A genuine client authenticates at once.
            oldest = next(iter(self._unauthenticated))
            if (buffer := self._unauthenticated.pop(oldest)) is not None:
                buffer.transport.abort()
        self._unauthenticated[key] = buffer
        self._open += 1
        self._metrics.sockets.set(self._open)

    def _leave(self, key: int) -> None:
        self._unauthenticated.pop(key, None)
        self._anonymous.discard(key)
        self._open -= 1
        self._metrics.sockets.set(self._open)

    async def _refuse(self, socket: WebSocket) -> None:
        """Refuse the WebSocket, because the maximum number is open."""
        error = Overloaded(OverloadReason.WEBSOCKETS)
        self._metrics.count_refusal(error.code)
        self._admission.refused[error.reason] += 1
        body = dumps({"errors": refusal_errors(error)})
        await socket.send_denial_response(Response(body, error.status, error.headers, JSON))

    async def _answer(self, socket: WebSocket) -> None:
        try:
            await self.run(socket)
        except InvalidMessage as error:
            await _close(socket, BAD_MESSAGE, str(error))
        except HTTPError as error:
            await _close(socket, close_code(error), error.message[:100])
        except WebSocketDisconnect:
            raise
        except Exception as error:
            await _close(socket, *_failure_close(error))

    async def get_context(self, request: Any, response: Any) -> WebSocketSession:
        return WebSocketSession(request, self._make_context)

    async def on_ws_connect(self, context: WebSocketSession) -> UnsetType:
        """Accept the client. Raises HTTPError for invalid credentials, and Overloaded."""
        request_context = cast(Context, await context.context())
        key, buffer = id(context.socket.scope), send_buffer_of(context.socket.scope)
        if is_signed_in(request_context.loader):
            if buffer:
                buffer.signed_in = True
        elif len(self._anonymous) >= ANONYMOUS_SHARE * self._max_sockets:
            raise Overloaded(OverloadReason.WEBSOCKETS)
        else:
            self._anonymous.add(key)
        self._unauthenticated.pop(key, None)
        return cast(UnsetType, UNSET)

    def decode_json(self, data: str | bytes) -> object:
        """The message in a frame. Raises InvalidMessage."""
        try:
            message = json.loads(data)
        except (ValueError, RecursionError):
            raise InvalidMessage("The message is not JSON.") from None
        if not isinstance(message, dict):
            raise InvalidMessage("The message is not an object.")
        if not _is_text(message.get("id", "")):
            raise InvalidMessage("The id of the message is not a valid Unicode string.")
        if message.get("type") == "subscribe" and not _is_request(message.get("payload")):
            raise InvalidMessage("The payload of the message is not a request: its query is a string.")
        if message.get("type") == "connection_init" and message.get("payload") is None:
            # Clients with an empty payload send null or leave it out.
            message["payload"] = {}
        return message

    def encode_json(self, data: object) -> str:
        return dumps(data).decode()


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    """Close a socket, unless it is closed already."""
    if socket.application_state is not WebSocketState.DISCONNECTED:
        await socket.close(code, reason)


def _failure_close(error: Exception) -> tuple[int, str]:
    """The close code and reason for a socket that failed through no fault of its client."""
    if outage := outage_of(error):
        (formatted,) = outage_errors(outage, error)
        return TRY_AGAIN_LATER, formatted["message"][:100]
    log.error("the WebSocket failed", exc_info=error)
    return INTERNAL_ERROR, ""


def _is_text(value: object) -> bool:
    """Whether an answer can echo the value: half of a surrogate pair cannot be encoded in UTF-8."""
    return isinstance(value, str) and SURROGATE.search(value) is None


def _is_request(payload: object) -> bool:
    return (
        isinstance(payload, dict)
        and isinstance(payload.get("query"), str)
        and isinstance(payload.get("variables"), dict | None)
        and isinstance(payload.get("operationName"), str | None)
    )
