"""What `provenance-graph import odtp` does: the source's database and the server's own, open for the import."""

from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import ConfigurationError, InvalidURI, PyMongoError
from rich.console import Console

from graph.importing import progress_bars
from graph.settings import load_settings
from graph.starting import database_opened
from graph.summary import UNREADABLE, USAGE, end
from resolvers.ingest.odtp_database import NotOdtp, import_odtp
from resolvers.ingest.odtp_summary import Summary


async def take_over(uri: str, database: str | None, console: Console) -> Summary:
    """What came of importing a database: the one that is named, else the one in the address, else `odtp`."""
    source = _source(uri)
    return await _taken_over(source, database or _database_in(source) or "odtp", console)


def _source(uri: str) -> AsyncMongoClient[dict[str, Any]]:
    try:
        return AsyncMongoClient(uri, appname="provenance-graph", serverSelectionTimeoutMS=5000, connect=False)
    except (InvalidURI, ConfigurationError, ValueError) as error:
        end(f"MONGODB_URI is no address of a MongoDB: {_without_credentials(str(error), uri)}", USAGE)


def _database_in(source: AsyncMongoClient[dict[str, Any]]) -> str | None:
    try:
        return source.get_default_database().name
    except ConfigurationError:
        return None


async def _taken_over(client: AsyncMongoClient[dict[str, Any]], name: str, console: Console) -> Summary:
    try:
        await _reach(client, name)
        async with database_opened(load_settings(), lambda line: console.print(line, markup=False)):
            with progress_bars(console) as progress:
                return await import_odtp(client[name], progress)
    except NotOdtp as error:
        end(f"{error} Name another one with --database.", UNREADABLE)
    finally:
        await client.close()


async def _reach(client: AsyncMongoClient[dict[str, Any]], name: str) -> None:
    """End when the source does not answer or does not let us in, naming the hosts and no credentials."""
    try:
        await client[name].list_collection_names()
    except PyMongoError as error:
        reason = getattr(error, "details", None) or {}
        said = reason.get("errmsg") if isinstance(reason, dict) else None
        end(f"The ODTP database at {_hosts(client)} cannot be read: {said or type(error).__name__}.", UNREADABLE)


def _hosts(client: AsyncMongoClient[dict[str, Any]]) -> str:
    seeds = client.topology_description.server_descriptions()
    return ", ".join(f"{host}:{port}" for host, port in sorted(seeds, key=str)) or "the given address"


def _without_credentials(message: str, uri: str) -> str:
    user, at, _ = uri.partition("://")[2].rpartition("@")
    return message.replace(f"{user}@", "…@") if at and user else message
