"""Workers that go away, and ingestions that are cancelled, while archives are read and merged."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import IO, Any
from uuid import uuid4

import pytest

import documents
from documents.base import now
from documents.embedded_mongod.server import EmbeddedMongo
from documents.mongo.database import Client, make_client, open_database
from documents.mongo.transaction import in_transaction
from resolvers.filters import Filter
from resolvers.galaxy.discard import cancel_with_parts, discard_with_ingestions
from resolvers.galaxy.ingest import merge, part_claim, part_lease, poll_loop
from resolvers.galaxy.ingest.part_claim import PartClaimer
from resolvers.galaxy.ingest.part_lease import RENEWALS_PER_LEASE, ClaimedPart, oldest_expired
from resolvers.galaxy.ingest.poll_loop import ingest
from resolvers.galaxy.report.read_report import Batch
from resolvers.galaxy.report.sandbox.run_sandbox import ParserFailed
from resolvers.limits import MAX_ATTEMPTS
from resolvers.reads.rows import Row, collection_of
from tests.support.clock import Clock
from tests.support.ingesting import LEASE, Server, jobs, lines_of, parts_of, read_here, the, works
from tests.support.patience import until_awaited, within

pytestmark = pytest.mark.usefixtures("database")
SINCE_EXPIRY = timedelta(seconds=1)
"""The time since the end of a lease that a test lets expire."""
LONG = jobs(*range(1, 2501))
"""Three batches of rows."""


@dataclass
class Gate:
    """A parser that stops after its first batch of rows until it may go on."""

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

    task: "asyncio.Task[None]"
    stop: asyncio.Event

    async def ends(self) -> None:
        """Return when it has ended by itself."""
        await asyncio.wait_for(self.task, within())

    async def stops(self) -> None:
        self.stop.set()
        await self.ends()


async def brought_to(gate: Gate, **options: Any) -> At:
    """A worker that has written the first rows of an archive, and waits."""
    stop = asyncio.Event()
    task = asyncio.create_task(ingest(stop, name="first", **{"lease": LEASE, "read": gate.read, **options}))
    await asyncio.wait_for(gate.reached.wait(), within())
    await until_awaited(written)
    return At(task, stop)


@pytest.fixture
def renewing_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a worker extend its lease, and see whether it still has it, ten times a second."""
    monkeypatch.setattr(poll_loop, "RENEWALS_PER_LEASE", 10 * LEASE.total_seconds())


async def written() -> int:
    return await collection_of(documents.Job).count_documents({})


async def cancels(ingestion: str) -> None:
    """Cancel an ingestion as its owner would."""

    async def work(session: Any) -> Row | None:
        return await cancel_with_parts(await the(documents.Ingestion, ingestion), "No longer wanted.", session)

    assert await in_transaction(work) is not None


async def a_queued_report(content: bytes = LONG) -> tuple[Server, str]:
    server = await Server.new()
    await server.sends(content)
    return server, await server.queues()


async def test_a_line_of_a_take_over_takes_a_number_only_where_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    _, ingestion = await a_queued_report()
    first = await brought_to(Gate())
    expired = {"$set": {"leaseExpiresAt": now() - SINCE_EXPIRY}}
    await collection_of(documents.IngestionPart).update_one({"ingestionRef": ingestion}, expired)

    def fail(*given: Any) -> Row:
        raise LookupError("no line")

    monkeypatch.setattr("resolvers.activities.server_log_lines._line", fail)
    with pytest.raises(LookupError, match="no line"):
        await PartClaimer("second", LEASE, "parser").next()

    assert (await the(documents.Ingestion, ingestion))["log_end"] == len(await lines_of(ingestion))
    monkeypatch.undo()
    await first.stops()


@pytest.mark.usefixtures("renewing_often")
async def test_a_lease_is_extended_while_an_archive_is_read(clock: Clock) -> None:
    _, ingestion = await a_queued_report()
    first = await brought_to(Gate())
    for _ in range(2):
        # Longer together than one lease.
        clock.forward(0.75 * LEASE.total_seconds())
        await until_awaited(partial(is_leased_beyond, ingestion, now() + 0.5 * LEASE))

    await works()

    (part,) = await parts_of(ingestion)
    assert (part["status"], part["worker"], part["attempt"], part["done"]) == ("RUNNING", "first", 1, 1000)

    async def is_told() -> bool:
        row = await the(documents.Ingestion, ingestion)
        return bool(row["leaseExpiresAt"] >= part["leaseExpiresAt"] > now().replace(tzinfo=None))

    assert await until_awaited(is_told)
    await first.stops()


