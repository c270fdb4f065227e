"""`provenance-graph import odtp`: what another system holds, taken over."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from graph.summary import write_report
from resolvers.ingest.odtp_summary import Note, Summary

if TYPE_CHECKING:
    from resolvers.ingest.odtp_stage import Progress as Report

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
    from graph.importing_odtp import take_over

    if report is not None:
        write_report(Summary(), report)
    summary = asyncio.run(take_over(uri, database, Console(stderr=True)))
    print_summary(summary, Console())
    if report is not None:
        write_report(summary, report)


@contextmanager
def progress_bars(console: Console) -> Iterator["Report"]:
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
