"""`provenance-graph upload`: sends the reports in a folder that the server does not have yet."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graph.clients.report_uploader import INSTANCE, KEY, URL
from graph.commands.console import EXIT_FAILURE, first_reasons, print_lines, progress_bar

if TYPE_CHECKING:
    from rich.console import Console

    from graph.clients.report_uploader.client import UploadClient
    from graph.clients.report_uploader.folder import ReportFiles


@dataclass
class Outcome:
    """The outcome for the reports of a folder, by identifier."""

    sent: list[str] = field(default_factory=list)
    already: list[str] = field(default_factory=list)
    quarantined: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def upload(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", exists=True, file_okay=False, help="A folder with NAME.json and NAME.tar.gz."),
    ],
    instance: Annotated[
        str, typer.Option(envvar=INSTANCE, help="The UUID of the Galaxy server that the reports are from.")
    ],
    key: Annotated[
        str | None,
        typer.Option(
            envvar=KEY,
            show_default=False,
            help=f"The Galaxy server's key. Others on this machine can see it here: set {KEY}, or enter it when asked.",
        ),
    ] = None,
    url: Annotated[
        str, typer.Option(envvar=URL, help="The server's address, such as https://graph.example.")
    ] = "http://127.0.0.1:8000",
) -> None:
    """Upload the reports in a folder that the server does not have yet.

    An interrupted run continues where it stopped, and one with nothing new sends nothing. Exits with 0 when the server
    has every report, with 1 when it refused one or could not be reached, and with 2 for wrong usage.
    """
    secret = key or typer.prompt("Key", hide_input=True, err=True)
    # Importing these takes a moment, which other commands should not wait for.
    from rich.console import Console

    from graph.clients.report_uploader.client import RefusedAccess, UploadClient, UploadError
    from graph.clients.report_uploader.folder import find_reports

    console = Console(stderr=True)
    client, outcome = UploadClient(url, instance, secret), Outcome()
    try:
        _send(client, find_reports(folder), outcome, console)
    except (UploadError, OSError) as error:
        _print(outcome, console)
        advice = "" if isinstance(error, RefusedAccess) else " Run the same command again to continue."
        print_lines([f"{error}{advice}"], console)
        raise typer.Exit(EXIT_FAILURE) from None
    finally:
        client.close()
    _print(outcome, console)
    if outcome.refused:
        raise typer.Exit(EXIT_FAILURE)


def _send(client: "UploadClient", reports: list["ReportFiles"], outcome: Outcome, console: "Console") -> None:
    from rich.progress import DownloadColumn, TimeRemainingColumn, TransferSpeedColumn

    stored = client.reports()
    new = []
    for report in reports:
        if report.identifier in stored and stored[report.identifier] == f"sha256:{report.sha256()}":
            outcome.already.append(report.identifier)
        else:
            new.append(report)
    columns = DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    with progress_bar(console, sum(report.size for report in new), *columns) as bar:
        for report in new:
            bar.name_item(report.identifier)
            answer = client.send(report, bar.advance)
            if answer.is_quarantined:
                outcome.quarantined[report.identifier] = answer.message
            elif answer.is_stored:
                outcome.sent.append(report.identifier)
            else:
                outcome.refused[report.identifier] = answer.message


def _print(outcome: Outcome, console: "Console") -> None:
    sent = len(outcome.sent) + len(outcome.quarantined)
    lines = [f"{sent:,} sent, {len(outcome.already):,} there already, {len(outcome.refused):,} refused."]
    for heading, reasons in (("Stored, but not ingested", outcome.quarantined), ("Refused", outcome.refused)):
        lines += first_reasons([f"{heading}: {identifier}: {reason}" for identifier, reason in reasons.items()])
    print_lines(lines, console)
