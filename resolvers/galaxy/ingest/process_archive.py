"""Ingesting one archive: its bytes are read, its rows written, and the archive merged or refused."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import IO, Any, Protocol

from pymongo.errors import BulkWriteError

import documents
from documents.backoff import backoff_delays
from resolvers.activities.state_machine import activity_error
from resolvers.concurrency.task_cancellation import raise_if_cancelled
from resolvers.galaxy.ingest import cleanup, merge
from resolvers.galaxy.ingest.completion import PartResult, complete_part, refuse_part
from resolvers.galaxy.ingest.merge import WrittenArchive
from resolvers.galaxy.ingest.part_lease import ClaimedPart
from resolvers.galaxy.ingest.row_writer import RowWriter
from resolvers.galaxy.ingest.spool import Spool, UnreadableArchive, copy_to_file
from resolvers.galaxy.report.declared_counts import DeclaredCounts
from resolvers.galaxy.report.job_bson import RowPrefix
from resolvers.galaxy.report.read_report import Batch, Summary
from resolvers.galaxy.report.rejection import Rejection
from resolvers.galaxy.report.usage.cells import encode_cells
from resolvers.galaxy.report_metadata import read_metadata
from resolvers.reads.rows import Row, collection_of
from resolvers.writes.unique_index_errors import duplicate_key_errors

MIN_POLL_INTERVAL, MAX_POLL_INTERVAL = 0.03, 0.5
"""Seconds between checks of work that others have to finish first: initially, and when it takes long."""
MISSING_BYTES = "MISSING_BYTES"


class ReportParser(Protocol):
    """Reads an archive, as `resolvers.galaxy.report.sandbox.run_sandbox.read_in_subprocess` does."""

    def __call__(
        self, archive: IO[bytes], *, prefix: RowPrefix | None, declared: DeclaredCounts | None
    ) -> AbstractAsyncContextManager[AsyncIterator[Batch]]: ...


Unblock = Callable[[str], Awaitable[bool]]
"""Works on a part if its worker is lost; returns whether it was."""


class ArchiveIngestion:
    """One archive on its way into its generation."""

    def __init__(self, claim: ClaimedPart, read: ReportParser, unblock: Unblock) -> None:
        self._claim, self._read, self._unblock = claim, read, unblock
        self._refusal: Rejection | None = None
        self._rejected = 0

    async def run(self) -> None:
        """Ingest the archive or refuse it, which ends the part either way. Raises LeaseLost, ParserFailed."""
        await self._wait_for_cleanup()
        archive = await collection_of(documents.Archive).find_one({"_id": self._claim.archive})
        if archive is None:
            raise LookupError(self._claim.archive)
        with tempfile.TemporaryFile() as file:
            try:
                await copy_to_file(archive, file)
            except UnreadableArchive as error:
                await self._refuse(archive, activity_error(MISSING_BYTES, str(error)), Summary(refused=True))
                return
            while not await self._attempt(archive, file):
                pass

    async def _attempt(self, archive: Row, file: IO[bytes]) -> bool:
        """Make one attempt; returns whether it ended the part. Another one follows when other archives replaced some of
        its rows."""
        writer, usage_chunks = RowWriter(self._claim), Spool()
        try:
            summary = await self._read_rows(archive, file, writer, usage_chunks)
            if summary.refused:
                # The parser's last rejection is the one that refuses the archive.
                assert self._refusal is not None
                error = activity_error(self._refusal.code.value, self._refusal.message)
                await self._refuse(archive, error, summary)
                return True
            if self._claim.part["generationRef"] is None:
                self._claim.is_ending = True
                await complete_part(self._claim, archive, PartResult(summary))
                return True
            written = WrittenArchive(summary, writer.inserted, writer.duplicates, usage_chunks)
            return await self._merge(archive, written)
        finally:
            self._claim.has_no_pending_writes = await asyncio.shield(writer.drain())
            writer.duplicates.close()
            usage_chunks.close()

    async def _read_rows(self, archive: Row, file: IO[bytes], writer: RowWriter, usage_chunks: Spool) -> Summary:
        """Read the archive, and write all rows, rejections and chunks of usage on the way."""
        self._refusal, self._rejected, self._claim.done = None, 0, 0
        is_dry_run = self._claim.part["generationRef"] is None
        declared = read_metadata(archive["metadata"], archive["identifier"]).declared_counts
        async with self._read(file, prefix=self._row_prefix(), declared=declared) as batches:
            async for batch in batches:
                raise_if_cancelled()
                if batch.rows:
                    self._claim.done += len(batch.rows)
                    if not is_dry_run:
                        await writer.write(batch.rows)
                if batch.cells:
                    usage_chunks.add(encode_cells(batch.cells))
                if batch.rejections:
                    await self._store_rejections(batch.rejections)
                if batch.summary is not None:
                    await writer.finish()
                    return batch.summary
        raise RuntimeError("The parser ended without a summary.")

    async def _merge(self, archive: Row, written: WrittenArchive) -> bool:
        """Merge the archive; returns False, without merging, when others replaced some of the rows that it wrote."""
        delays = backoff_delays(MIN_POLL_INTERVAL, MAX_POLL_INTERVAL)
        while not await merge.acquire_merge_lock(self._claim):
            raise_if_cancelled()
            if not await self._unblock_merge():
                await asyncio.sleep(next(delays))
        if not await merge.rows_are_durable(self._claim, written):
            if not self._claim.part["folded"]:
                await merge.release_merge_lock(self._claim)
            return False
        self._claim.is_ending = True
        await merge.merge_archive(self._claim, archive, written)
        return True

    async def _unblock_merge(self) -> bool:
        """Work on the part that holds the merge lock, if its worker is lost; returns whether it was."""
        generation = await collection_of(documents.Generation).find_one({"_id": self._claim.generation}, {"folding": 1})
        holder = generation and generation["folding"]
        return bool(holder and holder != self._claim.id and await self._unblock(holder))

    async def _wait_for_cleanup(self) -> None:
        """Wait until no rows are left of an earlier part of the same archive."""
        while self._claim.part["generationRef"] is not None:
            raise_if_cancelled()
            leftovers = await cleanup.leftovers_filter(self._claim.part)
            if leftovers is None:
                return
            if not await cleanup.remove_leftovers(leftovers, self._claim.worker, self._claim.lease):
                await asyncio.sleep(MAX_POLL_INTERVAL)

    async def _refuse(self, archive: Row, error: dict[str, Any], summary: Summary) -> None:
        self._claim.is_ending = True
        await refuse_part(self._claim, archive, error, summary)
        await cleanup.allow_cleanup(self._claim)
        await cleanup.remove_leftovers({"_id": self._claim.id}, self._claim.worker, self._claim.lease)

    async def _store_rejections(self, rejections: list[Rejection]) -> None:
        """Store rejections, each under its number in the archive."""
        rows = [self._rejection_row(number, rejection) for number, rejection in enumerate(rejections, self._rejected)]
        self._rejected += len(rows)
        self._refusal = rejections[-1]
        try:
            await collection_of(documents.Rejection).insert_many(rows, ordered=False)
        except BulkWriteError as error:
            duplicate_key_errors(error)

    def _rejection_row(self, number: int, rejection: Rejection) -> dict[str, Any]:
        return {
            "_id": documents.Rejection.id_of(self._claim.id, number),
            "ingestionRef": self._claim.part["ingestionRef"],
            "archiveRef": self._claim.archive,
            "member": rejection.member,
            "line": rejection.line,
            "code": rejection.code.value,
            "message": rejection.message,
            "excerpt": rejection.excerpt,
        }

    def _row_prefix(self) -> RowPrefix:
        part = self._claim.part
        if part["generationRef"] is None:
            return RowPrefix()
        fields = {name: part[name] for name in ("instanceRef", "generationRef", "archiveRef")}
        return RowPrefix(documents.Job.id_prefix(self._claim.generation), fields)
