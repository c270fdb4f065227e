"""The export of `provenance-graph export`: from the server's own database and bucket to another place."""

import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import MofNCompleteColumn, TimeElapsedColumn, TimeRemainingColumn

from documents.storage.bucket import Bucket, BucketError
from documents.storage.export_destination import BucketDestination, ExportDestination, FolderDestination
from documents.storage.file_url import object_url
from documents.storage.folder_bucket import FolderBucket
from graph.commands.console import EXIT_USAGE, exit_with_error, progress_bar
from graph.server.open_database import open_configured_bucket, open_database_for_command
from graph.settings import load_settings
from resolvers.galaxy.parquet.archives import Shard, archives, count_archives, uuids_of
from resolvers.galaxy.readable_archives import reported_at
from resolvers.reads.rows import Row
from resolvers.user_errors import NotFound

if TYPE_CHECKING:
    from resolvers.galaxy.parquet.export import ExportOutcome

MEDIA_TYPE = "application/vnd.apache.parquet"
GOOGLE = re.compile(r"gs://([a-z0-9][a-z0-9._-]{1,220})(?:/((?:[A-Za-z0-9_-][A-Za-z0-9._=-]*/?)*))?")


@dataclass
class Totals:
    """The outcome for all archives so far."""

    statuses: Counter[str] = field(default_factory=Counter)
    jobs: int = 0
    reasons: dict[str, list[str]] = field(default_factory=dict)

    def add(self, archive: Row, outcome: "ExportOutcome") -> None:
        """Count one more archive."""
        self.statuses[outcome.status] += 1
        self.jobs += outcome.jobs
        if outcome.reason:
            line = f"{archive['identifier']} ({archive['_id']}): {outcome.reason}"
            self.reasons.setdefault(outcome.status, []).append(line)


async def export(to: str, instances: list[str], parameters: bool, shard: Shard, console: Console) -> Totals:
    """Write the archives of the given instances, or of all, as Parquet to a folder or gs://bucket/prefix."""
    from resolvers.galaxy.parquet.export import Export

    totals = Totals()
    async with _open_destination(to) as destination, _open_source(console):
        export, uuids = Export(destination, parameters=parameters), await _uuids(instances)
        columns = MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
        with progress_bar(console, await count_archives(uuids) // shard.count, *columns) as bar:
            async for archive in archives(uuids, shard):
                bar.name_item(archive["identifier"])
                totals.add(archive, await export.archive(archive, uuids[archive["instanceRef"]]))
                bar.advance()
    return totals


async def list_archives(instances: list[str], console: Console) -> AsyncIterator[dict[str, str]]:
    """The place of each archive of the given instances, or of all, and the values for its rows' columns."""
    async with _open_source(console) as bucket:
        uuids = await _uuids(instances)
        async for archive in archives(uuids, Shard()):
            yield _archive_line(uuids[archive["instanceRef"]], archive, bucket)


def parse_shard(text: str) -> Shard:
    """The shard of a text `I/N`. Exits when the text is invalid."""
    parts = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if parts is None or int(parts[1]) >= int(parts[2]):
        exit_with_error(f"A shard is I/N with I from 0 to N-1, not {text}.", EXIT_USAGE)
    return Shard(int(parts[1]), int(parts[2]))


@asynccontextmanager
async def _open_source(console: Console) -> AsyncIterator[Bucket]:
    """The server's own bucket, with its database open."""
    settings = load_settings()
    async with (
        open_database_for_command(settings, lambda line: console.print(line, markup=False), writes=False),
        open_configured_bucket(settings) as bucket,
    ):
        if bucket is None:
            exit_with_error("PROVENANCE_BUCKET is not set, so there are no archives.")
        yield bucket


@asynccontextmanager
async def _open_destination(to: str) -> AsyncIterator[ExportDestination]:
    if not to.startswith("gs://"):
        folder = FolderDestination(Path(to))
        folder.remove_partial_writes()
        yield folder
        return
    named = GOOGLE.fullmatch(to)
    if named is None:
        exit_with_error(f"{to} is not gs://bucket/prefix.", EXIT_USAGE)
    from documents.storage.google_bucket import GoogleBucket

    try:
        bucket = GoogleBucket(named[1])
        await bucket.check()
    except BucketError as error:
        exit_with_error(str(error))
    prefix = (named[2] or "").rstrip("/")
    yield BucketDestination(bucket, f"{prefix}/" if prefix else "", MEDIA_TYPE)
    await bucket.close()


async def _uuids(instances: list[str]) -> dict[str, str]:
    try:
        return await uuids_of(instances)
    except NotFound as error:
        exit_with_error(str(error))


def _archive_line(uuid: str, archive: Row, bucket: Bucket) -> dict[str, str]:
    key, generation = archive["key"], archive["generation"]
    folder = isinstance(bucket, FolderBucket) and bucket.path(key, generation).absolute().as_uri()
    return {
        "url": folder or object_url(archive["bucket"], key),
        "instance": uuid,
        "archive": archive["_id"],
        "sha256": archive["sha256"],
        "reported_at": reported_at(archive).isoformat(),
    }
