"""GraphQL over WebSocket, by graphql-transport-ws alone: the older protocol let clients in before they were known.

Protocol: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

import structlog
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketState
from strawberry.asgi import ASGIWebSocketAdapter, GraphQL
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.schema.base import BaseSchema
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types.unset import UNSET, UnsetType

from graph.errors import HTTPRefusal
from graph.following import Conversation
from graph.http import MakeContext
from graph.metrics import Metrics
from graph.plan.text import dumps
from graph.prepare import Preparer
from graph.streams import Streams, close_code

INIT_TIMEOUT = timedelta(seconds=10)
MAX_OPERATIONS = 20
MAX_SOCKETS = 4_000
MAX_MESSAGE = 131_072
"""Bytes of one message from a client."""
READ_WITHIN = 30.0
"""Seconds after which a client that does not read what it is sent is given up."""
INTERNAL = 1011
UNREAD = "unread"

log = structlog.stdlib.get_logger("graph.sockets")


class PatientAdapter(ASGIWebSocketAdapter):
    """Sends no message before the client has room for it, and nothing to a client that is gone or never reads.

    Whoever has something newer to say says that instead, so nothing is queued for a slow client.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._handler = asyncio.current_task()

    async def send_json(self, message: Mapping[str, object]) -> None:
        try:
            if self.ws.application_state is WebSocketState.DISCONNECTED:
                raise WebSocketDisconnected
            async with asyncio.timeout(READ_WITHIN):
                await super().send_json(message)
        except (WebSocketDisconnected, TimeoutError) as error:
            if asyncio.current_task() is self._handler:
                raise WebSocketDisconnected from error
            if isinstance(error, TimeoutError) and self._handler:
                self._handler.cancel(UNREAD)
            # The operation ends as one that the client has given up.
            raise asyncio.CancelledError from error


class Sockets(GraphQL[Conversation, None]):
    """Answers WebSockets at /graphql. Pages of other origins than ours and the allowed ones are refused with 403."""

    websocket_adapter_class = PatientAdapter  # type: ignore[assignment]

    def __init__(
        self, preparer: Preparer, make_context: MakeContext, allowed_origins: Sequence[str], metrics: Metrics
    ) -> None:
        super().__init__(
            cast(BaseSchema, Streams(preparer, metrics)),
            graphql_ide=None,
            subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
            connection_init_wait_timeout=INIT_TIMEOUT,
            max_subscriptions_per_connection=MAX_OPERATIONS,
            allowed_origins=allowed_origins,
        )
        self._make_context = make_context
        self._metrics = metrics
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        self._open += 1
        self._metrics.sockets.set(self._open)
        try:
            await self._answer(socket)
        except asyncio.CancelledError as error:
            if error.args != (UNREAD,):
                raise
        finally:
            self._open -= 1
            self._metrics.sockets.set(self._open)

    async def _answer(self, socket: WebSocket) -> None:
        try:
            if self._open > MAX_SOCKETS:
                raise HTTPRefusal(503, "As many sockets are open as are allowed.")
            await self.run(socket)
        except HTTPRefusal as refusal:
            await socket.close(close_code(refusal), refusal.message[:100])
        except Exception:
            log.exception("the WebSocket failed")
            if socket.application_state is not WebSocketState.DISCONNECTED:
                await socket.close(INTERNAL)

    async def get_context(self, request: Any, response: Any) -> Conversation:
        return Conversation(request, self._make_context)

    async def on_ws_connect(self, context: Conversation) -> UnsetType:
        """Let the client in. Raises HTTPRefusal for credentials that cannot be accepted."""
        await context.context()
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
        return dumps(data).decode()


def _is_request(payload: object) -> bool:
    return (
        isinstance(payload, dict)
        and isinstance(payload.get("query"), str)
        and isinstance(payload.get("variables"), dict | None)
        and isinstance(payload.get("operationName"), str | None)
    )
