"""A way from the browser to a server that can be disturbed: a proxy, or a network that fails."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto

from tests.support.running import Running

BUSY = b'{"errors":[{"message":"The server is busy.","extensions":{"code":"OVERLOADED"}}]}'
RETRY_AFTER = 2


class Way(Enum):
    """The treatment of connections."""

    OPEN = auto()
    CLOSED = auto()
    """Connections are refused, as if the server were gone."""
    BUSY = auto()
    """Each request is answered 503, with Retry-After."""
    NO_WEBSOCKETS = auto()
    """WebSockets are refused, as by a proxy that does not know them."""


class Relay:
    """A relay to a server, whose pages are opened at `url`."""

    def __init__(self, server: Running) -> None:
        self.url = ""
        self.refused_at: list[float] = []
        """Times at which a connection or a request was refused, in seconds of the monotonic clock."""
        self._port = int(server.url.rpartition(":")[2])
        self._way = Way.OPEN
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._open: set[asyncio.StreamWriter] = set()

    def turn(self, way: Way) -> None:
        """Cuts all connections, and treats new ones in that way."""
        self._way = way
        for writer in self._open:
            writer.transport.abort()

    def hang(self) -> None:
        """Keeps all connections and lets nothing through."""
        self._flowing.clear()

    def flow(self) -> None:
        """Lets everything through that was held."""
        self._flowing.set()

    async def serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._treat(reader, writer)
        finally:
            self._open.discard(writer)
            writer.close()

    async def _treat(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._way is Way.CLOSED:
            self.refused_at.append(time.monotonic())
            writer.transport.abort()
            return
        head = await reader.readuntil(b"\r\n\r\n")
        if self._way is Way.BUSY:
            await self._refuse(writer, b"503 Service Unavailable", BUSY, b"Retry-After: %d\r\n" % RETRY_AFTER)
        elif self._way is Way.NO_WEBSOCKETS and b"upgrade: websocket" in head.lower():
            await self._refuse(writer, b"400 Bad Request", b"{}", b"")
        else:
            await self._pass_on(head, reader, writer)

    async def _refuse(self, writer: asyncio.StreamWriter, status: bytes, body: bytes, header: bytes) -> None:
        self.refused_at.append(time.monotonic())
        lines = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%sConnection: close\r\n\r\n"
        writer.write(lines % (status, len(body), header) + body)
        await writer.drain()

    async def _pass_on(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._port)
        there_writer.write(head)
        pumps = [
            asyncio.create_task(self._pump(reader, there_writer)),
            asyncio.create_task(self._pump(there_reader, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            there_writer.close()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            await self._flowing.wait()
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def relay(server: Running) -> AsyncIterator[Relay]:
    """A relay to the server for as long as the block lasts."""
    made = Relay(server)
    listener = await asyncio.start_server(made.serve_connection, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        listener.close()
        made.flow()
        made.turn(Way.CLOSED)
        await listener.wait_closed()
