"""What tests of subscriptions ask for: the database of the altered server, written to by this process."""

import pytest

from documents.database import Client, Database, open_database
from tests.graph.subscriptions.world import World, a_world
from tests.running import Running


@pytest.fixture
async def elsewhere(client: Client, altered: Running) -> Database:
    """The server's database, to which this process writes beside it."""
    database = client["test_altered"]
    await open_database(database, indexes=False)
    return database


@pytest.fixture
async def world(elsewhere: Database) -> World:
    """A public twin with an execution of two steps that wait."""
    return await a_world()
