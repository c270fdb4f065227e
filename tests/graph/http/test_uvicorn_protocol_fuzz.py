"""However what a client sends is cut into packets, and whatever it is, it is answered the same."""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

from graph.app import Application
from graph.http.uvicorn_protocol import FastPathProtocol
from tests.support.connections import SMALL, a_post, an_app

CHUNKED = (
    b"POST /graphql HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'5;name="a"\r\n' + SMALL[:5] + b"\r\n13\r\n" + SMALL[5:] + b"\r\n0\r\nAuthorization: Bearer a\r\n\r\n"
)
GOOD = (
    a_post(SMALL),
    a_post(SMALL, "X-Request-Id: mine", "Connection: keep-alive"),
    a_post(b"{}"),
    a_post(SMALL, "Expect: 100-continue"),
    a_post(SMALL, "Connection: Upgrade", "Upgrade: h2c"),
    CHUNKED,
    b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n",
    b"GET /graphql?query=%7B__typename%7D HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"\r\n\r\nHEAD /livez HTTP/1.1\r\nHost: here\r\n\r\n",
    b"GET http://there/livez#part HTTP/1.1\r\nHost: here\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: here\r\n\r\n",
)
LAST = (
    a_post(SMALL, "Connection: close"),
    a_post(SMALL, version="1.0"),
    a_post(SMALL, "Authorization: a", "Authorization: b"),
    CHUNKED.replace(b"\r\n13\r\n", b"\r\n12\r\n"),
    CHUNKED.replace(b"chunked", b"gzip"),
    b"GET /livez HTTP/1.1\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nHost: here\r\nX: a\r\n b\r\n\r\n",
    b"NONSENSE\r\n\r\n",
    a_post(SMALL)[:-3],
    a_post(SMALL)[:50],
)
CODE = re.compile(rb"HTTP/1\.1 (\d{3}) ")
VARYING = re.compile(rb"x-request-id: [0-9a-f]{32}\r\n|HTTP/1.1 100 Continue\r\n\r\n")
CLOSE = b"connection: close\r\n"


class Memory(asyncio.Transport):
    """A connection without a socket."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = self.paused = False
        self.protocol: Any = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.written += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol  # type: ignore[no-any-return]


@dataclass
class Client:
    """Sends packets and keeps what is answered."""

    app: Application

    async def answers(self, packets: Iterable[bytes]) -> bytes:
        """All that is written until nothing more comes of the packets."""
        config = uvicorn.Config(self.app, http=FastPathProtocol, log_config=None, access_log=False, lifespan="off")
        config.load()
        state, transport = ServerState(), Memory()
        transport.protocol = FastPathProtocol(config, state, {})
        transport.protocol.connection_made(transport)
        for packet in packets:
            if not transport.closed:
                transport.protocol.data_received(packet)
                await self._settle(transport)
                assert transport.closed or not transport.paused
        transport.protocol.connection_lost(None)
        while state.tasks:
            await asyncio.sleep(0)
        return bytes(transport.written)

    async def _settle(self, transport: Memory) -> None:
        quiet, before = 0, 0
        while quiet < 40:
            await asyncio.sleep(0)
            quiet = quiet + 1 if len(transport.written) == before else 0
            before = len(transport.written)


def split(sent: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({0, *(cut % (len(sent) + 1) for cut in cuts), len(sent)})
    return [sent[begin:end] for begin, end in pairwise(at)]


def parted(written: bytes) -> list[bytes]:
    """One answer after the other, without what differs by chance."""
    plain = VARYING.sub(b"", written)
    return [b"HTTP/1.1 " + one for one in plain.split(b"HTTP/1.1 ")[1:]]


def hold_the_same(app: Application, sent: bytes, cuts: list[int]) -> list[bytes]:
    """Hold the answers to packets to those to what was sent at once, and return both."""

    async def both() -> tuple[bytes, bytes]:
        client = Client(app)
        return await client.answers([sent]), await client.answers(split(sent, cuts))

    return compare(*asyncio.run(both()))


def compare(at_once: bytes, in_packets: bytes) -> list[bytes]:
    """Hold what was answered to packets to what was answered to the same sent at once, and return both."""
    whole, pieces = parted(at_once), parted(in_packets)
    # A request that is refused before its body has arrived ends its connection, so packets may get fewer answers.
    for one, other in zip(whole, pieces, strict=False):
        refused_early = CLOSE in other and b"HTTP/1.1 4" == one[:10] == other[:10]
        assert other.replace(CLOSE, b"") == one.replace(CLOSE, b"") or refused_early
    if len(whole) != len(pieces):
        assert CLOSE in min(whole, pieces, key=len)[-1]
    return whole + pieces


cuts = st.lists(st.integers(min_value=0), max_size=8)
streams = st.builds(
    lambda good, last: b"".join([*good, last]), st.lists(st.sampled_from(GOOD), max_size=4), st.sampled_from(LAST)
)
app = an_app()


@given(streams, cuts)
@settings(max_examples=300, deadline=None)
def test_good_and_bad_requests_are_answered_the_same_however_they_are_cut(sent: bytes, cuts: list[int]) -> None:
    hold_the_same(app, sent, cuts)


@given(streams, st.integers(min_value=0), st.binary(max_size=4), st.integers(0, 4), cuts)
@settings(max_examples=300, deadline=None)
def test_what_is_damaged_is_answered_the_same_and_never_by_a_failure(
    sent: bytes, at: int, put: bytes, taken: int, cuts: list[int]
) -> None:
    begin = at % len(sent)
    damaged = sent[:begin] + put + sent[begin + taken :]

    statuses = [int(code) for answer in hold_the_same(app, damaged, cuts) for code in CODE.findall(answer)]

    assert all(status < 500 for status in statuses)


async def test_every_cut_of_every_request_is_answered_the_same() -> None:
    for request in GOOD + LAST:
        first, client = a_post(SMALL), Client(app)
        whole = await client.answers([first + request])
        for cut in range(1, len(request)):
            compare(whole, await client.answers([first + request[:cut], request[cut:]]))
