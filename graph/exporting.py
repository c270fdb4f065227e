"""`provenance-graph export`: jobs as Parquet, for engines that can ask anything of them."""

import asyncio
import json
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from documents.bucket import Bucket, BucketError
from documents.bucket_folder import FolderBucket
from documents.destination import BucketDestination, Destination, FolderDestination
from documents.file_url import object_url
from graph.settings import load_settings
from graph.starting import bucket_opened, database_opened
from graph.summary import USAGE, end
from resolvers.fetch import Row
from resolvers.ingest.archives import reported_at
from resolvers.ingest.parquet.archives import Shard, archives, count, uuids_of
from resolvers.refusals import NotFound

if TYPE_CHECKING:
    from resolvers.ingest.parquet.export import Outcome

export_app = typer.Typer(
    help="Hand out jobs for other programs to analyse. Exporting again writes what is missing.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

FAILED = 1
SHOWN = 20
"""How many reasons of each kind are printed."""
MEDIA_TYPE = "application/vnd.apache.parquet"
GOOGLE = re.compile(r"gs://([a-z0-9][a-z0-9._-]{1,220})(?:/((?:[A-Za-z0-9_-][A-Za-z0-9._=-]*/?)*))?")
TASK, TASKS = "CLOUD_RUN_TASK_INDEX", "CLOUD_RUN_TASK_COUNT"

Instances = Annotated[
    list[str] | None,
    typer.Option("--instance", help="UUID or id of an instance; may be repeated. All, when none is named."),
]


@export_app.callback()
def exporting() -> None:
    """Hand out jobs for other programs to analyse. Exporting again writes what is missing."""


@dataclass
class Totals:
    """What became of all archives so far."""

    became: Counter[str] = field(default_factory=Counter)
    jobs: int = 0
    reasons: dict[str, list[str]] = field(default_factory=dict)

    def add(self, archive: Row, outcome: "Outcome") -> None:
        """Count one more archive."""
        self.became[outcome.became] += 1
        self.jobs += outcome.jobs
        if outcome.reason:
            line = f"{archive['identifier']} ({archive['_id']}): {outcome.reason}"
            self.reasons.setdefault(outcome.became, []).append(line)


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
    console = Console(stderr=True)
    try:
        totals = asyncio.run(_parquet(destination, instance or [], parameters, _shard(shard), console))
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

    async def work() -> None:
        async with _opened(Console(stderr=True)) as bucket:
            uuids = await _uuids(instance or [])
            async for archive in archives(uuids, Shard()):
                typer.echo(json.dumps(_listed(uuids[archive["instanceRef"]], archive, bucket)))

    asyncio.run(work())


async def _parquet(to: str, wanted: list[str], parameters: bool, shard: Shard, console: Console) -> Totals:
    from resolvers.ingest.parquet.export import Export

    totals = Totals()
    async with _destination(to) as destination, _opened(console):
        export, uuids = Export(destination, parameters=parameters), await _uuids(wanted)
        with _bar(console, await count(uuids) // shard.count) as bar:
            async for archive in archives(uuids, shard):
                bar.update(bar.task_ids[0], description=archive["identifier"])
                totals.add(archive, await export.archive(archive, uuids[archive["instanceRef"]]))
                bar.advance(bar.task_ids[0])
    return totals


@asynccontextmanager
async def _opened(console: Console) -> AsyncIterator[Bucket]:
    """The server's own database and bucket."""
    settings = load_settings()
    async with (
        database_opened(settings, lambda line: console.print(line, markup=False)),
        bucket_opened(settings) as bucket,
    ):
        if bucket is None:
            end("PROVENANCE_BUCKET is not set, so there are no archives.", USAGE)
        yield bucket


@asynccontextmanager
async def _destination(to: str) -> AsyncIterator[Destination]:
    if not to.startswith("gs://"):
        folder = FolderDestination(Path(to))
        folder.tidy()
        yield folder
        return
    named = GOOGLE.fullmatch(to)
    if named is None:
        end(f"{to} is not gs://bucket/prefix.", USAGE)
    from documents.bucket_google import GoogleBucket

    try:
        bucket = GoogleBucket(named[1])
        await bucket.check()
    except BucketError as error:
        end(str(error), USAGE)
    prefix = (named[2] or "").rstrip("/")
    yield BucketDestination(bucket, f"{prefix}/" if prefix else "", MEDIA_TYPE)
    await bucket.close()


async def _uuids(wanted: list[str]) -> dict[str, str]:
    try:
        return await uuids_of(wanted)
    except NotFound as error:
        end(str(error), USAGE)


def _shard(text: str | None) -> Shard:
    """The part that is asked for, or that Cloud Run gives to this task."""
    given = text or f"{os.environ.get(TASK, '0')}/{os.environ.get(TASKS, '1')}"
    parts = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", given)
    if parts is None or int(parts[1]) >= int(parts[2]):
        end(f"A shard is I/N, from 0/N to one less than N/N, and not {given}.", USAGE)
    return Shard(int(parts[1]), int(parts[2]))


def _listed(uuid: str, archive: Row, bucket: Bucket) -> dict[str, str]:
    key, generation = archive["key"], archive["generation"]
    folder = isinstance(bucket, FolderBucket) and bucket.path(key, generation).absolute().as_uri()
    return {
        "url": folder or object_url(archive["bucket"], key),
        "instance": uuid,
        "archive": archive["_id"],
        "sha256": archive["sha256"],
        "reported_at": reported_at(archive).isoformat(),
    }


@contextmanager
def _bar(console: Console, total: int) -> Iterator[Progress]:
    columns = (
        TextColumn("{task.description:<20}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        progress.add_task("", total=total)
        yield progress


def _print(totals: Totals, console: Console) -> None:
    counts = {name: totals.became[name] for name in ("exported", "there already", "refused", "failed")}
    lines = [f"{', '.join(f'{number:,} {name}' for name, number in counts.items())}; {totals.jobs:,} jobs written."]
    for became, reasons in totals.reasons.items():
        lines += [f"{became}: {reason}" for reason in reasons[:SHOWN]]
        if len(reasons) > SHOWN:
            lines.append(f"  and {len(reasons) - SHOWN:,} more")
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
