"""Opening the database: one client, the documents bound to it, their indexes."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import pymongo
from beanie import init_beanie
from pymongo import AsyncMongoClient, WriteConcern
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure
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


async def in_transaction(
    work: Callable[[AsyncClientSession], Awaitable[T]], session: AsyncClientSession | None = None
) -> T:
    """What `work` answers, once all it wrote is committed by a majority. Transient failures run `work` again.

    The transaction is one of `session`, or of a session of its own. A caller who is cancelled waits for its end: the
    database would keep one that is broken off while it begins or commits, and what it wrote, for a minute.
    """
    whole = asyncio.create_task(_committed(work, session))
    try:
        return await asyncio.shield(whole)
    except asyncio.CancelledError:
        await asyncio.wait([whole])
        raise


async def _committed(work: Callable[[AsyncClientSession], Awaitable[T]], session: AsyncClientSession | None) -> T:
    # The driver alone would repeat a transaction for two minutes while the database is away.
    with pymongo.timeout(TRANSACTION_SECONDS):
        if session is not None:
            return await _transaction(session, work)
        async with start_session() as own:
            return await _transaction(own, work)


def start_session() -> AsyncClientSession:
    """A session of the client that the documents are bound to; its `session_id` is known everywhere."""
    return documents.ALL[0].get_pymongo_collection().database.client.start_session()


async def end_session_of(session_id: Any) -> None:
    """Abort what a process that is gone had begun in a session; nothing happens when that is not allowed.

    MongoDB itself keeps the transaction of a lost client for a minute, and what it wrote cannot be written meanwhile.
    """
    database = documents.ALL[0].get_pymongo_collection().database
    with suppress(OperationFailure):
        await database.client.admin.command("killSessions", [session_id])


async def _transaction(session: AsyncClientSession, work: Callable[[AsyncClientSession], Awaitable[T]]) -> T:
    return await session.with_transaction(
        work, read_concern=ReadConcern("snapshot"), write_concern=WriteConcern("majority")
    )
