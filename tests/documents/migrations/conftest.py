"""Databases to migrate."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from documents.mongo.database import Client, Database

Contents = dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]]


@pytest.fixture
async def old(client: Client) -> AsyncIterator[Database]:
    """A database that holds nothing, and to which no document is bound."""
    database = client[f"migrations_{uuid4().hex}"]
    yield database
    await client.drop_database(database)


async def contents(database: Database) -> Contents:
    """Everything that a database holds: the rows and the indexes of each collection."""
    found: Contents = {}
    for name in sorted(await database.list_collection_names()):
        rows = await database[name].find(sort=[("_id", 1)]).to_list()
        indexes = [dict(index) async for index in await database[name].list_indexes()]
        found[name] = rows, sorted(indexes, key=lambda index: str(index["name"]))
    return found
