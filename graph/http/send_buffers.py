"""Send buffers: bytes that clients have yet to read, bounded for all connections of a process together.

Bytes written to a client that does not read stay in memory. So each write has a time limit, and when too many bytes
wait in total, connections that hold many and have not progressed for long are aborted, those of anonymous callers
first.
"""

import asyncio
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.types import Scope

SEND_BUFFER_KEY = "provenance.send_buffer"
"""The extension of the scope that holds a connection's SendBuffer."""
WRITE_TIMEOUT = 30.0
"""Seconds for the client to read a write …"""
MIN_BYTES_PER_SECOND = 50_000.0
"""… plus the time that its bytes take at this many per second."""
SWEEP_INTERVAL = 1.0
SOCKET_BUFFER_BYTES = 262_144
"""Bytes of the system's send buffer."""
SIGNED_IN_SOCKET_BUFFER_BYTES = 1_048_576
"""Bytes of it for a signed-in client's large response, which is then written in fewer turns."""


class SendBuffer:
    """The bytes that one connection has yet to send, and the callback for when its client hangs up."""

    def __init__(self, transport: asyncio.Transport, send_buffers: "SendBuffers") -> None:
        self.transport = transport
        self.held = 0
        """Bytes that are ready but not written yet."""
        self.is_lost = self.is_paused = False
        """Whether the client is gone, and whether the write buffer is above its high-water mark."""
        self.signed_in = False
        """Whether the connection's last caller was signed in."""
        self.on_hang_up: Callable[[], object] | None = None
        self.since = self.deadline = 0.0
        self._send_buffers = send_buffers
        self._drained: asyncio.Event | None = None
        self._is_wide = False

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self.held + self.transport.get_write_buffer_size()

    def pause(self) -> None:
        """Note that the write buffer is above its high-water mark."""
        self.is_paused = True
        self._send_buffers.add(self)

    def resume(self) -> None:
        """Note that the client has read nearly everything."""
        self.is_paused = False
        if self._drained is not None:
            self._drained.set()
        if self.held:
            self._send_buffers.add(self)
        else:
            self._send_buffers.remove(self)

    def lose(self) -> None:
        """Note that the connection is lost."""
        self.is_lost = True
        self.resume()
        self._send_buffers.remove(self)
        if self.on_hang_up is not None:
            self.on_hang_up()

    async def drain(self) -> None:
        """Return once the client has read nearly everything, or is gone."""
        if self.is_paused:
            self._drained = asyncio.Event()
            await self._drained.wait()

    @contextmanager
    def holding(self, size: int) -> Iterator[Callable[[int], None]]:
        """Count so many bytes as waiting; the yielded function subtracts those that were written."""
        left = size

        def release(written: int) -> None:
            nonlocal left
            left -= written
            self.held -= written

        self.held += size
        if size > SOCKET_BUFFER_BYTES and self.signed_in:
            self._widen()
        if self.is_paused:
            self._send_buffers.make_room()
        try:
            yield release
        finally:
            release(left)
            if not self.is_paused and not self.held:
                self._send_buffers.remove(self)

    def _widen(self) -> None:
        """Enlarge the system's send buffer."""
        connection = self.transport.get_extra_info("socket")
        if connection is not None and not self._is_wide and not self.transport.is_closing():
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SIGNED_IN_SOCKET_BUFFER_BYTES)
            self._is_wide = True


class SendBuffers:
    """The connections with bytes that their clients have yet to read."""

    def __init__(self, limit: int, on_abort: Callable[[], object] = lambda: None) -> None:
        self._limit = limit
        self._on_abort = on_abort
        self._waiting: set[SendBuffer] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def size(self) -> int:
        """Bytes that wait on all connections."""
        return sum(buffer.size for buffer in self._waiting)

    def add(self, buffer: SendBuffer) -> None:
        """Add a connection, whose client from now on has a time limit to read."""
        loop = asyncio.get_running_loop()
        buffer.since = loop.time()
        buffer.deadline = buffer.since + WRITE_TIMEOUT + buffer.size / MIN_BYTES_PER_SECOND
        self._waiting.add(buffer)
        self.make_room()
        if self._timer is None:
            self._timer = loop.call_later(SWEEP_INTERVAL, self._sweep)

    def remove(self, buffer: SendBuffer) -> None:
        """Remove a connection."""
        self._waiting.discard(buffer)

    def make_room(self) -> None:
        """Abort connections while more bytes wait than may."""
        now = asyncio.get_running_loop().time()
        while len(self._waiting) > 1 and self.size > self._limit:
            self._abort(
                max(self._waiting, key=lambda buffer: (not buffer.signed_in, buffer.size * (now - buffer.since)))
            )

    def _sweep(self) -> None:
        """Abort the connections whose time is over, and check again later while others wait."""
        loop = asyncio.get_running_loop()
        for buffer in [buffer for buffer in self._waiting if buffer.deadline < loop.time()]:
            self._abort(buffer)
        self._timer = loop.call_later(SWEEP_INTERVAL, self._sweep) if self._waiting else None

    def _abort(self, buffer: SendBuffer) -> None:
        self._waiting.discard(buffer)
        self._on_abort()
        buffer.transport.abort()


def send_buffers_of(app: object) -> SendBuffers:
    """The application's SendBuffers; one for this connection alone if it has none."""
    buffers = getattr(app, "send_buffers", None)
    return buffers if isinstance(buffers, SendBuffers) else SendBuffers(sys.maxsize)


def send_buffer_of(scope: Scope) -> SendBuffer | None:
    """A request's SendBuffer; None on servers that do not offer it."""
    extensions = scope.get("extensions")
    return extensions.get(SEND_BUFFER_KEY) if extensions else None


def has_hung_up(scope: Scope) -> bool:
    """Whether the client of a request is known to be gone."""
    buffer = send_buffer_of(scope)
    return buffer is not None and buffer.is_lost


async def wait_until_read(scope: Scope, *, signed_in: bool) -> None:
    """Return once the client of a request, signed in or not, has read the responses before."""
    if (buffer := send_buffer_of(scope)) is not None:
        buffer.signed_in = signed_in
        await buffer.drain()


def cancel_on_hang_up(scope: Scope) -> "OnHangUp":
    """Cancel the task in this block when the client of its request hangs up."""
    task = asyncio.current_task()
    return OnHangUp(scope, task.cancel if task else None)


def ignore_hang_up(scope: Scope) -> "OnHangUp":
    """Let this block finish when the client hangs up, although a surrounding block would be cancelled."""
    return OnHangUp(scope, None)


class OnHangUp:
    """A block during which a client's hang-up calls `call`; cancelled at once if the client is gone already.

    Not for WebSockets, which cancel their operations themselves. A class instead of a generator, because each request
    enters two such blocks.
    """

    __slots__ = ("_before", "_call", "_send_buffer")

    def __init__(self, scope: Scope, call: Callable[[], object] | None) -> None:
        self._send_buffer = None if scope["type"] == "websocket" else send_buffer_of(scope)
        self._call = call
        self._before: Callable[[], object] | None = None

    def __enter__(self) -> None:
        buffer = self._send_buffer
        if buffer is None:
            return
        if buffer.is_lost and self._call is not None:
            raise asyncio.CancelledError
        self._before, buffer.on_hang_up = buffer.on_hang_up, self._call

    def __exit__(self, *raised: object) -> None:
        if self._send_buffer is not None:
            self._send_buffer.on_hang_up = self._before
