"""Asking over HTTP with as little CPU as possible, since it is shared with the servers and the database.

A connection writes a ready-made request, counts the bytes of the answer, and writes the next one: no futures, no tasks
and no parser in between. Answers are told apart from failures by how they begin.
"""

import asyncio
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import orjson

GOOD = (b'{"data":{',)
"""The beginning of an answer that is not an error."""
REFUSAL_SECONDS = 10.0
"""How long a server may refuse a request as busy before that is a failure."""


@dataclass(frozen=True)
class Address:
    """The address of a server's endpoint, with the headers of requests."""

    port: int
    path: str = "/graphql"
    headers: Mapping[str, str] = field(default_factory=dict)

    def request(self, query: str, variables: Mapping[str, object] | None = None) -> bytes:
        """The bytes of a request."""
        body = orjson.dumps({"query": query, "variables": dict(variables or {})})
        headers = {
            "Host": f"127.0.0.1:{self.port}",
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Content-Length": str(len(body)),
            **self.headers,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST {self.path} HTTP/1.1\r\n{lines}\r\n".encode() + body


@dataclass(frozen=True)
class Turn:
    """The measurements of one turn of one server."""

    seconds: list[float]
    """Each answer took so long."""
    elapsed: float
    """From the first request to the last answer."""

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return len(self.seconds) / self.elapsed


class LoadError(Exception):
    """A server answered with something else than data."""


class Asker(asyncio.Protocol):
    """One connection, which asks one request after the other until a moment has come, at least once.

    What a server that is busy refuses is asked again for REFUSAL_SECONDS: its answer took as long as all of that.
    """

    def __init__(self, requests: Iterator[bytes], until: float) -> None:
        self.seconds: list[float] = []
        self.done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._requests, self._until = requests, until
        self._request = b""
        self._is_refused = False
        self._parts: list[bytes] = []
        self._missing = -1
        """Bytes of the body that are still to come; -1 before its headers are complete, -2 while it comes in chunks."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(LoadError(f"The server closed the connection: {exc or 'without an error'}."))

    def start(self) -> None:
        """Ask the first request."""
        self._ask_next(time.perf_counter())

    def close(self) -> None:
        """Hang up."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._missing == -1:
            data = self._begin(data)
        self._parts.append(data)
        if self._missing >= 0:
            self._missing -= len(data)
        if self._missing == 0 or (self._missing == -2 and self._ends()):
            self._count_answer()

    def _begin(self, data: bytes) -> bytes:
        """Read the headers, and give what is there of the body. Until they are complete nothing is."""
        data = b"".join((*self._parts, data))
        self._parts.clear()
        head, found, body = data.partition(b"\r\n\r\n")
        if not found:
            return data
        lower = head.lower()
        self._is_refused = lower.startswith(b"http/1.1 503") and b"\r\nretry-after:" in lower
        if not self._is_refused and not lower.startswith(b"http/1.1 200"):
            self._fail(data)
        _, announced, length = lower.partition(b"\r\ncontent-length:")
        self._missing = int(length.split(b"\r\n", 1)[0]) if announced else -2
        return body

    def _ends(self) -> bool:
        return b"".join(self._parts[-2:]).endswith(b"0\r\n\r\n")

    def _ask_next(self, now: float) -> None:
        self._asked, self._request = now, next(self._requests)
        self._transport.write(self._request)

    def _count_answer(self) -> None:
        now = time.perf_counter()
        if self._is_refused and now < self._asked + REFUSAL_SECONDS:
            self._parts, self._missing = [], -1
            self._transport.write(self._request)
            return
        self.seconds.append(now - self._asked)
        # A chunk's length stands before it.
        start = self._parts[0] or b"".join(self._parts[:2])
        if GOOD[0] not in start[:40]:
            self._fail(start)
        body, self._missing = self._parts, -1
        self._parts = []
        if now < self._until:
            self._ask_next(now)
        elif not self.done.done():
            self.done.set_result(b"".join(body))

    def _fail(self, data: bytes) -> None:
        if not self.done.done():
            self.done.set_exception(LoadError(f"The server answered {data[:500].decode(errors='replace')}"))
        self._transport.close()


async def ask(address: Address, request: bytes) -> bytes:
    """The body of one answer."""
    asker = await _connect(address, iter([request]), 0.0)
    asker.start()
    try:
        body = await asker.done
    finally:
        asker.close()
    return body if body.startswith(GOOD) else _join_chunks(body)


def throw_away(address: Address, request: bytes) -> None:
    """Ask, wait for the whole answer, and keep nothing of it. Raises Failed when the server hangs up before."""
    room = bytearray(1_000_000)
    with socket.create_connection(("127.0.0.1", address.port)) as connection:
        connection.sendall(request)
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65_536)
        head, _, begun = head.partition(b"\r\n\r\n")
        missing = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]) - len(begun)
        while missing:
            count = connection.recv_into(room)
            if not count:
                raise LoadError(f"The server hung up {missing:,} bytes before the end.")
            missing -= count


async def take_turn(
    addresses: Sequence[Address], requests: Sequence[Iterator[bytes]], connections: int, seconds: float
) -> Turn:
    """Ask for so long over so many connections, dealt out to the addresses in turn; wait for what is under way."""
    count = len(addresses)
    until = time.perf_counter() + seconds
    askers = [await _connect(addresses[n % count], requests[n % count], until) for n in range(connections)]
    began = time.perf_counter()
    for asker in askers:
        asker.start()
    try:
        await asyncio.gather(*(asker.done for asker in askers))
        elapsed = time.perf_counter() - began
    finally:
        for asker in askers:
            asker.close()
    return Turn([one for asker in askers for one in asker.seconds], elapsed)


async def _connect(address: Address, requests: Iterator[bytes], until: float) -> Asker:
    loop = asyncio.get_running_loop()
    _, asker = await loop.create_connection(lambda: Asker(requests, until), "127.0.0.1", address.port)
    return asker


def _join_chunks(body: bytes) -> bytes:
    """The body of a chunked response."""
    found = []
    while body:
        length, _, body = body.partition(b"\r\n")
        size = int(length, 16)
        found.append(body[:size])
        body = body[size + 2 :]
    return b"".join(found)
