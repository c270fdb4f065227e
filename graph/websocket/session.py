"""One WebSocket with its client, and the context of the client's subscriptions."""

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from graph.http.graphql import MakeContext
from resolvers.activities.change_stream import ChangeFeed
from resolvers.reads.loaders import RequestLoader


@dataclass
class WebSocketSession:
    """One WebSocket, and the client's payload of `connection_init`."""

    socket: WebSocket
    make_context: MakeContext
    connection_params: dict[str, object] = field(default_factory=dict)

    async def context(self) -> object:
        """A fresh context for the client. Raises HTTPError when its credentials are invalid, expired or revoked."""
        return await self.make_context(self._credentials())

    async def close(self, code: int, reason: str = "") -> None:
        """Close the socket if it is still open."""
        if self.socket.application_state is not WebSocketState.DISCONNECTED:
            # A close frame has room for 123 bytes.
            with suppress(WebSocketDisconnect):
                await self.socket.close(code, reason[:100])

    def _credentials(self) -> str | None:
        """The credentials of `connection_init`, else of the header, which browsers cannot send for a WebSocket."""
        values = [value for name, value in self.connection_params.items() if name.lower() == "authorization"]
        if not values or values[0] is None:
            return self.socket.headers.get("authorization")
        # A value that is not a string is refused like an unreadable header.
        return values[0] if isinstance(values[0], str) and values[0].isascii() else "?"


@dataclass
class SubscriptionContext:
    """The context of a subscription. Each delivery is read with a loader of its own."""

    session: WebSocketSession
    changes: ChangeFeed
    loader: RequestLoader

    async def renew_reader(self) -> RequestLoader:
        """Read the next delivery afresh: returns its loader. Raises HTTPError when the client has lost access."""
        self.loader = cast(Any, await self.session.context()).loader
        return self.loader
