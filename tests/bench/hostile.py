"""Clients that do what nobody should: read nothing, hang up, send without an end, ask for what is large.

Each kind is what one of them does over and over, until the time is over.
"""

import asyncio
import resource
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count

import orjson

from tests.bench.cases import DEEP
from tests.bench.load import Address
from tests.bench.numbered_ids import numbered_id

LEVELS = DEEP.partition("{")[2].rpartition("}")[0]
"""The deep query without its braces."""
BELOW = " ".join(
    f"a{n}: steps(first: 100) {{ nodes {{ id key ordinal outputs(first: 100) {{ nodes {{ id fileName }} }} }} }}"
    for n in range(20)
)
FOLLOWED = f"subscription Followed($id: ID!) {{ execution(id: $id) {{ id title status description tags {BELOW} }} }}"
UPGRADE = (
    "GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)
numbers = count(time.time_ns())


@asynccontextmanager
async def _connection(port: int) -> AsyncIterator[socket.socket]:
    """A connection that has little room for what it is sent."""
    with socket.socket() as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", port))
        yield made


def _wide() -> str:
    """The deep query several times in one operation: as much as an anonymous caller may be answered."""
    return "{" + " ".join(LEVELS.replace("users", f"u{next(numbers)}: users", 1) for _ in range(10)) + "}"


async def unread(port: int, until: float) -> None:
    """Ask for a large answer and read nothing of it."""
    async with _connection(port) as made:
        await _send(made, Address(port).request(_wide()))
        await asyncio.sleep(max(0.0, until - time.perf_counter()))


async def hang_up(port: int, until: float) -> None:
    """Ask, and hang up a moment later."""
    async with _connection(port) as made:
        await _send(made, Address(port).request(_wide()))
        await asyncio.sleep(0.05)


async def endless(port: int, until: float) -> None:
    """Send most of a body, and then nothing more."""
    head = "POST /graphql HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
    async with _connection(port) as made:
        await _send(made, head.encode() + b'{"query":"' + b" " * 990_000)
        await asyncio.sleep(max(0.0, until - time.perf_counter()))


async def dense(port: int, until: float) -> None:
    """Ask with a document of as many fields as are taken, which is like no other."""
    fields = " ".join("id title createdAt description tags startTimestamp" for _ in range(100))
    query = f"{{ a{next(numbers)}: executions(first: 100) {{ nodes {{ {fields} }} }} }}"
    async with _connection(port) as made:
        await _send(made, Address(port).request(query))
        await _receive(made)


async def wide(port: int, until: float) -> None:
    """Ask for as much as is answered, and take it."""
    async with _connection(port) as made:
        await _send(made, Address(port).request(_wide()))
        await _receive(made)


async def followers(port: int, until: float) -> None:
    """Follow an execution with as much below it as is taken, and read nothing."""
    async with _connection(port) as made:
        payload = {"query": FOLLOWED, "variables": {"id": numbered_id("execution", next(numbers) % 100)}}
        await _send(made, UPGRADE.format(port=port).encode())
        await _receive(made)
        await _send(made, _frame({"type": "connection_init"}))
        for number in range(5):
            await _send(made, _frame({"id": str(number), "type": "subscribe", "payload": payload}))
        await asyncio.sleep(max(0.0, until - time.perf_counter()))


def _frame(message: object) -> bytes:
    """A message as a client sends it over a WebSocket (RFC 6455, 5.2), masked with zeros."""
    data = orjson.dumps(message)
    length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2)
    return b"\x81" + length + bytes(4) + data


async def _send(made: socket.socket, data: bytes) -> None:
    async with asyncio.timeout(30):
        await asyncio.get_running_loop().sock_sendall(made, data)


async def _receive(made: socket.socket) -> bytes:
    """The bytes that arrive next, up to the first pause."""
    found = b""
    with suppress(TimeoutError):
        while part := await asyncio.wait_for(asyncio.get_running_loop().sock_recv(made, 1_000_000), 0.5):
            found = part
    return found


KINDS: dict[str, Callable[[int, float], Awaitable[None]]] = {
    one.__name__: one for one in (unread, hang_up, endless, dense, wide, followers)
}


async def misbehave(kind: str, port: int, connections: int, seconds: float) -> None:
    """Let so many clients of a kind do what they do, again and again."""
    until = time.perf_counter() + seconds

    async def client() -> None:
        while time.perf_counter() < until:
            with suppress(OSError, TimeoutError):
                await KINDS[kind](port, until)
            await asyncio.sleep(0.01)

    await asyncio.gather(*(client() for _ in range(connections)))


def allow_descriptors() -> None:
    """As many connections as the system lets a process have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65_536), most))
