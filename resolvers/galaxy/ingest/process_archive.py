"""Ingesting one archive: its bytes are read, its rows written, and the archive merged or refused."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import IO, Any, Protocol

from pymongo.errors import BulkWriteError

import documents
from resolvers.activities.state_machine import activity_error
from resolvers.concurrency.task_cancellation import check_cancelled
from resolvers.galaxy.ingest import cleanup, merge
from resolvers.galaxy.ingest.completion import Ended, refuse, succeed
from resolvers.galaxy.ingest.merge import WrittenArchive
from resolvers.galaxy.ingest.part_lease import Held
from resolvers.galaxy.ingest.row_writer import RowWriter
from resolvers.galaxy.ingest.spool import Spool, Unreadable, spooled
from resolvers.galaxy.report.job_bson import Stamp
from resolvers.galaxy.report.read_report import Batch, DeclaredCounts, Summary
from resolvers.galaxy.report.rejection import Rejection
from resolvers.galaxy.report.usage.cells import encoded
from resolvers.galaxy.report_metadata import read_metadata
from resolvers.reads.rows import Row, collection_of
from resolvers.writes.unique_index_errors import duplicates_in

LOOKS_AFTER, LOOKS_EVERY = 0.03, 0.5
"""Seconds between checks of work that others have to finish first: initially, and when it takes long."""
UNREADABLE = "MISSING_BYTES"


class Read(Protocol):
    """Reads an archive, as `resolvers.galaxy.report.sandbox.run_sandbox.read_apart` does."""

    def __call__(
        self, archive: IO[bytes], *, stamp: Stamp | None, declared: DeclaredCounts | None
    ) -> AbstractAsyncContextManager[AsyncIterator[Batch]]: ...


Unblock = Callable[[str], Awaitable[bool]]
"""Works on a part if its worker is lost; returns whether it was."""


class ArchiveIngestion:
    """One archive on its way into its generation."""

    def __init__(self, held: Held, read: Read, unblock: Unblock) -> None:
        self._held, self._read, self._unblock = held, read, unblock
        self._refusal: Rejection | None = None
        self._rejected = 0

    async def run(self) -> None:
        """Ingest the archive or refuse it, which ends the part either way. Raises Lost, ReaderFailed."""
        await self._cleared()
        archive = await collection_of(documents.Archive).find_one({"_id": self._held.archive})
        if archive is None:
            raise LookupError(self._held.archive)
        with tempfile.TemporaryFile() as file:
            try:
                await spooled(archive, file)
            except Unreadable as error:
                await self._refused(archive, activity_error(UNREADABLE, str(error)), Summary(refused=True))
                return
            while not await self._once(archive, file):
                pass

    async def _once(self, archive: Row, file: IO[bytes]) -> bool:
        """Make one attempt; returns whether the part has ended. It starts over when another archive replaced some of
        its rows."""
        writer, chunks = RowWriter(self._held), Spool()
        try:
            summary = await self._all_read(archive, file, writer, chunks)
            if summary.refused:
                await self._refused(archive, _error(self._refusal), summary)
                return True
            if self._held.part["generationRef"] is None:
                self._held.ending = True
                await succeed(self._held, archive, Ended(summary))
                return True
            return await self._folded(archive, WrittenArchive(summary, writer.mine, writer.clashes, chunks))
        finally:
            self._held.quiet = await asyncio.shield(writer.drain())
            writer.clashes.close()
            chunks.close()

    async def _all_read(self, archive: Row, file: IO[bytes], writer: RowWriter, chunks: Spool) -> Summary:
        """Read the archive, and write all rows, rejections and chunks of usage on the way."""
        self._refusal, self._rejected, self._held.done = None, 0, 0
        declared = read_metadata(archive["metadata"], archive["identifier"]).declared
        async with self._read(file, stamp=self._stamp(), declared=declared) as batches:
            async for batch in batches:
                check_cancelled()
                if batch.rows:
                    self._held.done += len(batch.rows)
                    await self._write(batch.rows, writer)
                if batch.cells:
                    chunks.add(encoded(batch.cells))
                if batch.rejections:
                    await self._keep(batch.rejections)
                if batch.summary is not None:
                    await writer.finish()
                    return batch.summary
        raise RuntimeError("The reader ended without a summary.")

    async def _write(self, rows: list[bytes], writer: RowWriter) -> None:
        if self._held.part["generationRef"] is not None:
            await writer.write(rows)

    async def _folded(self, archive: Row, written: WrittenArchive) -> bool:
        """Merge the archive; returns whether that was possible: not when others replaced some of the rows that it
        wrote."""
        delay = LOOKS_AFTER
        while not await merge.take(self._held):
            check_cancelled()
            if not await self._unblocked():
                await asyncio.sleep(delay)
                delay = min(1.5 * delay, LOOKS_EVERY)
        if not await merge.verified(self._held, written):
            if not self._held.part["folded"]:
                await merge.let_go(self._held)
            return False
        self._held.ending = True
        await merge.merge_archive(self._held, archive, written)
        return True

    async def _unblocked(self) -> bool:
        """Whether the part that was being merged had been abandoned, and no longer is."""
        generation = await collection_of(documents.Generation).find_one({"_id": self._held.generation}, {"folding": 1})
        before = generation and generation["folding"]
        return bool(before and before != self._held.id and await self._unblock(before))

    async def _cleared(self) -> None:
        """Wait until no rows are left of an earlier part of the same archive."""
        while self._held.part["generationRef"] is not None:
            check_cancelled()
            others = await cleanup.leaves_rows(self._held.part)
            if others is None:
                return
            if not await cleanup.remove_leftovers(others, self._held.worker, self._held.lease):
                await asyncio.sleep(LOOKS_EVERY)

    async def _refused(self, archive: Row, error: dict[str, Any], summary: Summary) -> None:
        self._held.ending = True
        await refuse(self._held, archive, error, summary)
        await cleanup.release(self._held)
        await cleanup.remove_leftovers({"_id": self._held.id}, self._held.worker, self._held.lease)

    async def _keep(self, rejections: list[Rejection]) -> None:
        """Store rejections, each under its number in the archive."""
        rows = [self._rejection(number, one) for number, one in enumerate(rejections, self._rejected)]
        self._rejected += len(rows)
        self._refusal = rejections[-1]
        try:
            await collection_of(documents.Rejection).insert_many(rows, ordered=False)
        except BulkWriteError as error:
            duplicates_in(error)

    def _rejection(self, number: int, rejection: Rejection) -> dict[str, Any]:
        return {
            "_id": documents.Rejection.id_of(self._held.id, number),
            "ingestionRef": self._held.part["ingestionRef"],
            "archiveRef": self._held.archive,
            "member": rejection.member,
            "line": rejection.line,
            "code": rejection.code.value,
            "message": rejection.message,
            "excerpt": rejection.excerpt,
        }

    def _stamp(self) -> Stamp:
        part = self._held.part
        if part["generationRef"] is None:
            return Stamp()
        fields = {name: part[name] for name in ("instanceRef", "generationRef", "archiveRef")}
        return Stamp(documents.Job.id_prefix(self._held.generation), fields)


def _error(refusal: Rejection | None) -> dict[str, Any]:
    """The error of a refused archive: the reader's last rejection."""
    assert refusal is not None
    return activity_error(refusal.code.value, refusal.message)
