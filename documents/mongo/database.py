"""Opening the database: one client, the documents bound to it, their indexes."""

from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pymongo
from beanie import init_beanie
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import InvalidURI, OperationFailure
from pymongo.server_api import ServerApi

import documents
from documents.migrations import make_indexes
from documents.mongo.primary import SERVER_TIMEOUTS, FailFastClient
from documents.mongo.round_trips import CheckOutListener

Client = AsyncMongoClient[dict[str, Any]]
Database = AsyncDatabase[dict[str, Any]]


def make_client(url: str, **options: Any) -> Client:
    """A client that waits for a majority, uses Stable API v1, and gives up on a silent server within seconds.

    The URL may set other server timeouts. Raises ConfigurationError for one that is malformed.
    """
    try:
        in_url = {name.lower() for name in parse_qs(urlsplit(url).query)}
        timeouts = {name: value for name, value in SERVER_TIMEOUTS.items() if name.lower() not in in_url}
        listeners = [*options.pop("event_listeners", ()), CheckOutListener()]
        # Not strict: Beanie asks for buildInfo, which is outside the API, when it starts.
        return FailFastClient(
            url,
            server_api=ServerApi("1", deprecation_errors=True),
            appname="provenance-graph",
            w="majority",
            retryWrites=True,
            tz_aware=False,
            event_listeners=listeners,
            **timeouts | options,
        )
    except ValueError as error:
        # The driver, and urlsplit, raise this one for a port or an address that is none.
        raise InvalidURI(str(error)) from error


async def open_database(database: Database, *, indexes: bool = True) -> None:
    """Bind every document to `database`, and make their indexes if `indexes` is true."""
    await init_beanie(database=database, document_models=documents.ALL, skip_indexes=True)
    if indexes:
        await make_indexes(database)


async def is_reachable(client: Client, seconds: float = 1.0) -> bool:
    """Whether the database answers a ping in time."""
    try:
        with pymongo.timeout(seconds):
            await client.admin.command("ping")
    except pymongo.errors.PyMongoError:
        return False
    return True


async def server_version(client: Client) -> str:
    """The version of MongoDB. Raises PyMongoError."""
    return str((await client.server_info())["version"])


def start_session() -> AsyncClientSession:
    """A session of the client that the documents are bound to; other processes can end it by its `session_id`."""
    return documents.ALL[0].get_pymongo_collection().database.client.start_session()


async def end_session_of(session_id: Any) -> None:
    """Abort the transaction that a lost process began in a session; does nothing where that is not allowed.

    MongoDB itself keeps the transaction of a lost client for a minute, and the rows it wrote cannot be written
    meanwhile.
    """
    database = documents.ALL[0].get_pymongo_collection().database
    with suppress(OperationFailure):
        await database.client.admin.command("killSessions", [session_id])
