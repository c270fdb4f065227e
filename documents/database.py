"""Opening the database: one client, the documents bound to it, their indexes."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pymongo
from beanie import init_beanie
from pymongo import AsyncMongoClient, WriteConcern
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.read_concern import ReadConcern
from pymongo.server_api import ServerApi

import documents

T = TypeVar("T")

TRANSACTION_SECONDS = 30
"""How long a transaction is repeated; MongoDB ends one that is open for 60."""
Client = AsyncMongoClient[dict[str, Any]]
Database = AsyncDatabase[dict[str, Any]]


def make_client(url: str, **options: Any) -> Client:
    """A client that waits for a majority, keeps to Stable API v1, and gives up on a silent server within seconds."""
    # Not strict: Beanie asks for buildInfo, which is outside the API, when it starts.
    return AsyncMongoClient(
        url,
        server_api=ServerApi("1", deprecation_errors=True),
        appname="provenance-graph",
        w="majority",
        retryWrites=True,
        serverSelectionTimeoutMS=options.pop("serverSelectionTimeoutMS", 5000),
        tz_aware=False,
        **options,
    )


async def open_database(database: Database, *, indexes: bool = True) -> None:
    """Bind every document to `database`; make missing indexes unless told otherwise."""
    await init_beanie(database=database, document_models=documents.ALL, skip_indexes=not indexes)


async def is_reachable(client: Client, seconds: float = 1.0) -> bool:
    """Whether the database answers a ping in time."""
    try:
        with pymongo.timeout(seconds):
            await client.admin.command("ping")
    except pymongo.errors.PyMongoError:
        return False
    return True


async def in_transaction(work: Callable[[AsyncClientSession], Awaitable[T]]) -> T:
    """What `work` answers, once all it wrote is committed by a majority. Transient failures run `work` again."""
    client = documents.ALL[0].get_pymongo_collection().database.client
    # The driver alone would repeat a transaction for two minutes while the database is away.
    with pymongo.timeout(TRANSACTION_SECONDS):
        async with client.start_session() as session:
            return await session.with_transaction(
                work, read_concern=ReadConcern("snapshot"), write_concern=WriteConcern("majority")
            )
