"""`provenance-graph import catalogue`: publishes the documents that pipelines left in a folder, in order."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graph.commands.console import EXIT_FAILURE, EXIT_USAGE, exit_with_error, progress_bars
from graph.commands.import_odtp import import_app
from graph.commands.import_report import print_summary, write_report
from graph.settings import load_settings
from resolvers.access.viewer import ADMIN
from resolvers.imports.summary import Summary

if TYPE_CHECKING:
    from rich.console import Console

    from resolvers.imports.catalogue.importer import CatalogueSummary

__all__ = ["catalogue", "import_app"]


@import_app.command()
def catalogue(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder with checkouts or copies of them; it is only read.")
    ],
    report: Annotated[
        Path | None, typer.Option(help="Write every adjustment and refusal to this file, one JSON object a line.")
    ] = None,
    history: Annotated[
        bool,
        typer.Option(
            "--history", help="Publish the versions of each document in git's history before the current one."
        ),
    ] = False,
) -> None:
    """Import CSV-W documents and the info.json files of the pipelines that made them.

    Documents find their info.json in the nearest directory upwards, also in trees that lie side by side: those of the
    same directory of a repository belong together. An index.json that lists {file, repo, path, commit, created} makes
    its files versions of one document, in the order of their numbers. A code_repo_sources.json that lists
    {repo, dir, source: {file: commit}} says where pipelines live and which code ran. Of a git checkout the repository
    and the commit that last changed each file are known as well. git has to be installed for that; nothing of the
    checkout's settings or hooks is used.

    Exits with 0 when it ran through, whatever was refused; with 1 when the folder cannot be read; with 2 for wrong
    usage.
    """
    if not folder.is_dir():
        exit_with_error(f"{folder} is not a folder.", EXIT_USAGE)
    if report is not None:
        write_report(Summary(), report)
    from rich.console import Console

    summary = asyncio.run(_import(folder, Console(stderr=True), history=history))
    _print(summary, folder)
    if report is not None:
        write_report(summary, report)


async def _import(folder: Path, console: "Console", *, history: bool) -> "CatalogueSummary":
    from graph.server.open_database import open_database_for_command
    from resolvers.imports.catalogue.importer import import_catalogue

    async with open_database_for_command(load_settings(), lambda line: console.print(line, markup=False)):
        try:
            with progress_bars(console) as progress:
                return await import_catalogue(folder, ADMIN, progress, history=history)
        except OSError as error:
            exit_with_error(f"{folder} cannot be read: {error.strerror}.", EXIT_FAILURE)


def _print(summary: "CatalogueSummary", folder: Path) -> None:
    from rich.console import Console

    console = Console()
    if summary.collections():
        print_summary(summary, console)
    else:
        console.print(f"{folder} holds neither CSV-W documents nor info.json files.", markup=False)
    if summary.others:
        console.print(f"\n{summary.others:,} other JSON files are not CSV-W documents.", markup=False, highlight=False)
