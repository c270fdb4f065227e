"""`provenance-graph export`: jobs as Parquet, for engines that can ask anything of them."""

import asyncio
import json
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from graph.summary import USAGE, end

if TYPE_CHECKING:
    from graph.exporter import Totals

export_app = typer.Typer(
    help="Hand out jobs for other programs to analyse. Exporting again writes what is missing.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

FAILED = 1
SHOWN = 20
"""How many reasons of each kind are printed."""
TASK, TASKS = "CLOUD_RUN_TASK_INDEX", "CLOUD_RUN_TASK_COUNT"

Instances = Annotated[
    list[str] | None,
    typer.Option("--instance", help="UUID or id of an instance; may be repeated. All, when none is named."),
]


@export_app.callback()
def exporting() -> None:
    """Hand out jobs for other programs to analyse. Exporting again writes what is missing."""


@export_app.command()
def parquet(
    destination: Annotated[str, typer.Argument(help="A folder, or gs://bucket/prefix.")],
    instance: Instances = None,
    parameters: Annotated[
        bool,
        typer.Option(
            "--parameters",
            help="With the parameters of jobs, below with_parameters/. They may be personal: only owners see them.",
        ),
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            show_default=False,
            help=f"Only part I, from 0, of N; so N machines share the work. On Cloud Run, {TASK} of {TASKS}.",
        ),
    ] = None,
) -> None:
    """Write the jobs of all current archives as Parquet, by instance and month.

    Public and private ones alike, so keep the destination as you keep the database. What is there already is left as it
    is: a run that was interrupted goes on where it stopped. Ends with 0 when every archive is there, with 1 when some
    could not be read, and with 2 for wrong use.
    """
    if find_spec("pyarrow") is None:
        end("Writing Parquet needs pyarrow, which comes with: pip install 'provenance-graph[parquet]'", USAGE)
    from graph.exporter import export, shard_of

    console = Console(stderr=True)
    try:
        totals = asyncio.run(export(destination, instance or [], parameters, shard_of(shard), console))
    except OSError as error:
        end(f"{destination} cannot be written: {error.strerror}.", FAILED)
    _print(totals, console)
    if totals.became["failed"]:
        raise typer.Exit(FAILED)


@export_app.command("list")
def list_(instance: Instances = None) -> None:
    """Print all current archives, one JSON object a line: where each lies, and what its rows are to say of it.

    For programs that read the archives themselves, such as examples/spark_jobs.py.
    """
    from graph.exporter import listed

    async def work() -> None:
        async for archive in listed(instance or [], Console(stderr=True)):
            typer.echo(json.dumps(archive))

    asyncio.run(work())


def _print(totals: "Totals", console: Console) -> None:
    counts = {name: totals.became[name] for name in ("exported", "there already", "refused", "failed")}
    lines = [f"{', '.join(f'{number:,} {name}' for name, number in counts.items())}; {totals.jobs:,} jobs written."]
    for became, reasons in totals.reasons.items():
        lines += [f"{became}: {reason}" for reason in reasons[:SHOWN]]
        if len(reasons) > SHOWN:
            lines.append(f"  and {len(reasons) - SHOWN:,} more")
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
