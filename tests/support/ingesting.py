"""Servers with reports in the bucket, workers in this process, and what they made of them."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import IO, Any

import documents
from documents.base import new_id
from documents.mongo.transaction import in_transaction
from documents.storage.bucket import current_bucket
from resolvers.galaxy.ingest.poll_loop import ingest
from resolvers.galaxy.ingestion_queue import queue_ingest, queue_reprocess
from resolvers.galaxy.report.declared_counts import DeclaredCounts
from resolvers.galaxy.report.digest import RowsDigest
from resolvers.galaxy.report.job_bson import RowPrefix
from resolvers.galaxy.report.read_report import Batch, read_report
from resolvers.galaxy.report.usage.cells import cell_of
from resolvers.galaxy.report_metadata import read_metadata
from resolvers.galaxy.statistics.aggregates import add_usage, delete_usage
from resolvers.galaxy.statistics.packed_columns import days_of
from resolvers.reads.rows import Row, collection_of
from tests.support.builders import an_archive, an_instance
from tests.support.galaxies import metadata
from tests.support.reports import read, report

LEASE = timedelta(hours=1)
"""One that no test outlasts, unless the clock is moved on."""
TIME = "2019-01-01 18:35:08"
_numbers = count(1)


def a_job(id: int, *, state: str = "ok", tool: str = "cat1", version: str = "1.0.0", time: str = TIME) -> str:
    """A line of the jobs of a report."""
    return f"{id}\t{tool}\t{version}\t{state}\t{time}"


def a_runtime(id: int, seconds: float) -> str:
    """A line of its numeric metrics."""
    return f"{id}\tcore\truntime_seconds\t{seconds:.7f}"


def jobs(*ids: int, **fields: Any) -> bytes:
    """A report of these jobs, alike but for their numbers and runtimes."""
    return report(jobs=[a_job(id, **fields) for id in ids], metric_num=[a_runtime(id, id % 50 + 1) for id in ids])


@dataclass
class Server:
    """A server that was registered, without a key."""

    instance: documents.Instance = field(default_factory=an_instance)

    @classmethod
    async def new(cls, **fields: Any) -> "Server":
        server = cls(an_instance(**fields))
        await server.instance.insert()
        return server

    @property
    def id(self) -> str:
        return self.instance.id

    async def sends(self, content: bytes, *, day: int | None = None, **fields: Any) -> documents.Archive:
        """A report, generated on a day of January 2020: the next one, unless told otherwise. It is not queued."""
        at = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=day if day is not None else next(_numbers))
        archive = an_archive(self.instance, **self._facts(content, at) | {"generated_at": at} | fields)
        stored = await bucket().write(archive.key, _chunks(content))
        archive.generation = stored.generation
        await archive.insert()
        return archive

    def _facts(self, content: bytes, at: datetime) -> dict[str, Any]:
        # No two with the same, and yet all of them times.
        identifier = f"{at.timestamp():.0f}.{next(_numbers):06}"
        said = read_metadata(metadata(identifier, content, jobs=states_in(content)).decode(), identifier)
        return {
            "identifier": identifier,
            "metadata": said.text,
            "declared_jobs": said.declared_jobs,
            "sha256": hashlib.sha256(content).hexdigest(),
            "size_bytes": len(content),
            "bucket": bucket().name,
            "key": f"archives/{new_id('upload')}",
        }

    async def queues(self, *archives: documents.Archive, dry_run: bool = False) -> str:
        """The id of an ingestion of these archives, or of all that lack."""
        ids = [archive.id for archive in archives] or None

        async def work(session: Any) -> Row | None:
            return await queue_ingest(await self.row(session), ids, session, dry_run=dry_run)

        row = await in_transaction(work)
        assert row is not None
        id: str = row["_id"]
        return id

    async def reprocesses(self, *, activate: bool = False, dry_run: bool = False) -> str:
        """The id of an ingestion of all archives into a generation of their own."""

        async def work(session: Any) -> Row:
            row = await self.row(session)
            return await queue_reprocess(row, session, reason="A test.", activate=activate, dry_run=dry_run)

        id: str = (await in_transaction(work))["_id"]
        return id

    async def row(self, session: Any = None) -> Row:
        row = await collection_of(documents.Instance).find_one({"_id": self.id}, session=session)
        assert row is not None
        return row

    async def generation(self) -> Row:
        """The generation that readers see."""
        return await the(documents.Generation, (await self.row())["activeGenerationRef"])

    async def contents(self) -> "Contents":
        """The contents of the active generation."""
        return await Contents.of(await self.generation())

    async def states(self) -> dict[int, str]:
        """The state of each of its jobs."""
        match = {"generationRef": (await self.generation())["_id"]}
        return {row["external_id"]: row["state"] async for row in collection_of(documents.Job).find(match)}


@dataclass
class Contents:
    """A generation as it can be compared with others: without ids."""

    archives: int
    jobs: int
    content_hash: str
    rows: dict[int, Row]
    usage: dict[Any, Any]

    @classmethod
    async def of(cls, generation: Row) -> "Contents":
        match = {"generationRef": generation["_id"]}
        rows = {row["external_id"]: row async for row in collection_of(documents.Job).find(match)}
        own = ("_id", "generationRef", "over", "archiveRef", "instanceRef")
        bare = {id: {name: row[name] for name in row if name not in own} for id, row in rows.items()}
        return cls(
            generation["archives"], generation["jobs"], generation["content_hash"], bare, await usage(generation["_id"])
        )


async def usage(generation_id: str) -> dict[Any, Any]:
    """The usage of a generation, as far as it counts anything."""
    found: dict[Any, Any] = {}
    match = {"generationRef": generation_id}
    async for row in collection_of(documents.Usage).find(match | {"jobs": {"$ne": 0}}):
        counts = {name: row.get(name, {}) for name in ("months", "failed_months", "days")}
        found[tuple(str(row[name]) for name in ("level", "tool_id", "tool_version", "state", "year"))] = {
            **{name: row[name] for name in ("jobs", "failed")},
            **{name: {month: jobs for month, jobs in some.items() if jobs} for name, some in counts.items()},
        }
    daily: Counter[tuple[str, ...]] = Counter()
    async for row in collection_of(documents.DailyUsage).find(match):
        said = tuple(str(row[name]) for name in ("tool_id", "tool_version", "state"))
        for day, jobs, bins, numbers in days_of(row):
            daily[(*said, str(day))] += jobs
            for bin, number in zip(bins, numbers, strict=True):
                daily[(*said, str(day), str(bin))] += number
    return found | {key: number for key, number in daily.items() if number}


async def recounted_hash(generation_id: str) -> str:
    """The content hash of the jobs that are there."""
    digest = RowsDigest()
    async for row in collection_of(documents.Job).find({"generationRef": generation_id}):
        digest.add([row["digest"]])
    return str(digest)


async def recounted_usage(generation_id: str) -> dict[Any, Any]:
    """The usage of the jobs that are there, counted anew."""
    copy = documents.Generation.kind + "_recounted" + generation_id.partition("_")[2]
    cells = [cell_of(row) async for row in collection_of(documents.Job).find({"generationRef": generation_id})]

    async def work(session: Any) -> None:
        await add_usage(copy, cells, session)

    await in_transaction(work)
    try:
        return await usage(copy)
    finally:
        await delete_usage(copy)


@asynccontextmanager
async def read_here(
    archive: IO[bytes], *, prefix: RowPrefix | None = None, declared: DeclaredCounts | None = None
) -> AsyncIterator[AsyncIterator[Batch]]:
    """The parser without a process of its own, which takes a moment to start."""

    async def batches() -> AsyncIterator[Batch]:
        archive.seek(0)
        for batch in read_report(archive, prefix=prefix, declared=declared):
            yield batch

    yield batches()


async def works(*, workers: int = 1, **options: Any) -> None:
    """Let workers take archives until none waits, read in this process unless told otherwise."""
    names = [f"worker-{number}" for number in range(workers)]
    options = {"until_idle": True, "lease": LEASE, "read": read_here, **options}
    await asyncio.gather(*(ingest(asyncio.Event(), name=name, **options) for name in names))


async def the(document: type[documents.Document], id: str) -> Row:
    """The row with this id."""
    row = await collection_of(document).find_one({"_id": id})
    assert row is not None
    return row


async def parts_of(ingestion_id: str) -> list[Row]:
    """The parts of an ingestion, oldest first."""
    parts = collection_of(documents.IngestionPart)
    return await parts.find({"ingestionRef": ingestion_id}, sort=[("_id", 1)]).to_list()


async def lines_of(ingestion_id: str) -> list[str]:
    """The log lines of an ingestion."""
    lines = collection_of(documents.LogEntry).find({"activityRef": ingestion_id}, sort=[("sequence", 1)])
    return [line["logstring"] async for line in lines]


def states_in(content: bytes) -> dict[str, int]:
    """The number of jobs of each state in a report."""
    return read(content).summary.states


def bucket() -> Any:
    """The current bucket."""
    opened = current_bucket()
    assert opened is not None
    return opened


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    yield content
