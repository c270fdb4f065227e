"""The server that workers work for."""

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection

from documents.activities.activity import ActivityStatus
from documents.embedded_mongod.server import EmbeddedMongo
from tests.graph.clients.worker.front import Front, front_of
from tests.support.running import environment, on_database, running
from tests.support.working import Lab, a_token

ExpireLeases = Callable[[str], None]
KeptSteps = Collection[dict[str, Any]]
HURRIED = (sys.executable, "-m", "tests.graph.clients.worker.hurried")


@pytest.fixture
def lab(the_lab: Lab) -> Iterator[Lab]:
    """The lab, in which nothing waits yet."""
    yield the_lab
    the_lab.leave_nothing_waiting()


@pytest.fixture
def front(lab: Lab) -> Iterator[Front]:
    """The proxy that the worker takes for the server and for its bucket."""
    with front_of(lab.server.url) as front:
        yield front


@pytest.fixture(scope="session")
def the_lab(mongod: EmbeddedMongo, fast_directory: Path) -> Iterator[Lab]:
    """The real server on a database of its own, with a folder for files, and a token for workers."""
    directory = fast_directory / "lab"
    directory.mkdir()
    env = on_database(mongod.uri, "test_workers")
    with running(*HURRIED, env=env, directory=directory) as server:
        yield Lab(server, a_token(environment(directory, env)), directory)


@pytest.fixture(scope="session")
def kept_steps(mongod: EmbeddedMongo) -> Iterator[KeptSteps]:
    """The steps as the database holds them."""
    with MongoClient[dict[str, Any]](mongod.uri, tz_aware=True) as client:
        yield client["test_workers"]["steps"]


@pytest.fixture
def expire_leases(kept_steps: KeptSteps) -> ExpireLeases:
    """Ends the leases of a worker, by its name, as if it had been silent for long."""

    def expire(worker: str) -> None:
        held = {"worker": worker, "status": ActivityStatus.RUNNING.value}
        kept_steps.update_many(held, {"$set": {"leaseExpiresAt": datetime(2000, 1, 1, tzinfo=UTC)}})

    return expire
