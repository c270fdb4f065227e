"""Workers that are killed while they ingest: INGEST_REPORTS and INGEST_KILLS say how large a run is tried."""

import asyncio
import io
import os
import random
import subprocess
import sys
import time
from collections import Counter

import pytest

import documents
from documents.activity import OPEN
from documents.bucket_folder import FolderBucket
from documents.database import Database
from documents.embedded import Embedded
from resolvers.fetch import collection_of
from tests.bench.reports import write_report
from tests.resolvers.ingest.ingestion.ingesting import Server, bucket, jobs, recounted_usage, works
from tests.running import ROOT

REPORTS = int(os.environ.get("INGEST_REPORTS", "8"))
KILLS = int(os.environ.get("INGEST_KILLS", "5"))
SEED = int(os.environ.get("INGEST_SEED", "7"))
WORKERS = 3
LEASE = 0.8
SMALL, LARGE = 300, 1500
"""Jobs of a report."""
LIVES = min(3.0, 2 * REPORTS / KILLS)
"""Workers are left for up to so many times as long as it takes to ingest a report: all are to be killed before the last
report is taken."""


class Crew:
    """Workers that run at the same time, one of which is killed now and then."""

    def __init__(self, mongod: Embedded, database: Database, luck: random.Random, longest_life: float) -> None:
        self._longest_life = longest_life
        self._options = (mongod.uri, database.name, str(_folder().folder))
        self._luck = luck
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self.killed = 0

    def hire(self) -> None:
        """Start as many as are missing."""
        for name in [name for name, process in self._workers.items() if process.poll() is not None]:
            self._end(name)
        while len(self._workers) < WORKERS:
            name = f"worker-{self.killed}-{len(self._workers)}-{self._luck.random()}"
            command = [sys.executable, "-m", "tests.resolvers.ingest.ingestion.a_worker", *self._options, name]
            self._workers[name] = subprocess.Popen([*command, str(LEASE)], cwd=ROOT, stdout=subprocess.DEVNULL)

    async def kill_one(self) -> None:
        """Kill one that is at work, at any moment of it; nobody when nobody is."""
        busy = await collection_of(documents.IngestionPart).distinct("worker", {"status": "RUNNING"})
        at_work = sorted(name for name in busy if name in self._workers)
        if not at_work:
            await asyncio.sleep(0.05)
            return
        await asyncio.sleep(self._luck.uniform(0, self._longest_life))
        self._end(self._luck.choice(at_work))
        self.killed += 1

    def end(self) -> None:
        """End all of them."""
        for name in list(self._workers):
            self._end(name)

    def _end(self, name: str) -> None:
        process = self._workers.pop(name)
        process.kill()
        process.wait()


@pytest.mark.timeout(3600)
async def test_workers_killed_at_any_moment_lose_and_double_nothing(
    mongod: Embedded, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    luck = random.Random(SEED)
    contents = [(a_report(luck), day) for day in luck.sample(range(REPORTS * 3), REPORTS)]
    undisturbed, disturbed = await Server.new(), await Server.new()
    for server in (undisturbed, disturbed):
        for content, day in contents:
            await server.sends(content, day=day)
    await undisturbed.queues()
    began = time.monotonic()
    await works()
    each = (time.monotonic() - began) / REPORTS

    began, crew = time.monotonic(), Crew(mongod, database, luck, LIVES * each)
    try:
        queued = await run_and_kill(crew, disturbed)
    finally:
        crew.end()

    one, other = await disturbed.counted(), await undisturbed.counted()
    attempts = await attempts_of(disturbed)
    with capsys.disabled():
        print(
            f"\n{REPORTS} reports of {one.jobs:,} jobs, {crew.killed} workers killed, {queued} times queued, ", end=""
        )
        print(f"{time.monotonic() - began:.1f} s, attempts: {dict(sorted(attempts.items()))}")
    assert one.archives == REPORTS
    assert (one.jobs, one.content_hash) == (other.jobs, other.content_hash)
    assert one.rows == other.rows
    assert one.usage == other.usage
    assert await counts_of(disturbed) == await counts_of(undisturbed) == one.jobs
    assert await recounted_usage((await disturbed.generation())["_id"]) == one.usage


def a_report(luck: random.Random) -> bytes:
    """A report that may tell of the same jobs as others, of the small kind or of the large one."""
    if luck.random() < 0.3:
        first = luck.randrange(1, 2000)
        return jobs(*range(first, first + SMALL), state=luck.choice(["ok", "error", "new"]))
    written = io.BytesIO()
    write_report(written, LARGE, first=luck.randrange(1, REPORTS * LARGE // 2))
    return written.getvalue()


async def run_and_kill(crew: Crew, server: Server) -> int:
    """Let the crew take all reports. What was given up after three attempts is queued again, as a next upload does."""
    queued = 0
    while True:
        crew.hire()
        if not await unended(server):
            archives = (await server.generation())["archives"] if queued else 0
            if archives == REPORTS:
                break
            await server.queues()
            queued += 1
        if crew.killed < KILLS:
            await crew.kill_one()
        else:
            await asyncio.sleep(0.05)
    assert crew.killed == KILLS, "All reports were taken before enough workers were killed."
    return queued


async def unended(server: Server) -> bool:
    open_ = {"instanceRef": server.id, "$or": [{"status": {"$in": list(OPEN)}}, {"leftovers": True}]}
    return await collection_of(documents.IngestionPart).find_one(open_) is not None


async def attempts_of(server: Server) -> Counter[int]:
    parts = collection_of(documents.IngestionPart).find({"instanceRef": server.id})
    return Counter([part["attempt"] async for part in parts])


async def counts_of(server: Server) -> int:
    """Jobs less duplicates, by the parts that were taken."""
    taken = collection_of(documents.IngestionPart).find({"instanceRef": server.id, "status": "SUCCEEDED"})
    return sum([part["counts"]["jobs"] - part["counts"]["duplicates"] async for part in taken])


def _folder() -> FolderBucket:
    opened: FolderBucket = bucket()
    return opened
