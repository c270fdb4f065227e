"""A server without file descriptors says so, once, counts it, and serves again when there are some."""

import re
import resource
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from documents.embedded_mongod.server import EmbeddedMongo
from tests.support.patience import until, within
from tests.support.running import COMMAND, Running, on_database, running

LIMIT = 80
NONE_LEFT = "no file descriptors are left to this process: raise its limit (ulimit -n)"
SECONDS = re.compile(r"^provenance_seconds_without_file_descriptors_total (\S+)$", re.MULTILINE)
WITHOUT_UVLOOP = (sys.executable, "-m", "tests.graph.server.without_uvloop")
FEW = {resource.RLIMIT_NOFILE: (LIMIT, LIMIT)}


@contextmanager
def connections(server: Running, count: int) -> Iterator[None]:
    """So many connections on which nothing is asked."""
    host, port = server.url.removeprefix("http://").split(":")
    with ExitStack() as opened:
        for _ in range(count):
            opened.enter_context(socket.create_connection((host, int(port)), timeout=within()))
        yield


@pytest.mark.parametrize("command", [COMMAND, WITHOUT_UVLOOP])
def test_a_server_without_descriptors_says_so_once_and_recovers(
    mongod: EmbeddedMongo, command: tuple[str, ...]
) -> None:
    with running(*command, "serve", env=on_database(mongod.uri, "descriptors"), limits=FEW) as server:
        with connections(server, LIMIT):
            until(lambda: NONE_LEFT in server.log, shown=lambda: server.log)
            # Long enough to be seen twice, and by many connections.
            with connections(server, 20):
                until(lambda: not ready(server))
        until(lambda: "file descriptors are available again" in server.log, shown=lambda: server.log)
        until(lambda: ready(server))
        counted = SECONDS.search(server.get("/metrics").text)
        log = server.log

    assert log.count(NONE_LEFT) == 1
    assert f"limit={LIMIT}" in log
    assert "Traceback" not in log
    assert counted is not None
    assert float(counted[1]) >= 1


def ready(server: Running) -> bool:
    """Whether a new connection is answered."""
    host, port = server.url.removeprefix("http://").split(":")
    try:
        with socket.create_connection((host, int(port)), timeout=2) as connection:
            connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
            return connection.recv(15) == b"HTTP/1.1 200 OK"
    except OSError:
        return False


def test_a_server_takes_as_many_descriptors_as_it_may(mongod: EmbeddedMongo) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = {resource.RLIMIT_NOFILE: (256, hard)}

    with running(*COMMAND, "serve", env=on_database(mongod.uri, "descriptors"), limits=low) as server:
        limits = Path(f"/proc/{server.process.pid}/limits").read_text()

    soft = re.search(r"Max open files +(\d+)", limits)
    assert soft is not None
    assert int(soft[1]) == (65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536))
