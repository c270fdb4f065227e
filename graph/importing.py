"""`provenance-graph import odtp`: what another system holds, taken over."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from pymongo import AsyncMongoClient
from pymongo.errors import ConfigurationError, InvalidURI, PyMongoError
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from graph.settings import load_settings
from graph.summary import UNREADABLE, USAGE, end, write_report
from resolvers.ingest.odtp_database import NotOdtp, import_odtp
from resolvers.ingest.odtp_stage import Progress as Report
from resolvers.ingest.odtp_summary import Note, Summary

import_app = typer.Typer(
    help="Take over what another system holds. Importing again makes nothing twice.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

SHOWN = 20
"""How many notes of each kind are printed."""


@import_app.callback()
def importing() -> None:
    """Take over what another system holds. Importing again makes nothing twice."""


@import_app.command()
def odtp(
    uri: Annotated[str, typer.Argument(metavar="MONGODB_URI", help="mongodb://host/database; it is only read.")],
    database: Annotated[
        str | None, typer.Option(help="The database, when the URI names none; otherwise odtp.", show_default=False)
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write every adjustment and refusal to this file, one JSON object a line.")
    ] = None,
) -> None:
    """Import an ODTP database: users, twins, components, executions, steps, outputs, results and logs.

    Ends with 0 when it ran through, whatever was refused; with 1 when the source cannot be read; with 2 for wrong use.
    """
    if report is not None:
        write_report(Summary(), report)
    source = _source(uri)
    name = database or _database_in(source) or "odtp"
    console = Console(stderr=True)
    summary = asyncio.run(_odtp(source, name, console))
    print_summary(summary, Console())
    if report is not None:
        write_report(summary, report)


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


async def _odtp(client: AsyncMongoClient[dict[str, Any]], name: str, console: Console) -> Summary:
    from graph.starting import database_opened

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


@contextmanager
def progress_bars(console: Console) -> Iterator[Report]:
    """A function that shows how far each collection is: one bar a collection, while the block lasts."""
    columns = (
        TextColumn("{task.description:<14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def show(collection: str, done: int, total: int) -> None:
            if collection not in tasks:
                tasks[collection] = bars.add_task(collection, total=total)
            bars.update(tasks[collection], completed=done, total=total)

        yield show


def print_summary(summary: Summary, console: Console) -> None:
    """Print the counts of each collection, then the first reasons for what was adjusted and refused."""
    table = Table()
    table.add_column("collection")
    for heading in ("taken", "adjusted", "refused", "already here"):
        table.add_column(heading, justify="right")
    for name in summary.collections():
        counts = (summary.taken, summary.adjusted, summary.refused, summary.already)
        table.add_row(escape(name), *(f"{count[name]:,}" for count in counts))
    console.print(table)
    _print_notes("Adjusted", summary.adjustments, console)
    _print_notes("Refused", summary.refusals, console)


def _print_notes(heading: str, notes: list[Note], console: Console) -> None:
    if not notes:
        return
    console.print(f"\n{heading}:", markup=False)
    for note in notes[:SHOWN]:
        console.print(
            f"  {' '.join(filter(None, note[:2]))}: {note.reason}", markup=False, highlight=False, soft_wrap=True
        )
    if len(notes) > SHOWN:
        console.print(f"  and {len(notes) - SHOWN:,} more", markup=False, highlight=False, soft_wrap=True)