def test_a_lease_is_extended_several_times_before_it_would_expire() -> None:
    assert RENEWALS_PER_LEASE >= 3


async def is_leased_beyond(ingestion: str, at: datetime) -> bool:
    """Whether the lease of the part lasts longer."""
    (part,) = await parts_of(ingestion)
    return bool(part["leaseExpiresAt"] > at.replace(tzinfo=None))


async def test_a_worker_told_to_stop_hands_its_archive_back_and_another_goes_on() -> None:
    server, ingestion = await a_queued_report()
    first = await brought_to(Gate())

    await first.stops()

    (part,) = await parts_of(ingestion)
    assert (part["status"], part["attempt"], part["handed_back"], part["leaseExpiresAt"]) == ("READY", 1, 1, None)
    await works()
    assert (await server.generation())["jobs"] == 2500
    assert await written() == 2500


@pytest.mark.parametrize("expired", [False, True])
async def test_a_worker_told_to_stop_while_its_claim_is_on_its_way_hands_the_archive_back(
    monkeypatch: pytest.MonkeyPatch, expired: bool
) -> None:
    _, ingestion = await a_queued_report()
    if expired:
        values = {"status": "RUNNING", "attempt": 1, "worker": "lost", "leaseExpiresAt": now() - SINCE_EXPIRY}
        await collection_of(documents.IngestionPart).update_one({"ingestionRef": ingestion}, {"$set": values})
    stop = asyncio.Event()

    async def stopped_first(claim: ClaimedPart, leased: Row) -> None:
        stop.set()
        await asyncio.sleep(0.05)

    monkeypatch.setattr(part_lease, "_update_ingestion", stopped_first)
    await asyncio.wait_for(ingest(stop, name="first", lease=LEASE), within())

    (part,) = await parts_of(ingestion)
    assert (part["status"], part["attempt"], part["handed_back"]) == ("READY", 1 + expired, 1)
    assert part["leaseExpiresAt"] is None


async def test_what_a_silent_worker_held_is_taken_over_and_counted_once() -> None:
    server, ingestion = await a_queued_report()
    undisturbed, _ = await a_queued_report()
    gate = Gate()
    first = await brought_to(gate, once=True)
    await collection_of(documents.IngestionPart).update_many(
        {"status": "RUNNING"}, {"$set": {"leaseExpiresAt": now() - SINCE_EXPIRY}}
    )

    await works()
    gate.open.set()
    await first.ends()

    one, other = await server.contents(), await undisturbed.contents()
    assert (one.jobs, one.content_hash, one.usage) == (2500, other.content_hash, other.usage)
    (part,) = await parts_of(ingestion)
    assert (part["status"], part["attempt"], part["worker"]) == ("SUCCEEDED", 2, "worker-0")
    assert "was silent for longer than its lease." in (await lines_of(ingestion))[0]


@pytest.mark.parametrize("attempt", [1, MAX_ATTEMPTS])
async def test_a_part_that_is_extended_while_another_worker_looks_at_it_stays_with_its_own(
    monkeypatch: pytest.MonkeyPatch, attempt: int
) -> None:
    server, ingestion = await a_queued_report()
    parts = collection_of(documents.IngestionPart)
    await parts.update_one({"ingestionRef": ingestion}, {"$set": {"attempt": attempt - 1}})
    gate, seen = Gate(), []
    first = await brought_to(gate)
    await parts.update_one({"ingestionRef": ingestion}, {"$set": {"leaseExpiresAt": now() - SINCE_EXPIRY}})

    async def extended_after(match: Filter) -> Row | None:
        expired = await oldest_expired(match)
        if expired is not None:
            seen.append(expired["_id"])
            extended = {"leaseExpiresAt": now() + LEASE}
            await parts.update_one({"_id": expired["_id"]}, {"$set": extended})
        return expired

    monkeypatch.setattr(part_claim, "oldest_expired", extended_after)
    await works()

    (part,) = await parts_of(ingestion)
    assert seen == [part["_id"]]
    assert (part["status"], part["worker"], part["attempt"]) == ("RUNNING", "first", attempt)
    gate.open.set()
    await until_awaited(partial(has_succeeded, ingestion))
    assert ((await server.generation())["jobs"], await written()) == (2500, 2500)
    await first.stops()


