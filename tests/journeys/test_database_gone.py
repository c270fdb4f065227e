"""A database that goes away while the server serves: it says so, nobody waits long, and it recovers by itself."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from statistics import median
from uuid import uuid4

import pytest

from documents.embedded_mongod.server import EmbeddedMongo
from documents.mongo.topology import ELECTION_TIMEOUT
from resolvers.access.token_secret import new_secret
from resolvers.outage_log import LOG_INTERVAL
from tests.graph.websocket.test_endpoint import closed_with, introduced
from tests.support.patience import until, within
from tests.support.running import COMMAND, Running, on_database, running
from tests.support.suspension import suspended

TIMEOUT = within(25)
"""Seconds that a client may wait. The server gives up after 5 without a word, the driver by itself after 30."""
READ = "{organisations{nodes{name}}}"
WRITE = 'mutation{createOrganisation(input:{url:"https://%s.example",name:"%s"}){userErrors{code}}}'


@contextmanager
def frozen(database: EmbeddedMongo, directory: Path) -> Iterator[None]:
    """It holds its connections and says nothing, as behind a broken network."""
    with suspended(database.pid):
        yield


@contextmanager
def restarted(database: EmbeddedMongo, directory: Path) -> Iterator[None]:
    """It is stopped, and then started again at the same address."""
    database.stop()
    yield
    again = EmbeddedMongo.start(directory, port=database.port)
    database.__dict__.update(again.__dict__)


@pytest.mark.timeout(within(240))
@pytest.mark.parametrize("outage", [frozen, restarted])
def test_clients_are_told_soon_and_served_again_when_it_is_back(
    fast_directory: Path, outage: Callable[[EmbeddedMongo, Path], AbstractContextManager[None]]
) -> None:
    directory = fast_directory / outage.__name__
    with (
        EmbeddedMongo.start(directory) as database,
        running(*COMMAND, "serve", env=on_database(database.uri, "outage")) as server,
    ):
        server.ask(WRITE % ("before", "Before"))
        answered = median(timed(lambda: server.ask(READ)) for _ in range(20))

        began = time.monotonic()
        with outage(database, directory):
            assert (server.get("/livez").status_code, server.get("/readyz").status_code) == (200, 503)
            # Side by side, because each takes as long as a request may wait for the database.
            with ThreadPoolExecutor() as asking:
                list(asking.map(lambda query: refused_soon(server, query), (READ, WRITE % ("during", "During"))))
            # From now on it is known, so nobody waits any more.
            refused = median(timed(lambda: refused_soon(server, READ)) for _ in range(20))
            assert refused < 0.2 + 10 * answered
            nobody_can_sign_in(server)
        until(lambda: server.get("/readyz").status_code == 200)
        intervals = 1 + int((time.monotonic() - began) / LOG_INTERVAL)
        server.ask(WRITE % ("after", "After"))
        found = server.ask(READ)

        names = [node["name"] for node in found["organisations"]["nodes"]]
        assert {"Before", "After"} <= set(names)
        assert database.uri.split(":")[2].split("@")[0] not in server.log
        assert "Traceback" not in server.log
        # The first line and one an interval, of each of the two codes.
        assert 1 <= server.log.count("requests could not be answered") <= 2 * (1 + intervals)


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    began = time.monotonic()
    call()
    return time.monotonic() - began


def refused_soon(server: Running, query: str) -> None:
    began = time.monotonic()
    response = server.post(query, authorization=f"Bearer {server.token}")

    assert time.monotonic() - began < TIMEOUT
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")
    (error,) = response.json()["errors"]
    assert error["extensions"] == {"code": "UNAVAILABLE"}
    assert error["message"].startswith("The database is not responding at the moment. Try again later.")
    assert ("repeat it with the same idempotencyKey" in error["message"]) == (query != READ)
    assert "127.0.0.1" not in response.text


def nobody_can_sign_in(server: Running) -> None:
    """Whether a token is good cannot be told, which is no reason to refuse it for good."""
    headers = {"authorization": f"Bearer {new_secret()}"}
    by_token = server.post(READ, **headers)
    reporting = server.client.post(f"{server.url}/api/whoami", headers={"authorization": f"{uuid4()}:pgi_key"})
    with introduced(server, headers) as socket:
        closed = closed_with(socket)

    assert (by_token.status_code, by_token.json()["errors"][0]["extensions"]["code"]) == (503, "UNAVAILABLE")
    assert (reporting.status_code, reporting.headers["retry-after"]) == (503, "10")
    assert closed == 1013


def test_a_server_that_stood_still_answers_at_once(fast_directory: Path) -> None:
    """Cloud Run gives an instance no CPU between requests, in which it hears nothing of its database."""
    directory = fast_directory / "stood-still"
    with (
        EmbeddedMongo.start(directory) as database,
        running(*COMMAND, "serve", env=on_database(database.uri, "outage")) as server,
    ):
        server.ask(WRITE % ("before", "Before"))

        with suspended(server.process.pid):
            # Longer than a primary may be silent.
            time.sleep(ELECTION_TIMEOUT + 1)
        with ThreadPoolExecutor() as asking:
            answers = list(asking.map(server.post, [READ, READ + " ", WRITE % ("after", "After")]))

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert ["errors" in answer.json() for answer in answers] == [False, False, False]
