"""The speed of ingestion: by one worker, by two, and by PyMongo's bare insert_many of the stored rows.

Workers are real ones (`provenance-graph work --ingest`), on reports in a real bucket. What is timed is what the
database says of their ingestions, from the first claim to the end, so that the start of Python is not in it.
"""

import asyncio
import hashlib
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient

import documents
from documents.base import new_id
from documents.mongo.database import make_client, open_database
from documents.mongo.transaction import in_transaction
from documents.storage.folder_bucket import FolderBucket
from resolvers.galaxy.ingestion_queue import queue_ingest
from resolvers.reads.rows import Row, collection_of
from tests.bench import servers
from tests.bench.reports import write_report
from tests.support.builders import an_archive, an_instance
from tests.support.galaxies import metadata
from tests.support.running import COMMAND, ROOT, Process, environment

BATCH = 1000
BARE = "bench_bare"
INGEST = "bench_ingest"
SEVERAL = 4
"""Reports that two workers share."""
Advance = Callable[[str, float], None]


@dataclass(frozen=True)
class Figures:
    """Jobs a second, and mebibytes of the workers with their readers at their highest."""

    jobs: int
    one: float
    bare: float
    one_core: float | None
    one_worker: float
    two_workers: float
    memory: float

    @property
    def ratio(self) -> float:
        return self.one / self.bare


def table(found: Figures) -> str:
    """The figures in words."""
    one_core = found.one_core
    lines: list[tuple[str, str]] = [
        (f"One report of {found.jobs:,} jobs, each with five metrics and two datasets", "jobs/s"),
        ("  one worker", f"{found.one:,.0f}"),
        ("  bare insert_many of the same documents", f"{found.bare:,.0f}"),
        ("  one worker to insert_many", f"{found.ratio:.2f}"),
        (f"{SEVERAL} reports of a quarter each", ""),
        ("  one worker", f"{found.one_worker:,.0f}"),
        ("  two workers", f"{found.two_workers:,.0f}"),
        ("  one worker, it and the database on one core", f"{one_core:,.0f}" if one_core else "not measured"),
        ("  two workers to one", f"{found.two_workers / found.one_worker:.2f}"),
        ("  two workers on all cores to one on one", f"{found.two_workers / one_core:.2f}" if one_core else ""),
        ("A worker with its parser at its highest", f"{found.memory:,.0f} MiB"),
    ]
    return "\n".join(f"{name:<72}{value:>12}" for name, value in lines)