async def has_succeeded(ingestion: str) -> bool:
    """Whether an ingestion has ended well."""
    return bool((await the(documents.Ingestion, ingestion))["status"] == "SUCCEEDED")


@pytest.fixture
async def transactions_last(client: Client) -> AsyncIterator[None]:
    """Let the database itself end no transaction within a test."""
    name = "transactionLifetimeLimitSeconds"
    before = (await client.admin.command({"getParameter": 1, name: 1}))[name]
    await client.admin.command({"setParameter": 1, name: 3600})
    yield
    await client.admin.command({"setParameter": 1, name: before})


@pytest.mark.usefixtures("transactions_last")
async def test_what_a_killed_worker_had_begun_to_write_delays_nobody(mongod: EmbeddedMongo) -> None:
    server, ingestion = await a_queued_report()
    killed = make_client(mongod.uri)
    session = killed.start_session()
    await session.start_transaction()
    generations = killed[collection_of(documents.Generation).database.name]["generations"]
    await generations.update_one({}, {"$set": {"folding": "part_0"}}, session=session)
    held = {"status": "RUNNING", "attempt": 1, "leaseExpiresAt": now() - SINCE_EXPIRY, "session": session.session_id}
    await collection_of(documents.IngestionPart).update_one({"ingestionRef": ingestion}, {"$set": held})

    await asyncio.wait_for(works(), within())

    assert (await server.generation())["jobs"] == 2500
    await killed.close()


async def test_a_part_that_is_lost_three_times_fails_and_leaves_no_rows() -> None:
    server, ingestion = await a_queued_report()
    for _ in range(3):
        first = await brought_to(Gate())
        await lose(first)

    await works()
    await works(lease=timedelta(0))

    assert await written() == 0
    row = await the(documents.Ingestion, ingestion)
    assert (row["status"], row["error"]["code"]) == ("FAILED", "LEASE_LAPSED")
    assert (await server.generation())["archives"] == 0


async def lose(first: At) -> None:
    """Let a worker end without a word, and its lease expire."""
    expired = {"$set": {"leaseExpiresAt": now() - SINCE_EXPIRY, "attempt": 0}}
    parts = collection_of(documents.IngestionPart)
    before = await parts.find_one({"status": "RUNNING"})
    assert before is not None
    # Under another number the worker does not find its part any more, as if it had been taken over.
    await parts.update_one({"_id": before["_id"]}, expired)
    await first.stops()
    await parts.update_one({"_id": before["_id"]}, {"$set": {"attempt": before["attempt"]}})


async def test_a_parser_that_fails_is_tried_three_times(clock: Clock) -> None:
    tried = 0

    @asynccontextmanager
    async def failing(archive: IO[bytes], **options: Any) -> AsyncIterator[AsyncIterator[Batch]]:
        nonlocal tried
        tried += 1
        if tried:
            raise ParserFailed("Traceback\nKeyError: 7")
        async with read_here(archive, **options) as batches:
            yield batches

    _, ingestion = await a_queued_report()
    for _ in range(4):
        await works(read=failing)
        clock.forward(poll_loop.RETRY_DELAY.total_seconds())

    row = await the(documents.Ingestion, ingestion)
    assert tried == 3
    assert (row["status"], row["error"]["code"]) == ("FAILED", "READER_FAILED")
    assert row["error"]["message"].endswith("KeyError: 7")


@pytest.mark.usefixtures("renewing_often")
async def test_cancelling_leaves_whole_archives() -> None:
    server = await Server.new()
    done = await server.sends(jobs(5001, 5002))
    begun, waiting = await server.sends(LONG), await server.sends(jobs(6001))
    ingestion = await server.queues(done, begun, waiting)
    await works(once=True)
    first = await brought_to(Gate(), poll=0.05)

    await cancels(ingestion)
    await until_awaited(partial(has_no_leftovers, ingestion))

    await first.stops()
    assert await written() == 2
    assert await server.states() == {5001: "ok", 5002: "ok"}
    assert [part["status"] for part in await parts_of(ingestion)] == ["SUCCEEDED", "CANCELLED", "CANCELLED"]
    generation = await server.generation()
    assert (generation["archives"], generation["jobs"], generation["folding"]) == (1, 2, None)


async def has_no_leftovers(ingestion: str) -> bool:
    """Whether no part has rows to be removed."""
    return not any(part["leftovers"] for part in await parts_of(ingestion))


