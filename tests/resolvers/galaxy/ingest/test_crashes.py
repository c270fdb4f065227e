"""Workers that are killed while they ingest: INGEST_REPORTS and INGEST_KILLS say how large a run is tried."""

import asyncio
import io
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

import documents
from documents.activities.activity import OPEN
from documents.base import now
from documents.embedded_mongod.server import EmbeddedMongo
from documents.mongo.database import Database
from documents.storage.folder_bucket import FolderBucket
from resolvers.filters import Filter
from resolvers.galaxy.ingest.part_lease import end_session
from resolvers.galaxy.report.sandbox.run_sandbox import read_in_subprocess
from resolvers.reads.rows import collection_of
from tests.bench.reports import write_report
from tests.support.forking import Forked
from tests.support.ingesting import LEASE, Server, bucket, jobs, recounted_usage, works
from tests.support.patience import within
from tests.support.running import ROOT

REPORTS = int(os.environ.get("INGEST_REPORTS", "8"))
KILLS = int(os.environ.get("INGEST_KILLS", "5"))
SEED = int(os.environ.get("INGEST_SEED", "7"))
WORKERS = 3
SMALL, LARGE = 300, 1500
"""Jobs of a report."""
LIVES = min(3.0, 2 * REPORTS / KILLS)
"""Workers are left for up to so many times as long as it takes to ingest a report: most are to be killed before the
last of the reports is taken."""


class Crew:
    """Workers that run at the same time, one of which is killed now and then."""

    def __init__(
        self, mongod: EmbeddedMongo, database: Database, luck: random.Random, longest_life: float, log: Path
    ) -> None:
        self._longest_life = longest_life
        self._options = (mongod.uri, database.name, str(_folder().folder))
        self._luck = luck
        self._workers: dict[str, Forked] = {}
        self._log = log
        self.killed = 0

    def hire(self) -> None:
        """Start as many as are missing."""
        for name in [name for name, process in self._workers.items() if process.poll() is not None]:
            self._end(name)
        while len(self._workers) < WORKERS:
            name = f"worker-{self.killed}-{len(self._workers)}-{self._luck.random()}"
            command = [sys.executable, "-m", "tests.resolvers.galaxy.ingest.a_worker", *self._options, name]
            words = [*command, str(LEASE.total_seconds())]
            self._workers[name] = Forked(words, cwd=ROOT, env=dict(os.environ), stdout=self._log)

    async def kill_one(self) -> None:
        """Kill one that is at work, at any moment of it; nobody when nobody is."""
        busy = await collection_of(documents.IngestionPart).distinct("worker", {"status": "RUNNING"})
        at_work = sorted(name for name in busy if name in self._workers)
        if not at_work:
            await asyncio.sleep(0.05)
            return
        await asyncio.sleep(self._luck.uniform(0, self._longest_life))
        name = self._luck.choice(at_work)
        self._end(name)
        await _let_leases_expire({"worker": name, "leaseExpiresAt": {"$ne": None}})
        self.killed += 1

    def end(self) -> None:
        """End all of them."""
        for name in list(self._workers):
            self._end(name)

    def _end(self, name: str) -> None:
        process = self._workers.pop(name)
        process.kill()
        process.wait()


async def _let_leases_expire(match: Filter) -> None:
    async for part in collection_of(documents.IngestionPart).find(match):
        # The database keeps a killed worker's transaction for a minute, and nobody else can write what it wrote.
        await end_session(part)
    await collection_of(documents.IngestionPart).update_many(match, {"$set": {"leaseExpiresAt": now()}})


@pytest.mark.timeout(within(300 + 60 * KILLS))
async def test_workers_killed_at_any_moment_lose_and_double_nothing(
    mongod: EmbeddedMongo, database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    luck = random.Random(SEED)
    undisturbed, disturbed = await Server.new(), await Server.new()
    for day in luck.sample(range(REPORTS * 3), REPORTS):
        await send_to_both(undisturbed, disturbed, a_report(luck), day)
    await undisturbed.queues()
    began = time.monotonic()
    await works(read=read_in_subprocess)
    each = (time.monotonic() - began) / REPORTS

    crew = Crew(mongod, database, luck, LIVES * each, tmp_path / "log")
    began, sent = time.monotonic(), REPORTS
    try:
        queued = await run_and_kill(crew, disturbed, sent)
        while crew.killed < KILLS:
            # All reports were taken before enough workers were killed: on some machines they are ingested that fast.
            await send_to_both(undisturbed, disturbed, a_report(luck), REPORTS * 3 + sent)
            sent += 1
            queued += await run_and_kill(crew, disturbed, sent)
    finally:
        crew.end()
    if sent > REPORTS:
        await undisturbed.queues()
        await works()

    one, other = await disturbed.contents(), await undisturbed.contents()
    attempts = await attempts_of(disturbed)
    with capsys.disabled():
        print(f"\n{sent} reports of {one.jobs:,} jobs, {crew.killed} workers killed, {queued} times queued, ", end="")
        print(f"{time.monotonic() - began:.1f} s, attempts: {dict(sorted(attempts.items()))}")
    assert one.archives == sent
    assert (one.jobs, one.content_hash) == (other.jobs, other.content_hash)
    assert one.rows == other.rows
    assert one.usage == other.usage
    assert await counts_of(disturbed) == await counts_of(undisturbed) == one.jobs
    assert await recounted_usage((await disturbed.generation())["_id"]) == one.usage


async def send_to_both(one: Server, other: Server, content: bytes, day: int) -> None:
    """Send a report of two servers, generated on the same day."""
    for server in (one, other):
        await server.sends(content, day=day)


def a_report(luck: random.Random) -> bytes:
    """A report that may tell of the same jobs as others, of the small kind or of the large one."""
    if luck.random() < 0.3:
        first = luck.randrange(1, 2000)
        return jobs(*range(first, first + SMALL), state=luck.choice(["ok", "error", "new"]))
    written = io.BytesIO()
    write_report(written, LARGE, first=luck.randrange(1, REPORTS * LARGE // 2))
    return written.getvalue()


async def run_and_kill(crew: Crew, server: Server, sent: int) -> int:
    """Let the crew take all reports. What was given up after three attempts is queued again, as a next upload does."""
    queued = 0
    while True:
        crew.hire()
        # All workers of the discarded archives were killed.
        await _let_leases_expire({"leftovers": True, "leaseExpiresAt": None})
        if not await unended(server):
            archives = (await server.generation())["archives"] if queued else 0
            if archives == sent:
                return queued
            await server.queues()
            queued += 1
        if crew.killed < KILLS:
            await crew.kill_one()
        else:
            await asyncio.sleep(0.05)


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
