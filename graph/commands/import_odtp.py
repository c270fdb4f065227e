"""`provenance-graph import odtp`: imports the data of an ODTP database."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from graph.commands.import_report import write_report
from resolvers.imports.summary import Note, Summary

import_app = typer.Typer(
    help="Import data from other systems. Importing again duplicates nothing.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

LONGEST_PAUSE = 86_400
"""Seconds between two imports with --watch."""
SHOWN = 20
"""The number of notes of each kind that are printed."""


@import_app.callback()
def importing() -> None:
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
            max=LONGEST_PAUSE,
            help="Repeat the import with this pause until stopped, and print what is new each time.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Import an ODTP database: users, twins, components, workflows, executions, steps, outputs, results, logs.

    Importing again updates what changed there since, and keeps what changed here. Exits with 0 when it ran through,
    whatever was refused, or was stopped with --watch; with 1 when the source cannot be read; with 2 for wrong use.
    """
    from graph.commands.odtp_source import take_over

    def tell(summary: Summary) -> None:
        print_summary(summary, Console())
        if report is not None:
            write_report(summary, report)

    if report is not None:
        write_report(Summary(), report)
    asyncio.run(take_over(uri, database, Console(stderr=True), tell, watch))


def print_summary(summary: Summary, console: Console) -> None:
    """Print the counts of each collection, then the first reasons for changes, adjustments and refusals."""
    counts = {"taken": summary.taken, "adjusted": summary.adjusted, "refused": summary.refused}
    counts["already here"] = summary.already
    # Only repeated imports have these.
    more = {"updated": summary.updated, "kept": summary.kept, "gone": summary.gone}
    counts |= {heading: count for heading, count in more.items() if count.total()}
    table = Table()
    table.add_column("collection")
    for heading in counts:
        table.add_column(heading, justify="right")
    for name in summary.collections():
        table.add_row(escape(name), *(f"{count[name]:,}" for count in counts.values()))
    console.print(table)
    for outcome, notes in summary.notes().items():
        _print_notes(outcome.capitalize(), notes, console)


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
