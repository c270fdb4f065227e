"""The databases of `provenance-graph import odtp`: the source and the server's own."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import ConfigurationError, InvalidURI, PyMongoError
from rich.console import Console

from graph.commands.console import EXIT_FAILURE, EXIT_USAGE, exit_with_error, progress_bars
from graph.server.open_database import open_database_for_command
from graph.settings import load_settings
from resolvers.imports.odtp.collection_import import Source
from resolvers.imports.odtp.importer import NotOdtpError, import_odtp
from resolvers.imports.summary import Summary


async def run_import(
    uri: str, database: str | None, console: Console, show: Callable[[Summary], None], pause: float | None = None
) -> None:
    """Import a database and `show` the summary; its name is the given one, else the one in the address, else `odtp`.

    With a `pause` in seconds, the import is repeated until the process is told to stop.
    """
    source = _source(uri)
    name = database or _database_in(source) or "odtp"
    try:
        await _check_source(source, name)
        async with open_database_for_command(load_settings(), lambda line: console.print(line, markup=False)):
            with progress_bars(console) as progress:
                summary = await import_odtp(source[name], progress)
            show(summary)
            if pause is not None:
                await _watch(source[name], summary, console, show, pause)
    except NotOdtpError as error:
        exit_with_error(f"{error} Name another one with --database.", EXIT_FAILURE)
    finally:
        await source.close()


async def _watch(
    source: Source, last: Summary, console: Console, show: Callable[[Summary], None], pause: float
) -> None:
    """Import again after each pause, until SIGTERM or SIGINT, which may interrupt an import: the next one continues."""
    importing = asyncio.ensure_future(_import_repeatedly(source, last, console, show, pause))
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, importing.cancel)
    console.print(f"Importing again every {pause:g} seconds. Stop with Ctrl-C.", highlight=False)
    with suppress(asyncio.CancelledError):
        await importing
    console.print("Stopped.")


async def _import_repeatedly(
    source: Source, last: Summary, console: Console, show: Callable[[Summary], None], pause: float
) -> None:
    while True:
        await asyncio.sleep(pause)
        try:
            summary = await import_odtp(source, _show_no_progress)
        except (PyMongoError, NotOdtpError) as error:
            # Either database may be away for a while; nothing is lost, since the next import catches up.
            reason = str(error) if isinstance(error, NotOdtpError) else f"{type(error).__name__}."
            console.print(f"{_time()} Not imported: {reason} Trying again in {pause:g} seconds.", markup=False)
            continue
        if summary.has_news_since(last):
            console.print(f"{_time()} Imported again.")
            show(summary)
        last = summary


def _time() -> str:
    return f"{datetime.now():%H:%M:%S}"


def _show_no_progress(collection: str, done: int, total: int) -> None:
    """Show no progress of repeated imports."""


def _source(uri: str) -> AsyncMongoClient[dict[str, Any]]:
    try:
        return AsyncMongoClient(uri, appname="provenance-graph", serverSelectionTimeoutMS=5000, connect=False)
    except (InvalidURI, ConfigurationError, ValueError) as error:
        exit_with_error(
            f"MONGODB_URI is not a valid MongoDB address: {_without_credentials(str(error), uri)}", EXIT_USAGE
        )


def _database_in(source: AsyncMongoClient[dict[str, Any]]) -> str | None:
    try:
        return source.get_default_database().name
    except ConfigurationError:
        return None


async def _check_source(client: AsyncMongoClient[dict[str, Any]], name: str) -> None:
    """Exit when the source does not answer or refuses access, naming its hosts but no credentials."""
    try:
        await client[name].list_collection_names()
    except PyMongoError as error:
        reason = getattr(error, "details", None) or {}
        message = (reason.get("errmsg") if isinstance(reason, dict) else None) or type(error).__name__
        exit_with_error(f"The ODTP database at {_hosts(client)} cannot be read: {message}.", EXIT_FAILURE)


def _hosts(client: AsyncMongoClient[dict[str, Any]]) -> str:
    seeds = client.topology_description.server_descriptions()
    return ", ".join(f"{host}:{port}" for host, port in sorted(seeds, key=str)) or "the given address"


def _without_credentials(message: str, uri: str) -> str:
    user, at, _ = uri.partition("://")[2].rpartition("@")
    return message.replace(f"{user}@", "…@") if at and user else message
