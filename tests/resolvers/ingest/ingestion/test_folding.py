"""A worker that is lost between any two writes of a fold: whoever comes next goes on where it stopped."""

from collections.abc import Callable
from typing import Any

import pytest

import documents
from resolvers.fetch import collection_of
from resolvers.ingest.ingestion import clashes, folding
from resolvers.ingest.report import counting
from tests.resolvers.ingest.ingestion.ingesting import (
    Server,
    jobs,
    parts_of,
    read_here,
    recounted_hash,
    recounted_usage,
    usage,
    works,
)

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
    """Four reports: one is folded in already, and the last one tells of jobs of all others."""
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
    monkeypatch.setattr(counting, "CHUNK_CELLS", 1)
    monkeypatch.setattr(folding, "TOGETHER", 2)
    monkeypatch.setattr(folding, "AT_ONCE", 3)


@pytest.mark.parametrize("after", [False, True])
async def test_a_fold_is_finished_from_wherever_it_stopped(after: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = await a_server_with_overlapping_reports()
    await works(read=read_here)
    expected = await undisturbed.counted()

    at, broken = 0, True
    while broken:
        at += 1
        server = await a_server_with_overlapping_reports()
        broken = await _broken(Breaking(at, after=after), monkeypatch)
        await works(read=read_here)

        generation = await server.generation()
        assert await server.counted() == expected, at
        assert generation["content_hash"] == await recounted_hash(generation["_id"])
        assert await usage(generation["_id"]) == await recounted_usage(generation["_id"])
    assert at > 8


async def _broken(breaking: Breaking, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Let a worker begin that is lost at a certain write; whether it came to that."""
    made = -1
    with monkeypatch.context() as patched:
        for place, name in ((folding, "take"), (folding, "_add"), (folding, "succeed"), (clashes.Clashes, "_put")):
            patched.setattr(place, name, breaking.wrapping(getattr(place, name)))
        try:
            await works(read=read_here, once=True)
        except Lost:
            made = breaking.made
    running = {"status": "RUNNING"}
    # Its lease is over.
    await collection_of(documents.IngestionPart).update_many(running, [{"$set": {"leaseExpiresAt": "$created_at"}}])
    return made > 0


async def test_a_part_whose_rows_others_took_reads_its_archive_again(monkeypatch: pytest.MonkeyPatch) -> None:
    server = await Server.new()
    early = await server.sends(jobs(*range(1, 10), state="new"), day=1)
    late = await server.sends(jobs(*range(5, 15), state="ok"), day=2)
    ingestion = await server.queues(early, late)
    take, reads = folding.take, 0

    async def overtaken(held: Any) -> bool:
        nonlocal reads
        if held.archive == early.id:
            reads += 1
            if reads == 1:
                # The other archive is folded in after this one has written its rows.
                await works(read=read_here, once=True)
        return await take(held)

    monkeypatch.setattr(folding, "take", overtaken)
    await works(read=read_here, once=True)

    assert reads == 2
    assert [part["status"] for part in await parts_of(ingestion)] == ["SUCCEEDED", "SUCCEEDED"]
    assert await server.states() == dict.fromkeys(range(1, 5), "new") | dict.fromkeys(range(5, 15), "ok")
    assert (await server.generation())["jobs"] == 14
