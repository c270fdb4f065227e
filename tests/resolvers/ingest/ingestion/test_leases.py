"""Workers that go away, and ingestions that are cancelled, while archives are read and folded in."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import IO, Any
from uuid import uuid4

import pytest

import documents
from documents.base import now
from documents.database import in_transaction, make_client, open_database
from documents.embedded import Embedded
from resolvers.discarding import discard, stop
from resolvers.fetch import Row, collection_of
from resolvers.ingest.ingestion import folding
from resolvers.ingest.ingestion.worker import ingest
from resolvers.ingest.report.apart import ReaderFailed
from resolvers.ingest.report.reader import Batch
from tests.resolvers.ingest.ingestion.ingesting import Server, jobs, lines_of, parts_of, read_here, the, works

pytestmark = pytest.mark.usefixtures("database")
SHORT = timedelta(seconds=1)
LONG = jobs(*range(1, 2501))
"""Three batches of rows."""


@dataclass
class Gate:
    """A reader that stops after its first batch of rows until it may go on."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def read(self, archive: IO[bytes], **options: Any) -> AsyncIterator[AsyncIterator[Batch]]:
        async with read_here(archive, **options) as batches:
            yield self._slowly(batches)

    async def _slowly(self, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        async for batch in batches:
            yield batch
            self.reached.set()
            await self.open.wait()


@dataclass
class At:
    """A worker that was brought to a certain place."""

    worker: "asyncio.Task[None]"
    stop: asyncio.Event

    async def stops(self) -> None:
        self.stop.set()
        await asyncio.wait_for(self.worker, 8)


async def brought_to(gate: Gate, **options: Any) -> At:
    """A worker that has written the first rows of an archive, and waits."""
    stop = asyncio.Event()
    worker = asyncio.create_task(ingest(stop, name="first", read=gate.read, **options))
    await asyncio.wait_for(gate.reached.wait(), 10)
    await until(lambda: written(), lambda count: count > 0)
    return At(worker, stop)


async def written() -> int:
    return await collection_of(documents.Job).count_documents({})


async def until(look: Callable[[], Awaitable[Any]], true: Callable[[Any], bool], seconds: float = 10) -> None:
    """Return as soon as what one sees is so."""
    deadline = now() + timedelta(seconds=seconds)
    while not true(seen := await look()):
        assert now() < deadline, seen
        await asyncio.sleep(0.02)


async def cancels(ingestion: str) -> None:
    """Cancel an ingestion as its owner would."""

    async def work(session: Any) -> Row | None:
        return await stop(await the(documents.Ingestion, ingestion), "No longer wanted.", session)

    assert await in_transaction(work) is not None


async def a_queued_report(content: bytes = LONG) -> tuple[Server, str]:
    server = await Server.new()
    await server.sends(content)
    return server, await server.queues()


async def test_a_lease_is_extended_while_an_archive_is_read() -> None:
    _, ingestion = await a_queued_report()
    gate = Gate()
    first = await brought_to(gate, lease=SHORT)
    await asyncio.sleep(1.5 * SHORT.total_seconds())

    await works(until_idle=True)

    (part,) = await parts_of(ingestion)
    row = await the(documents.Ingestion, ingestion)
    assert (part["status"], part["worker"], part["attempt"], part["done"]) == ("RUNNING", "first", 1, 1000)
    assert row["leaseExpiresAt"] >= part["leaseExpiresAt"] > now().replace(tzinfo=None)
    await first.stops()


async def test_a_worker_told_to_stop_hands_its_archive_back_and_another_goes_on() -> None:
    server, ingestion = await a_queued_report()
    first = await brought_to(Gate())

    await first.stops()

    (part,) = await parts_of(ingestion)
    assert (part["status"], part["attempt"], part["handed_back"], part["leaseExpiresAt"]) == ("READY", 1, 1, None)
    await works()
    assert (await server.generation())["jobs"] == 2500
    assert await written() == 2500


async def test_what_a_silent_worker_held_is_taken_over_and_counted_once() -> None:
    server, ingestion = await a_queued_report()
    undisturbed, _ = await a_queued_report()
    gate = Gate()
    first = await brought_to(gate)
    await collection_of(documents.IngestionPart).update_many(
        {"status": "RUNNING"}, {"$set": {"leaseExpiresAt": now() - SHORT}}
    )

    await works()
    gate.open.set()
    await asyncio.sleep(0.3)
    await first.stops()

    one, other = await server.counted(), await undisturbed.counted()
    assert (one.jobs, one.content_hash, one.usage) == (2500, other.content_hash, other.usage)
    (part,) = await parts_of(ingestion)
    assert (part["status"], part["attempt"], part["worker"]) == ("SUCCEEDED", 2, "worker-0")
    assert "was silent for longer than its lease." in (await lines_of(ingestion))[0]


async def test_what_a_killed_worker_had_begun_to_write_delays_nobody(mongod: Embedded) -> None:
    server, ingestion = await a_queued_report()
    killed = make_client(mongod.uri)
    session = killed.start_session()
    await session.start_transaction()
    generations = killed[collection_of(documents.Generation).database.name]["generations"]
    await generations.update_one({}, {"$set": {"folding": "part_0"}}, session=session)
    held = {"status": "RUNNING", "attempt": 1, "leaseExpiresAt": now() - SHORT, "session": session.session_id}
    await collection_of(documents.IngestionPart).update_one({"ingestionRef": ingestion}, {"$set": held})

    await asyncio.wait_for(works(read=read_here), 20)

    assert (await server.generation())["jobs"] == 2500
    await killed.close()


async def test_a_part_that_is_lost_three_times_fails_and_leaves_no_rows() -> None:
    server, ingestion = await a_queued_report()
    for _ in range(3):
        first = await brought_to(Gate(), lease=SHORT)
        await lose(first)

    await works(lease=SHORT)
    await asyncio.sleep(SHORT.total_seconds())
    await works(lease=SHORT)

    assert await written() == 0
    row = await the(documents.Ingestion, ingestion)
    assert (row["status"], row["error"]["code"]) == ("FAILED", "LEASE_LAPSED")
    assert (await server.generation())["archives"] == 0


async def lose(first: At) -> None:
    """Let a worker end without a word, and its lease lapse."""
    lapsed = {"$set": {"leaseExpiresAt": now() - SHORT, "attempt": 0}}
    parts = collection_of(documents.IngestionPart)
    before = await parts.find_one({"status": "RUNNING"})
    assert before is not None
    # Under another number the worker does not find its part any more, as if it had been taken over.
    await parts.update_one({"_id": before["_id"]}, lapsed)
    await first.stops()
    await parts.update_one({"_id": before["_id"]}, {"$set": {"attempt": before["attempt"]}})


async def test_a_reader_that_fails_is_tried_three_times() -> None:
    tried = 0

    @asynccontextmanager
    async def failing(archive: IO[bytes], **options: Any) -> AsyncIterator[AsyncIterator[Batch]]:
        nonlocal tried
        tried += 1
        if tried:
            raise ReaderFailed("Traceback\nKeyError: 7")
        async with read_here(archive, **options) as batches:
            yield batches

    _, ingestion = await a_queued_report()
    for _ in range(4):
        await works(read=failing, lease=SHORT)
        await asyncio.sleep(SHORT.total_seconds())

    row = await the(documents.Ingestion, ingestion)
    assert tried == 3
    assert (row["status"], row["error"]["code"]) == ("FAILED", "READER_FAILED")
    assert row["error"]["message"].endswith("KeyError: 7")


async def test_cancelling_leaves_whole_archives() -> None:
    server = await Server.new()
    done = await server.sends(jobs(5001, 5002))
    begun, waiting = await server.sends(LONG), await server.sends(jobs(6001))
    ingestion = await server.queues(done, begun, waiting)
    await works(once=True)
    first = await brought_to(Gate(), lease=SHORT, poll=0.05)

    await cancels(ingestion)
    await until(lambda: parts_of(ingestion), lambda parts: not any(part["leftovers"] for part in parts))

    await first.stops()
    assert await written() == 2
    assert await server.states() == {5001: "ok", 5002: "ok"}
    assert [part["status"] for part in await parts_of(ingestion)] == ["SUCCEEDED", "CANCELLED", "CANCELLED"]
    generation = await server.generation()
    assert (generation["archives"], generation["jobs"], generation["folding"]) == (1, 2, None)


async def test_what_a_cancelled_worker_left_is_removed_by_another_when_its_lease_is_over() -> None:
    _, ingestion = await a_queued_report()
    first = await brought_to(Gate(), lease=timedelta(seconds=60))
    await cancels(ingestion)

    await works(lease=timedelta(seconds=60))
    still = await written()
    await works(lease=timedelta(0))

    assert (still, await written()) == (1000, 0)
    await first.stops()


async def test_a_cancelled_archive_can_be_ingested_again_and_waits_until_its_rows_are_removed() -> None:
    server, ingestion = await a_queued_report()
    first = await brought_to(Gate(), lease=SHORT, once=True)
    await cancels(ingestion)
    await server.queues()

    # None waits for as long as the first one has not noticed, and let go of its rows.
    while (await server.generation())["jobs"] == 0:
        await works(lease=SHORT)

    await first.stops()
    assert (await server.generation())["jobs"] == 2500
    assert await written() == 2500


async def test_a_part_that_is_being_folded_in_is_not_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    server, ingestion = await a_queued_report()
    verified = folding.verified

    async def cancelled_meanwhile(*arguments: Any) -> bool:
        await cancels(ingestion)
        return await verified(*arguments)

    monkeypatch.setattr(folding, "verified", cancelled_meanwhile)
    await works()

    (part,) = await parts_of(ingestion)
    assert ((await the(documents.Ingestion, ingestion))["status"], part["status"]) == ("CANCELLED", "SUCCEEDED")
    assert (await server.generation())["jobs"] == 2500


async def test_whoever_waits_for_a_fold_goes_on_with_it_when_its_worker_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = await Server.new()
    one, other = await server.sends(jobs(*range(1, 50))), await server.sends(jobs(*range(40, 90)))
    ingestion = await server.queues(one, other)
    take = folding.take

    async def killed_after_it(held: Any) -> bool:
        assert await take(held)
        raise SystemError

    with monkeypatch.context() as patched:
        patched.setattr(folding, "take", killed_after_it)
        await works(once=True, lease=SHORT)
    await works(lease=SHORT)

    assert [part["status"] for part in await parts_of(ingestion)] == ["SUCCEEDED", "SUCCEEDED"]
    assert (await server.generation())["jobs"] == 89


async def test_the_rows_and_the_usage_of_a_discarded_generation_are_removed() -> None:
    server, _ = await a_queued_report(jobs(1, 2, 3))
    await works()
    ingestion = await server.reprocesses()
    await works()
    id = (await the(documents.Ingestion, ingestion))["generationRef"]
    kept = await server.counted()

    async def work(session: Any) -> Row:
        return await discard(await the(documents.Generation, id), "A test.", session)

    await in_transaction(work)
    await works()

    of_it = {"generationRef": id}
    assert await collection_of(documents.Job).count_documents(of_it) == 0
    assert await collection_of(documents.Usage).count_documents(of_it) == 0
    assert (await the(documents.Generation, id))["emptied"]
    assert await server.counted() == kept


async def test_a_worker_stops_at_any_moment_even_where_the_driver_loses_that_it_was_cancelled(mongod: Embedded) -> None:
    name = f"test_{uuid4().hex}"
    for number in range(60):
        # Only a client that has no connections yet makes one, which is where a cancellation may be lost.
        client = make_client(mongod.uri, timeoutMS=10_000)
        await client.aconnect()
        await open_database(client[name], indexes=False)
        stop = asyncio.Event()
        worker = asyncio.create_task(ingest(stop, name="stopped"))
        await asyncio.sleep(random.choice([0, random.uniform(0, 0.03)]))
        for _ in range(number % 6):
            await asyncio.sleep(0)

        stop.set()
        _, running = await asyncio.wait({worker}, timeout=5)
        assert not running
        await client.close()
