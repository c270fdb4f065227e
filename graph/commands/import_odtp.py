"""`provenance-graph import odtp`: imports the data of an ODTP database."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from graph.commands.import_report import print_summary, write_report
from resolvers.imports.summary import Summary

import_app = typer.Typer(
    help="Import data from other systems. Importing again duplicates nothing.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

MAX_PAUSE_SECONDS = 86_400
"""Seconds between two imports with --watch."""


@import_app.callback()
def import_group() -> None:
    """Import data from other systems. Importing again duplicates nothing."""


@import_app.command()
def odtp(
    uri: Annotated[str, typer.Argument(metavar="MONGODB_URI", help="mongodb://host/database; it is only read.")],
    database: Annotated[
        str | None, typer.Option(help="The database, when the URI names none; otherwise odtp.", show_default=False)
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Write every change, adjustment and refusal to this file, one JSON object a line."),
    ] = None,
    watch: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=1,
            max=MAX_PAUSE_SECONDS,
            help="Repeat the import with this pause until stopped, and print what is new each time.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Import an ODTP database: users, twins, components, workflows, executions, steps, outputs, results, logs.

    Importing again updates what changed there since, and keeps what changed here. Exits with 0 when it ran through,
    whatever was refused, or was stopped with --watch; with 1 when the source cannot be read; with 2 for wrong usage.
    """
    from rich.console import Console

    from graph.commands.odtp_source import run_import

    def show(summary: Summary) -> None:
        print_summary(summary, Console())
        if report is not None:
            write_report(summary, report)

    if report is not None:
        write_report(Summary(), report)
    asyncio.run(run_import(uri, database, Console(stderr=True), show, watch))
