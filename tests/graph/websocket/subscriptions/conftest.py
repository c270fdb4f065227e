"""Fixtures for tests of subscriptions: the database of the faulty server, written to by this process and another."""

import json
from collections.abc import AsyncIterator, Iterator

import pytest

from documents.embedded_mongod.server import EmbeddedMongo
from documents.mongo.database import Client, Database, open_database
from tests.graph.websocket.subscriptions.world import World, a_world
from tests.support.running import FAULTY_SERVER, Running, on_database, running

POLL_INTERVAL, REORDER_TIMEOUT = 0.5, 2.0
"""Seconds, of the server that looks by itself."""


@pytest.fixture(scope="session")
def looking(faulty_server: Running, mongod: EmbeddedMongo) -> Iterator[Running]:
    """Another server on the database of the faulty one, which looks by itself, and soon; patient with its clients."""
    often = {
        "resolvers.activities.subscriptions.POLL_INTERVAL": POLL_INTERVAL,
        "resolvers.activities.subscriptions.REORDER_TIMEOUT": REORDER_TIMEOUT,
    }
    patient = {"graph.websocket.endpoint.SEND_TIMEOUT": 300.0, "graph.http.send_buffers.WRITE_TIMEOUT": 300.0}
    env = on_database(mongod.uri, "test_altered") | {"ALTERED_CONSTANTS": json.dumps(often | patient)}
    with running(*FAULTY_SERVER, env=env) as server:
        yield server


@pytest.fixture
async def elsewhere(client: Client, faulty_server: Running) -> Database:
    """The server's database, to which this process writes beside it."""
    database = client["test_altered"]
    await open_database(database, indexes=False)
    return database


@pytest.fixture
async def world(elsewhere: Database) -> AsyncIterator[World]:
    """A public twin with an execution of two steps that wait. Afterwards no step is left to be claimed."""
    world = await a_world()
    yield world
    await elsewhere["steps"].delete_many({})
