"""Many clients in a process of their own: `python -m tests.bench.crowd` asks as a line of JSON on stdin says.

They take whatever they are answered and ask again, so that it is the server that has to say no. What they found is
printed as a line of JSON.
"""

import asyncio
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import cast

import orjson
import uvloop

from tests.bench import hostile
from tests.bench.cases import CREATE, DEEP, FLAT, POINT
from tests.bench.load import Address
from tests.bench.numbered_ids import numbered_id


@dataclass(frozen=True)
class CrowdOptions:
    """The requests of a crowd of clients, and how they are sent."""

    port: int
    kind: str
    """A key of KINDS, here or among the hostile."""
    connections: int
    seconds: float
    token: str = ""
    users: int = 20
    rests: float = 0.0
    """Seconds that a client waits after a refusal; 0 asks again at once."""
    pause: float = 0.0
    """Seconds between an answer and the next request."""


@dataclass
class CrowdResult:
    """The responses to a crowd, counted and timed."""

    elapsed: float = 0.0
    good: list[float] = field(default_factory=list)
    """Seconds that each answer took."""
    refused: list[float] = field(default_factory=list)
    """Seconds that each refusal took."""
    others: Counter[str] = field(default_factory=Counter)
    """All else, by how it begins."""

    @property
    def per_second(self) -> float:
        """Good answers a second."""
        return len(self.good) / self.elapsed


def deep(wanted: CrowdOptions, address: Address) -> Iterator[bytes]:
    """Deep queries, none of them like another."""
    numbers = count()
    start = time.time_ns()
    return iter(
        lambda: address.request(DEEP.replace("id displayName", f"a{start + next(numbers)}: id displayName")), b""
    )


def point(wanted: CrowdOptions, address: Address) -> Iterator[bytes]:
    """Point reads."""
    return iter(lambda: address.request(POINT, {"id": numbered_id("user", time.time_ns() % wanted.users)}), b"")


def flat(wanted: CrowdOptions, address: Address) -> Iterator[bytes]:
    """Pages of 100."""
    return iter(lambda: address.request(FLAT), b"")


def livez(wanted: CrowdOptions, address: Address) -> Iterator[bytes]:
    """Whether the server is alive."""
    return iter(lambda: f"GET /livez HTTP/1.1\r\nHost: 127.0.0.1:{wanted.port}\r\n\r\n".encode(), b"")


def mutation(wanted: CrowdOptions, address: Address) -> Iterator[bytes]:
    """Organisations that are made."""
    numbers, start = count(), time.time_ns()

    def one() -> bytes:
        number = start + next(numbers)
        return address.request(CREATE, {"input": {"url": f"https://made-{number}.example", "name": "Made"}})

    return iter(one, b"")


KINDS: dict[str, Callable[[CrowdOptions, Address], Iterator[bytes]]] = {
    one.__name__: one for one in (deep, flat, point, livez, mutation)
}


class Caller(asyncio.Protocol):
    """One connection, which asks one request after the other until a moment has come."""

    def __init__(self, requests: Iterator[bytes], until: float, wanted: CrowdOptions, found: CrowdResult) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests, self._until, self._wanted, self._found = requests, until, wanted, found
        self._head = b""
        self._missing = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self._found.others["the connection was closed"] += 1
            self.done.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self._missing < 0:
            self._head += data
            head, ended, body = self._head.partition(b"\r\n\r\n")
            if not ended:
                return
            _, _, length = head.lower().partition(b"\r\ncontent-length:")
            self._missing, data = int(length.split(b"\r\n", 1)[0]), body
        self._missing -= len(data)
        if self._missing == 0:
            self._count_answer()

    def _ask(self) -> None:
        self._head, self._missing = b"", -1
        self._asked = time.perf_counter()
        self._transport.write(next(self._requests))

    def _count_answer(self) -> None:
        took, status = time.perf_counter() - self._asked, self._head[9:12]
        if status == b"200" and b'"errors"' not in self._head[:2_000]:
            self._found.good.append(took)
        elif status == b"503":
            self._found.refused.append(took)
        else:
            self._found.others[self._head.decode(errors="replace").partition("\r\n\r\n")[2][:200]] += 1
        loop = asyncio.get_running_loop()
        if time.perf_counter() > self._until:
            self.done.set_result(None)
            self._transport.close()
        elif pause := self._wanted.rests if status == b"503" else self._wanted.pause:
            loop.call_later(pause, self._ask)
        else:
            self._ask()


async def crowd(wanted: CrowdOptions) -> CrowdResult:
    """Ask, and wait for what is under way. Nothing is found of hostile clients."""
    if wanted.kind in hostile.KINDS:
        await hostile.misbehave(wanted.kind, wanted.port, wanted.connections, wanted.seconds)
        return CrowdResult()
    loop, found = asyncio.get_running_loop(), CrowdResult()
    address = Address(wanted.port, headers={"Authorization": f"Bearer {wanted.token}"} if wanted.token else {})
    requests = KINDS[wanted.kind](wanted, address)
    began = time.perf_counter()

    def caller() -> Caller:
        return Caller(requests, began + wanted.seconds, wanted, found)

    made = [await loop.create_connection(caller, "127.0.0.1", wanted.port) for _ in range(wanted.connections)]
    await asyncio.gather(*(one.done for _, one in made))
    found.elapsed = time.perf_counter() - began
    return found


async def apart(wanted: CrowdOptions) -> CrowdResult:
    """Run the crowd in a process of its own, so that asking does not delay anything in this one."""
    command, given = (sys.executable, "-m", "tests.bench.crowd"), orjson.dumps(asdict(wanted))
    # In a thread: uvloop once closed the pipe of a process that had ended before all that it said was read.
    process = await asyncio.to_thread(subprocess.run, command, input=given, stdout=subprocess.PIPE, check=True)
    found = orjson.loads(process.stdout)
    return CrowdResult(**found | {"others": Counter(found["others"])})


def main() -> None:
    """Ask as stdin says."""
    hostile.allow_descriptors()
    found = uvloop.run(crowd(CrowdOptions(**orjson.loads(sys.stdin.read()))))
    sys.stdout.write(orjson.dumps(asdict(found)).decode())


if __name__ == "__main__":
    main()