async def test_what_a_cancelled_worker_left_is_removed_by_another_when_its_lease_is_over() -> None:
    _, ingestion = await a_queued_report()
    first = await brought_to(Gate())
    await cancels(ingestion)

    await works()
    still = await written()
    await works(lease=timedelta(0))

    assert (still, await written()) == (1000, 0)
    await first.stops()


@pytest.mark.usefixtures("renewing_often")
async def test_a_cancelled_archive_can_be_ingested_again_and_waits_until_its_rows_are_removed() -> None:
    server, ingestion = await a_queued_report()
    first = await brought_to(Gate(), once=True)
    await cancels(ingestion)
    await server.queues()

    async def is_taken() -> bool:
        # None waits for as long as the first one has not noticed, and let go of its rows.
        await works()
        return bool((await server.generation())["jobs"])

    await until_awaited(is_taken)

    await first.ends()
    assert (await server.generation())["jobs"] == 2500
    assert await written() == 2500


async def test_a_part_that_is_being_folded_in_is_not_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    server, ingestion = await a_queued_report()
    verified = merge.rows_are_durable

    async def cancelled_meanwhile(*arguments: Any) -> bool:
        await cancels(ingestion)
        return await verified(*arguments)

    monkeypatch.setattr(merge, "rows_are_durable", cancelled_meanwhile)
    await works()

    (part,) = await parts_of(ingestion)
    assert ((await the(documents.Ingestion, ingestion))["status"], part["status"]) == ("CANCELLED", "SUCCEEDED")
    assert (await server.generation())["jobs"] == 2500


async def test_whoever_waits_for_a_fold_goes_on_with_it_when_its_worker_is_gone(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setattr(poll_loop, "RETRY_DELAY", LEASE)
    server = await Server.new()
    one, other = await server.sends(jobs(*range(1, 50))), await server.sends(jobs(*range(40, 90)))
    ingestion = await server.queues(one, other)
    take, of_lost_worker, looks = merge.acquire_merge_lock, PartClaimer.take_over_if_lost, 0

    async def killed_after_it(held: Any) -> bool:
        assert await take(held)
        raise SystemError

    with monkeypatch.context() as patched:
        patched.setattr(merge, "acquire_merge_lock", killed_after_it)
        await works(once=True)

    async def looked_for(claimer: PartClaimer, part_id: str) -> ClaimedPart | None:
        nonlocal looks
        looks += 1
        found = await of_lost_worker(claimer, part_id)
        clock.forward(LEASE.total_seconds() / 2)
        return found

    monkeypatch.setattr(PartClaimer, "take_over_if_lost", looked_for)
    await works()

    assert looks >= 3
    assert [part["status"] for part in await parts_of(ingestion)] == ["SUCCEEDED", "SUCCEEDED"]
    assert (await server.generation())["jobs"] == 89


async def test_the_rows_and_the_usage_of_a_discarded_generation_are_removed() -> None:
    server, _ = await a_queued_report(jobs(1, 2, 3))
    await works()
    ingestion = await server.reprocesses()
    await works()
    id = (await the(documents.Ingestion, ingestion))["generationRef"]
    kept = await server.contents()

    async def work(session: Any) -> Row:
        return await discard_with_ingestions(await the(documents.Generation, id), "A test.", session)

    await in_transaction(work)
    await works()

    of_it = {"generationRef": id}
    assert await collection_of(documents.Job).count_documents(of_it) == 0
    assert await collection_of(documents.Usage).count_documents(of_it) == 0
    assert (await the(documents.Generation, id))["emptied"]
    assert await server.contents() == kept


async def test_a_worker_stops_at_any_moment_even_where_the_driver_loses_that_it_was_cancelled(
    mongod: EmbeddedMongo,
) -> None:
    name = f"test_{uuid4().hex}"
    for number in range(60):
        # Only a client that has no connections yet makes one, which is where a cancellation may be lost.
        client = make_client(mongod.uri, timeoutMS=1000 * within())
        await client.aconnect()
        await open_database(client[name], indexes=False)
        stop = asyncio.Event()
        task = asyncio.create_task(ingest(stop, name="stopped"))
        await asyncio.sleep(random.choice([0, random.uniform(0, 0.03)]))
        for _ in range(number % 6):
            await asyncio.sleep(0)

        stop.set()
        _, running = await asyncio.wait({task}, timeout=within())
        assert not running
        await client.close()
