"""A database that goes away while the server serves: it says so, nobody waits long, and it recovers by itself."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from documents.embedded import Embedded
from tests.running import COMMAND, Running, on_database, running, until

PATIENCE = 12
"""Seconds that a client may wait; the server's own deadline is shorter, and the machine may be busy."""
READ = "{organisations{nodes{name}}}"
WRITE = 'mutation{createOrganisation(input:{url:"https://%s.example",name:"%s"}){userErrors{code}}}'


@contextmanager
def frozen(database: Embedded, directory: Path) -> Iterator[None]:
    """It holds its connections and says nothing, as behind a broken network."""
    os.kill(database.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(database.pid, signal.SIGCONT)


@contextmanager
def restarted(database: Embedded, directory: Path) -> Iterator[None]:
    """It is stopped, and then started again at the same address."""
    database.stop()
    yield
    again = Embedded.start(directory, port=database.port)
    database.__dict__.update(again.__dict__)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("outage", [frozen, restarted])
def test_clients_are_told_soon_and_served_again_when_it_is_back(
    fast_directory: Path, outage: Callable[[Embedded, Path], AbstractContextManager[None]]
) -> None:
    directory = fast_directory / outage.__name__
    with (
        Embedded.start(directory) as database,
        running(*COMMAND, "serve", env=on_database(database.uri, "outage")) as server,
    ):
        server.ask(WRITE % ("before", "Before"))

        with outage(database, directory):
            assert (server.get("/livez").status_code, server.get("/readyz").status_code) == (200, 503)
            # Side by side, because each takes as long as a request may wait for the database.
            with ThreadPoolExecutor() as asking:
                list(asking.map(lambda query: refused_soon(server, query), (READ, WRITE % ("during", "During"))))
        until(lambda: server.get("/readyz").status_code == 200, 30)
        server.ask(WRITE % ("after", "After"))
        found = server.ask(READ)

        names = [node["name"] for node in found["organisations"]["nodes"]]
        assert {"Before", "After"} <= set(names)
        assert database.uri.split(":")[2].split("@")[0] not in server.log


def refused_soon(server: Running, query: str) -> None:
    began = time.monotonic()
    response = server.post(query, authorization=f"Bearer {server.token}")

    assert time.monotonic() - began < PATIENCE
    (error,) = response.json()["errors"]
    assert (error["message"], error["extensions"]["code"]) == ("Internal error", "INTERNAL_SERVER_ERROR")
    assert "127.0.0.1" not in response.text
