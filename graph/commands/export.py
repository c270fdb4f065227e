"""`provenance-graph export`: writes jobs as Parquet, for analysis by other programs."""

import asyncio
import json
import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from graph.commands.console import EXIT_FAILURE, exit_with_error, first_reasons, print_lines

if TYPE_CHECKING:
    from rich.console import Console

    from graph.commands.parquet_export import Totals

export_app = typer.Typer(
    help="Export jobs for analysis by other programs. Exporting again writes what is missing.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

TASK, TASKS = "CLOUD_RUN_TASK_INDEX", "CLOUD_RUN_TASK_COUNT"

Instances = Annotated[
    list[str] | None,
    typer.Option("--instance", help="UUID or id of an instance; may be repeated. All by default."),
]


@export_app.callback()
def export_group() -> None:
    """Export jobs for analysis by other programs. Exporting again writes what is missing."""


@export_app.command()
def parquet(
    destination: Annotated[str, typer.Argument(help="A folder, or gs://bucket/prefix.")],
    instance: Instances = None,
    parameters: Annotated[
        bool,
        typer.Option(
            "--parameters",
            help="Include the parameters of jobs, below with_parameters/. They may be personal: only owners see them.",
        ),
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            show_default=False,
            help=f"Only part I (from 0) of N, so that N machines share the work. On Cloud Run: {TASK} of {TASKS}.",
        ),
    ] = None,
) -> None:
    """Write the jobs of all current archives as Parquet, by instance and month.

    The export holds public and private jobs alike, so protect the destination as you protect the database. Existing
    files are left as they are: an interrupted run continues where it stopped. Exits with 0 when every archive is
    exported, with 1 when some could not be read, and with 2 for wrong usage.
    """
    if find_spec("pyarrow") is None:
        exit_with_error("Writing Parquet needs pyarrow, which comes with: pip install 'provenance-graph[parquet]'")
    from rich.console import Console

    from graph.commands.parquet_export import export, parse_shard

    part = parse_shard(shard or f"{os.environ.get(TASK, '0')}/{os.environ.get(TASKS, '1')}")
    console = Console(stderr=True)
    try:
        totals = asyncio.run(export(destination, instance or [], parameters, part, console))
    except OSError as error:
        exit_with_error(f"{destination} cannot be written: {error.strerror}.")
    _print(totals, console)
    if totals.statuses["failed"]:
        raise typer.Exit(EXIT_FAILURE)


@export_app.command("list")
def list_(instance: Instances = None) -> None:
    """Print all current archives, one JSON object a line: where each is stored, and the values for its rows' columns.

    For programs that read the archives themselves, such as examples/spark_jobs.py.
    """
    from rich.console import Console

    from graph.commands.parquet_export import list_archives

    async def work() -> None:
        async for archive in list_archives(instance or [], Console(stderr=True)):
            typer.echo(json.dumps(archive))

    asyncio.run(work())


def _print(totals: "Totals", console: "Console") -> None:
    counts = {name: totals.statuses[name] for name in ("exported", "there already", "refused", "failed")}
    lines = [f"{', '.join(f'{number:,} {name}' for name, number in counts.items())}; {totals.jobs:,} jobs written."]
    for became, reasons in totals.reasons.items():
        lines += first_reasons([f"{became}: {reason}" for reason in reasons])
    print_lines(lines, console)
