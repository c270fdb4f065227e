"""`provenance-graph upload`: send the reports in a folder that the server has not yet."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from graph.bar import bar
from graph.uploader import INSTANCE, KEY, URL

if TYPE_CHECKING:
    from graph.uploader.folder import Pair
    from graph.uploader.server import Server

FAILED = 1
Advance = Callable[[int], None]
SHOWN = 20
"""How many reasons of each kind are printed."""


@dataclass
class Outcome:
    """What became of the reports of a folder, by identifier."""

    sent: list[str] = field(default_factory=list)
    already: list[str] = field(default_factory=list)
    quarantined: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def upload(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", exists=True, file_okay=False, help="A folder with NAME.json and NAME.tar.gz."),
    ],
    instance: Annotated[str, typer.Option(envvar=INSTANCE, help="The UUID of the server that the reports are of.")],
    key: Annotated[
        str | None,
        typer.Option(
            envvar=KEY,
            show_default=False,
            help=f"Its key. Others on this machine can see it here: set {KEY}, or be asked for it.",
        ),
    ] = None,
    url: Annotated[
        str, typer.Option(envvar=URL, help="Where the server is, such as https://graph.example.")
    ] = "http://127.0.0.1:8000",
) -> None:
    """Upload the reports in a folder that the server does not have yet.

    A run that was interrupted goes on where it stopped, and one with nothing new sends nothing. Ends with 0 when the
    server has every report, with 1 when it refused one or could not be reached, and with 2 for wrong use.
    """
    secret = key or typer.prompt("Key", hide_input=True, err=True)
    console = Console(stderr=True)
    # Loading the client takes a moment, which other commands do without.
    from graph.uploader.folder import pairs_in
    from graph.uploader.server import Server, Stopped

    server, outcome = Server(url, instance, secret), Outcome()
    try:
        _send(server, pairs_in(folder), outcome, console)
    except (Stopped, OSError) as stop:
        _print(outcome, console)
        console.print(f"{stop} Run the same again to go on.", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(FAILED) from None
    finally:
        server.close()
    _print(outcome, console)
    if outcome.refused:
        raise typer.Exit(FAILED)


def _send(server: "Server", pairs: list["Pair"], outcome: Outcome, console: Console) -> None:
    there = server.reports()
    new = []
    for pair in pairs:
        if pair.identifier in there and there[pair.identifier] == f"sha256:{pair.sha256()}":
            outcome.already.append(pair.identifier)
        else:
            new.append(pair)
    columns = DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    with bar(console, sum(pair.size for pair in new), *columns) as progress:
        for pair in new:
            answer = server.send(pair, _advance(progress, pair.identifier))
            if answer.quarantined:
                outcome.quarantined[pair.identifier] = answer.message
            elif answer.kept:
                outcome.sent.append(pair.identifier)
            else:
                outcome.refused[pair.identifier] = answer.message


def _advance(progress: Progress, identifier: str) -> Advance:
    """What to tell of the bytes of one report that have gone out."""
    task = progress.task_ids[0]
    progress.update(task, description=identifier)
    return lambda size: progress.update(task, advance=size)


def _print(outcome: Outcome, console: Console) -> None:
    kept = len(outcome.sent) + len(outcome.quarantined)
    lines = [f"{kept:,} sent, {len(outcome.already):,} there already, {len(outcome.refused):,} refused."]
    for heading, reasons in (("Kept, but not read", outcome.quarantined), ("Refused", outcome.refused)):
        lines += [f"{heading}: {identifier}: {reason}" for identifier, reason in list(reasons.items())[:SHOWN]]
        if len(reasons) > SHOWN:
            lines.append(f"  and {len(reasons) - SHOWN:,} more")
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
