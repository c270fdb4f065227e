"""Connections on which a test writes bytes as it wants them, and servers of this process that they lead to."""

import json
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx2
import uvicorn

from graph.app import Application, create_app
from graph.http.uvicorn_protocol import FastPathProtocol, WebSocketProtocol
from graph.schema import schema
from graph.settings import Settings
from tests.support.patience import until, within

Answer = tuple[bytes, dict[str, str], bytes]
"""The status line, the headers and the body."""
SMALL = b'{"query":"{__typename}"}'


class Connection:
    """A connection on which bytes are written as a test wants them."""

    def __init__(self, url: str, receive_buffer: int | None = None) -> None:
        address = httpx2.URL(url)
        self._socket = socket.socket()
        self._socket.settimeout(within())
        if receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.connect((address.host, address.port or 80))
        self._answers = self._socket.makefile("rb")

    def write(self, data: bytes) -> None:
        self._socket.sendall(data)

    def read(self) -> Answer:
        """The next answer."""
        status = self._answers.readline().rstrip()
        headers: dict[str, str] = {}
        while line := self._answers.readline().rstrip():
            name, _, value = line.decode().partition(": ")
            headers[name.lower()] = value
        return (
            status,
            headers,
            self._answers.read(int(headers.get("content-length", 0))),
        )

    def read_until(self, end: bytes) -> bytes:
        """The bytes up to `end`, or until the server closes the connection."""
        read = b""
        while end not in read and (byte := self._answers.read(1)):
            read += byte
        return read

    def read_rest(self) -> bytes:
        """The bytes until the server closes or resets the connection."""
        found = bytearray()
        with suppress(ConnectionError):
            while part := self._socket.recv(1_000_000):
                found += part
        return bytes(found)

    def is_silent(self) -> bool:
        """Whether nothing comes for a moment."""
        return not select.select([self._socket], [], [], 0.1)[0]

    def write_in_pieces(self, data: bytes) -> None:
        """Write all but its end, for which the server has to wait, and then its end."""
        self.write(data[:-1])
        assert self.is_silent()
        self.write(data[-1:])

    def statuses(self) -> list[int]:
        """The statuses of all answers that come until the server ends the connection."""
        found = []
        while (status := self.read()[0]) != b"":
            found.append(int(status.split()[1]))
        return found

    def is_closed(self) -> bool:
        """Whether the server has closed the connection and sent nothing more."""
        return self._answers.read(1) == b""

    def close(self) -> None:
        self._answers.close()
        self._socket.close()


@contextmanager
def open_connection(url: str, receive_buffer: int | None = None) -> Iterator[Connection]:
    """Connect to a server. `receive_buffer` are the bytes that the system buffers before the test reads them."""
    connection = Connection(url, receive_buffer)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def serve(app: Any) -> Iterator[str]:
    """Serve an application in a thread of this process; yields its address."""
    quiet: Any = {"log_config": None, "access_log": False, "lifespan": "off"}
    config = uvicorn.Config(
        app, http=FastPathProtocol, ws=WebSocketProtocol, port=0, timeout_graceful_shutdown=2, **quiet
    )
    server = uvicorn.Server(config)
    serving = threading.Thread(target=server.run)
    serving.start()
    try:
        until(lambda: server.started)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        serving.join()


def an_app() -> Application:
    """The application, of which nothing is asked that needs a database."""

    async def nobody(credentials: str | None) -> object:
        return object()

    async def ready() -> bool:
        return True

    return create_app(schema=schema, settings=Settings(), make_context=nobody, ready=ready)


def refusal(answer: Answer) -> tuple[int, str, str]:
    """Status, code and message of an answer that refuses a request as all others do."""
    status, headers, body = answer
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert len(headers["x-request-id"]) >= 1
    (error,) = json.loads(body)["errors"]
    return int(status.split()[1]), error["extensions"]["code"], error["message"]


def a_post(body: bytes, *headers: str, version: str = "1.1") -> bytes:
    first = f"POST /graphql HTTP/{version}"
    lines = [first, "Host: here", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body