async def measure(url: str, database: int | None, jobs: int, advance: Advance) -> Figures:
    """Ingest one report of so many jobs, then several of as many together, by one and by two workers.

    `database` is the process of the database, if it is on this machine and may be moved to one core.
    """
    client = make_client(url)
    with tempfile.TemporaryDirectory(prefix="provenance-bench-") as directory:
        await open_database(client[INGEST], indexes=False)
        bench = _Bench(url, Path(directory))
        try:
            advance(f"one worker, one report of {jobs:,} jobs", 0.1)
            one = await bench.ingest_rate([jobs], workers=1)
            advance("bare insert_many of the same documents", 0.4)
            bare = await asyncio.to_thread(_bare, url)
            await client.drop_database(BARE)
            each = [jobs // SEVERAL] * SEVERAL
            advance(f"one worker, {SEVERAL} reports", 0.7)
            one_worker = await bench.ingest_rate(each, workers=1)
            advance(f"two workers, {SEVERAL} reports", 0.8)
            two_workers = await bench.ingest_rate(each, workers=2)
            advance(f"one worker and the database on one core, {SEVERAL} reports", 0.9)
            one_core = None
            if database is not None and len(_cores(0)) > 1:
                with _on_one_core(database):
                    one_core = await bench.ingest_rate(each, workers=1, cores=_cores(database))
        finally:
            await client.drop_database(INGEST)
            await client.drop_database(BARE)
            await client.close()
    return Figures(jobs, one, bare, one_core, one_worker, two_workers, bench.memory)


class _Bench:
    def __init__(self, url: str, place: Path) -> None:
        self._place = place
        self._bucket = FolderBucket(place / "data" / "bucket")
        settings = {"PROVENANCE_DATABASE_URL": url, "PROVENANCE_DATABASE_NAME": INGEST}
        self._environment = environment(place, settings)
        self._made: dict[tuple[int, int], dict[str, Any]] = {}
        self.memory = 0.0

    async def ingest_rate(self, sizes: list[int], *, workers: int, cores: set[int] | None = None) -> float:
        """Jobs a second of workers that share reports of these sizes, and these cores."""
        database = collection_of(documents.Job).database
        # Not the rows of earlier runs in it: memory is what they are kept in.
        await database.client.drop_database(database)
        await open_database(database)
        instance = an_instance()
        await instance.insert()
        for number, size in enumerate(sizes):
            await self._report(instance, size, first=number * size + 1)
        with self._running(workers, cores or _cores(0)):
            # They wait already when there is something to do, so that none begins before the other.
            while not all(b"waiting for reports" in log.read_bytes() for log in self._place.glob("worker-*")):
                self._check_that_workers_run()
                await asyncio.sleep(0.1)
            ingestion = await _queue(instance)
            while (row := await _row(documents.Ingestion, ingestion))["status"] in ("READY", "RUNNING"):
                self._look()
                self._check_that_workers_run()
                await asyncio.sleep(0.1)
        if row["status"] != "SUCCEEDED":
            raise RuntimeError(f"The ingestion is {row['status']}: {row['error']}.")
        seconds: float = (row["end_timestamp"] - row["start_timestamp"]).total_seconds()
        return sum(sizes) / seconds

    async def _report(self, instance: documents.Instance, jobs: int, first: int) -> None:
        """A report of the instance; its bytes may be those of another instance's."""
        called = f"{1_546_300_800 + first}.25"
        made = self._made.get((jobs, first)) or await self._make(called, jobs, first)
        self._made[jobs, first] = made
        await an_archive(instance, identifier=called, bucket=self._bucket.name, **made).insert()

    async def _make(self, called: str, jobs: int, first: int) -> dict[str, Any]:
        key = f"archives/{new_id('upload')}"
        with tempfile.TemporaryFile() as file:
            await asyncio.to_thread(write_report, file, jobs, first)
            content = file.read()
            said = metadata(called, content, jobs={"ok": jobs}).decode()
            file.seek(0)
            kept = await self._bucket.write(key, _chunks(file))
        sha256 = hashlib.sha256(content).hexdigest()
        return {"metadata": said, "key": key, "sha256": sha256, "generation": kept.generation}

    @contextmanager
    def _running(self, workers: int, cores: set[int]) -> Iterator[None]:
        self._workers = [self._worker(self._place / f"worker-{number}", cores) for number in range(workers)]
        try:
            yield
        finally:
            for worker in self._workers:
                worker.terminate()
            for worker in self._workers:
                worker.wait(10)
            for log in self._place.glob("worker-*"):
                log.unlink()

    def _worker(self, log: Path, cores: set[int]) -> Process:
        worker = servers.start([*COMMAND, "work", "--ingest", "--poll", "0.1"], ROOT, self._environment, log)
        if cores:
            os.sched_setaffinity(worker.pid, cores)
        return worker

    def _check_that_workers_run(self) -> None:
        """Raises RuntimeError with what a worker said that has ended, for whom one would wait for ever."""
        for number, worker in enumerate(self._workers):
            if worker.poll() is not None:
                raise RuntimeError(f"A worker ended: {(self._place / f'worker-{number}').read_text()}")

    def _look(self) -> None:
        """See how much memory each worker has, together with its parser."""
        for worker in self._workers:
            pids = [worker.pid, *_children(worker.pid)]
            self.memory = max(self.memory, sum(map(_resident, pids)) / 2**20)


async def _queue(instance: documents.Instance) -> str:
    async def work(session: Any) -> Row | None:
        row = await _row(documents.Instance, instance.id)
        return await queue_ingest(row, None, session)

    row = await in_transaction(work)
    assert row is not None
    id: str = row["_id"]
    return id


async def _row(document: type[documents.Document], id: str) -> Row:
    row = await collection_of(document).find_one({"_id": id})
    assert row is not None
    return row


def _bare(url: str) -> float:
    """Documents a second that PyMongo inserts in batches, of those that the worker stored; reading is not timed."""
    client: MongoClient[Any] = MongoClient(url, document_class=RawBSONDocument, w=1)
    with client:
        source, target = client[INGEST]["jobs"], client[BARE]["jobs"]
        client.drop_database(BARE)
        target.create_indexes(documents.Job.Settings.indexes)
        took, inserted = 0.0, 0
        batch: list[Any] = []
        for row in source.find({}, batch_size=BATCH):
            batch.append(row)
            if len(batch) == BATCH:
                took += _time(target, batch)
                inserted += len(batch)
                batch = []
        return inserted / took


def _time(target: Any, batch: list[Any]) -> float:
    began = time.perf_counter()
    target.insert_many(batch, ordered=False)
    return time.perf_counter() - began


def _cores(pid: int) -> set[int]:
    """The cores that a process may use, 0 being this one; none where the system does not tell."""
    return os.sched_getaffinity(pid) if hasattr(os, "sched_getaffinity") else set()


@contextmanager
def _on_one_core(pid: int) -> Iterator[None]:
    """Keep all threads of a process on one core."""
    cores = _cores(pid)
    threads = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
    for thread in threads:
        os.sched_setaffinity(thread, {min(cores)})
    try:
        yield
    finally:
        for thread in threads:
            with suppress(ProcessLookupError):
                os.sched_setaffinity(thread, cores)


def _children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _resident(pid: int) -> int:
    """Bytes that a process has in memory at its highest, as Linux tells."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    kilobytes = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(kilobytes[0]) * 1024 if kilobytes else 0


async def _chunks(file: IO[bytes]) -> AsyncIterator[bytes]:
    while chunk := file.read(1024 * 1024):
        yield chunk
