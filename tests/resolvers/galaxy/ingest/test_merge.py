"""A worker that is lost between any two writes of a fold: whoever comes next goes on where it stopped."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import documents
from resolvers.galaxy.ingest import duplicate_jobs, merge
from resolvers.galaxy.ingest.row_writer import RowWriter
from resolvers.galaxy.report.tables import joiner
from resolvers.galaxy.report.usage import counter
from resolvers.reads.rows import collection_of
from tests.support.builders import everything_kept, restore_everything
from tests.support.ingesting import (
    Server,
    a_job,
    jobs,
    parts_of,
    read_here,
    recounted_hash,
    recounted_usage,
    usage,
    works,
)
from tests.support.reports import report

pytestmark = pytest.mark.usefixtures("database")


class Lost(BaseException):
    """The worker is gone, as if it had been killed."""


class Breaking:
    """Writes that can be made to fail: the one that is `at` in the order in which they are made, before or after it."""

    def __init__(self, at: int, *, after: bool) -> None:
        self.made, self._at, self._after = 0, at, after

    def wrapping(self, write: Callable[..., Any]) -> Callable[..., Any]:
        async def breaking(*arguments: Any, **options: Any) -> Any:
            self.made += 1
            if self.made == self._at and not self._after:
                raise Lost
            result = await write(*arguments, **options)
            if self.made == self._at:
                raise Lost
            return result

        return breaking


async def a_server_with_overlapping_reports() -> Server:
    """Four reports: one is merged already, and the last one tells of jobs of all others."""
    server = await Server.new()
    first = await server.sends(jobs(*range(1, 8), state="new", tool="t1"), day=1)
    later = await server.sends(jobs(*range(5, 12), state="ok", tool="t2"), day=9)
    await server.queues(first, later)
    await works(read=read_here)
    await server.sends(jobs(*range(3, 14), state="error", tool="t3"), day=5)
    await server.queues()
    return server


@pytest.fixture(autouse=True)
def in_small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks so small that even these reports have several of each kind."""
    monkeypatch.setattr(counter, "MAX_CHUNK_CELLS", 1)
    monkeypatch.setattr(merge, "SUBTRACTION_BATCH_SIZE", 2)
    monkeypatch.setattr(merge, "BATCH_SIZE", 3)


@pytest.mark.parametrize("after", [False, True])
async def test_a_fold_is_finished_from_wherever_it_stopped(after: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    server = await a_server_with_overlapping_reports()
    begun = await everything_kept()
    await works(read=read_here)
    expected = await server.contents()

    at, broken = 0, True
    while broken:
        at += 1
        await restore_everything(begun)
        broken = await _broken(Breaking(at, after=after), monkeypatch)
        await works(read=read_here)

        generation = await server.generation()
        assert await server.contents() == expected, at
        assert generation["content_hash"] == await recounted_hash(generation["_id"])
        assert await usage(generation["_id"]) == await recounted_usage(generation["_id"])
    assert at > 8


async def _broken(breaking: Breaking, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Let a worker begin that is lost at a certain write; whether it came to that."""
    made = -1
    with monkeypatch.context() as patched:
        for place, name in (
            (merge, "acquire_merge_lock"),
            (merge, "_add_usage_chunk"),
            (merge, "complete_part"),
            (duplicate_jobs.DuplicateJobs, "_bulk_write"),
        ):
            patched.setattr(place, name, breaking.wrapping(getattr(place, name)))
        try:
            await works(read=read_here, once=True)
        except Lost:
            made = breaking.made
    await _let_leases_expire()
    return made > 0


async def _let_leases_expire() -> None:
    running = {"status": "RUNNING"}
    await collection_of(documents.IngestionPart).update_many(running, [{"$set": {"leaseExpiresAt": "$created_at"}}])


def jobs_of_many_tools(state: str) -> bytes:
    """A report of thirteen jobs, each of a tool of its own, so that each chunk of usage counts other tools."""
    return report(jobs=[a_job(id, tool=f"t{id}", state=state) for id in range(1, 14)])


def let_batches_overtake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first batch of rows be written after the second."""
    insert, second = RowWriter._insert, asyncio.Event()
    begun = 0

    async def overtaking(writer: RowWriter, rows: list[bytes]) -> Any:
        nonlocal begun
        begun += 1
        if begun == 1:
            await second.wait()
            return await insert(writer, rows)
        clashes = await insert(writer, rows)
        second.set()
        return clashes

    monkeypatch.setattr(RowWriter, "_insert", overtaking)


async def reorder_the_collection() -> None:
    """Store the rows in another order, as another member of the replica set may have them."""
    rows = await collection_of(documents.Job).find({}, sort=[("_id", -1)]).to_list()
    await collection_of(documents.Job).delete_many({})
    await collection_of(documents.Job).insert_many(rows)


@pytest.mark.parametrize("day", [1, 9], ids=["all stay out", "all are put in place"])
async def test_chunks_of_what_is_told_twice_are_those_of_the_first_attempt(
    day: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joiner, "BATCH_SIZE", 3)
    server = await Server.new()
    await server.queues(await server.sends(jobs_of_many_tools("ok"), day=5))
    await works(read=read_here)
    ingestion = await server.queues(await server.sends(jobs_of_many_tools("error"), day=day))
    add = merge._add_usage_chunk

    async def lost_after(held: Any, number: int, cells: list[Any]) -> None:
        await add(held, number, cells)
        # Thirteen chunks count what the report adds; the next ones take out what is told twice.
        if number == 15:
            raise Lost

    with monkeypatch.context() as patched:
        patched.setattr(merge, "_add_usage_chunk", lost_after)
        with pytest.raises(Lost):
            await works(read=read_here, once=True)
    await _let_leases_expire()
    await reorder_the_collection()
    let_batches_overtake(monkeypatch)
    await works(read=read_here)

    (part,) = await parts_of(ingestion)
    assert (part["status"], part["attempt"], part["counts"]["duplicates"]) == ("SUCCEEDED", 2, 13)
    generation = await server.generation()
    assert set((await server.states()).values()) == {"error" if day == 9 else "ok"}
    assert await usage(generation["_id"]) == await recounted_usage(generation["_id"])
    assert generation["content_hash"] == await recounted_hash(generation["_id"])


async def test_a_part_whose_rows_others_took_reads_its_archive_again(monkeypatch: pytest.MonkeyPatch) -> None:
    server = await Server.new()
    early = await server.sends(jobs(*range(1, 10), state="new"), day=1)
    late = await server.sends(jobs(*range(5, 15), state="ok"), day=2)
    ingestion = await server.queues(early, late)
    take, reads = merge.acquire_merge_lock, 0

    async def overtaken(held: Any) -> bool:
        nonlocal reads
        if held.archive == early.id:
            reads += 1
            if reads == 1:
                # The other archive is merged after this one has written its rows.
                await works(read=read_here, once=True)
        return await take(held)

    monkeypatch.setattr(merge, "acquire_merge_lock", overtaken)
    await works(read=read_here, once=True)

    assert reads == 2
    assert [part["status"] for part in await parts_of(ingestion)] == ["SUCCEEDED", "SUCCEEDED"]
    assert await server.states() == dict.fromkeys(range(1, 5), "new") | dict.fromkeys(range(5, 15), "ok")
    assert (await server.generation())["jobs"] == 14
