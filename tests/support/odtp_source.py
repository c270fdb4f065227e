"""ODTP databases that tests make, and what is asked of an import."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from documents.mongo.database import Client, Database
from resolvers.imports.odtp.importer import import_odtp
from resolvers.imports.summary import Note, Summary
from tests.support.odtp_shapes import Row, hex

TAKEN = [
    "users",
    "digitalTwins",
    "components",
    "versions",
    "executions",
    "steps",
    "outputs",
    "logs",
    "results",
    "workflows",
]


@asynccontextmanager
async def odtp_source(client: Client) -> AsyncIterator[Database]:
    """An empty database for ODTP's rows, dropped after the block."""
    source = client[f"odtp_{uuid4().hex}"]
    yield source
    await client.drop_database(source)


async def fill(source: Database, rows: dict[str, list[Row]]) -> None:
    """Store rows as they are."""
    for collection, some in rows.items():
        if some:
            await source[collection].insert_many(some)


async def import_source(source: Database, rows: dict[str, list[Row]] | None = None) -> Summary:
    """Import a source after adding rows to it; returns the summary."""
    await fill(source, rows or {})
    return await import_odtp(source, lambda collection, done, total: None)


async def everything(database: Database) -> dict[str, list[Row]]:
    """All rows that an import may write, by collection, in order of their ids."""
    return {name: await database[name].find().sort("_id").to_list() for name in TAKEN}


async def stored_row(database: Database, collection: str, id: str) -> Row:
    """One row."""
    found = await database[collection].find_one({"_id": id})
    assert found is not None, f"no {id}"
    return found


def reasons(notes: list[Note], collection: str, number: int) -> list[str]:
    """The reasons in the notes on one row."""
    return [note.reason for note in notes if note[:2] == (collection, hex(number))]


def release(number: int) -> str:
    """The id that a version gets here."""
    return f"release_{hex(number)}"
