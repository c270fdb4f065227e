"""The end of a connection whose client may still be sending.

Closing a socket that has unread bytes, or that receives more afterwards, resets the connection, and the client may lose
the response on its way. So the response is followed by closing our side only, and further bytes are read and dropped
for a while.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl

LINGER_TIMEOUT = 10.0
"""Seconds for the client to stop sending and to read the response."""


class LingeringClose(asyncio.Protocol):
    """Takes a connection over from `protocol`, which goes on answering but reads nothing more."""

    def __init__(self, protocol: asyncio.Protocol, transport: asyncio.Transport, flow: FlowControl) -> None:
        self._protocol = protocol
        self._transport = transport
        self._flow = flow
        self._ended = False
        self._timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Drop the bytes."""

    def eof_received(self) -> bool:
        """The client has finished sending; its response is still written."""
        self._ended = True
        if self._timer is not None:
            self._transport.close()
        return True

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._protocol.connection_lost(exc)

    def close(self) -> None:
        """Close our side, and the connection as soon as the client closes its own or its time is over."""
        if self._ended or not self._transport.can_write_eof() or self._transport.is_closing():
            self._transport.close()
        elif self._timer is None:
            self._transport.write_eof()
            self._flow.resume_reading()
            self._timer = asyncio.get_running_loop().call_later(LINGER_TIMEOUT, self._transport.close)


class LastTransport:
    """A transport for a connection's last response; it calls `close` when the response is complete."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self._transport = transport
        self.close = close

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
