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
WITHOUT_UVLOOP = "import sys; sys.modules['uvloop'] = None; from graph.commands.main import main; main()"


def limited(*command: str) -> list[str]:
    """A command that may have few descriptors."""
    limit = f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, ({LIMIT}, {LIMIT}))"
    return [sys.executable, "-c", f"{limit}; os.execv(sys.argv[1], sys.argv[1:])", *command]


@contextmanager
def connections(server: Running, count: int) -> Iterator[None]:
    """So many connections on which nothing is asked."""
    host, port = server.url.removeprefix("http://").split(":")
    with ExitStack() as opened:
        for _ in range(count):
            opened.enter_context(socket.create_connection((host, int(port)), timeout=within()))
        yield


@pytest.mark.parametrize("command", [COMMAND, (sys.executable, "-c", WITHOUT_UVLOOP)])
def test_a_server_without_descriptors_says_so_once_and_recovers(
    mongod: EmbeddedMongo, command: tuple[str, ...]
) -> None:
    with running(*limited(*command, "serve"), env=on_database(mongod.uri, "descriptors")) as server:
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
    low = f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (256, {hard}))"
    command = [sys.executable, "-c", f"{low}; os.execv(sys.argv[1], sys.argv[1:])", *COMMAND, "serve"]

    with running(*command, env=on_database(mongod.uri, "descriptors")) as server:
        limits = Path(f"/proc/{server.process.pid}/limits").read_text()

    soft = re.search(r"Max open files +(\d+)", limits)
    assert soft is not None
    assert int(soft[1]) == (65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536))
