"""One WebSocket and its client, and the context of what the client follows."""

from dataclasses import dataclass, field
from typing import Any, cast

import pymongo
from starlette.websockets import WebSocket, WebSocketState

from graph.deadline import REQUEST_WITHIN
from graph.http import MakeContext
from resolvers.changes import Changes
from resolvers.reader import Reader


@dataclass
class Conversation:
    """One WebSocket, and what its client said about itself in `connection_init`."""

    socket: WebSocket
    make_context: MakeContext
    connection_params: dict[str, object] = field(default_factory=dict)

    async def context(self) -> object:
        """A fresh context of the client. Raises HTTPRefusal when its credentials are not accepted, or not any more."""
        with pymongo.timeout(REQUEST_WITHIN):
            return await self.make_context(self._introduced())

    async def close(self, code: int, reason: str = "") -> None:
        """Close the socket, if it is open still."""
        if self.socket.application_state is not WebSocketState.DISCONNECTED:
            # A close frame has room for 123 bytes.
            await self.socket.close(code, reason[:100])

    def _introduced(self) -> str | None:
        """The credentials, which browsers cannot set as a header of a WebSocket."""
        given = [value for name, value in self.connection_params.items() if name.lower() == "authorization"]
        if not given or given[0] is None:
            return self.socket.headers.get("authorization")
        # What is no text is no header, and is refused as one that cannot be read.
        return given[0] if isinstance(given[0], str) and given[0].isascii() else "?"


@dataclass
class Following:
    """The context of a subscription. What is read for a delivery is read with a reader of its own."""

    conversation: Conversation
    changes: Changes
    reader: Reader

    async def renewed(self) -> Reader:
        """A fresh reader for the next delivery. Raises HTTPRefusal when the client is not let in any more."""
        self.reader = cast(Any, await self.conversation.context()).reader
        return self.reader
