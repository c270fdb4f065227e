"""Merging an archive into its generation: adding its usage, jobs and digest, one archive at a time.

Every step can be repeated: rows are stored by conditional writes, the usage is added chunk by chunk, each chunk in one
transaction with its number, and the last transaction adds everything else and ends the part. A worker that claims the
part after a crash reads the archive again, and goes on with the first missing chunk. That gives the same chunks, since
they depend only on the archive and on what was merged before.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import bson
from pymongo.read_concern import ReadConcern

import documents
from documents.mongo.transaction import Session, in_transaction
from resolvers.galaxy.ingest.completion import PartResult, complete_part
from resolvers.galaxy.ingest.duplicate_jobs import BATCH_SIZE, DuplicateJobs
from resolvers.galaxy.ingest.part_lease import ClaimedPart, LeaseLost
from resolvers.galaxy.ingest.spool import Spool
from resolvers.galaxy.report.digest import RowsDigest
from resolvers.galaxy.report.read_report import Summary
from resolvers.galaxy.report.usage.cells import Cell, cell_of, decode_cells
from resolvers.galaxy.statistics.aggregates import add_usage
from resolvers.reads.rows import Row, collection_of

SUBTRACTION_BATCH_SIZE = 5000
"""Jobs that are subtracted from the usage at a time."""


@dataclass
class WrittenArchive:
    """An archive whose rows are written: how many were inserted, which other archives have as well, and its usage."""

    summary: Summary
    inserted: int
    duplicates: Spool
    usage_chunks: Spool


@dataclass
class Totals:
    """The totals that an archive adds to its generation: its own jobs, less those that other archives have as well."""

    jobs: int
    digest: RowsDigest
    duplicates: int = 0
    cells: list[Cell] = field(default_factory=list)

    def subtract(self, row: Row) -> None:
        """Subtract a duplicate job."""
        self.duplicates += 1
        self.digest.remove([row["digest"]])
        self.cells.append(cell_of(row, -1))


async def acquire_merge_lock(claim: ClaimedPart) -> bool:
    """Acquire the generation's merge lock; returns whether the part holds it from now on. Raises LeaseLost."""
    free = {"_id": claim.generation, "folding": {"$in": [None, claim.id]}}

    async def work(session: Session) -> bool:
        # In one transaction, so that no part begins to be merged while it is being cancelled.
        update = await _generations().update_one(free, {"$set": {"folding": claim.id}}, session=session)
        if update.matched_count:
            await _update_part(claim, {}, {"folding": True}, session)
        return bool(update.matched_count)

    return await in_transaction(work, claim.session)


async def release_merge_lock(claim: ClaimedPart) -> None:
    """Release the merge lock, so that other parts are merged first."""

    async def work(session: Session) -> None:
        await _update_part(claim, {"folded": 0}, {"folding": False}, session)
        locked = {"_id": claim.generation, "folding": claim.id}
        await _generations().update_one(locked, {"$set": {"folding": None}}, session=session)

    await in_transaction(work, claim.session)


async def rows_are_durable(claim: ClaimedPart, written: WrittenArchive) -> bool:
    """Whether all written rows are there, as a majority of the database knows.

    False when another part has put its own rows in their place, or the replica-set member that had them is lost. Taking
    the merge lock was acknowledged by a majority, and so were all writes before it.
    """
    match = {"generationRef": claim.generation, "archiveRef": claim.archive}
    jobs = collection_of(documents.Job).with_options(read_concern=ReadConcern("majority"))
    return await jobs.count_documents(match) == written.inserted


async def merge_archive(claim: ClaimedPart, archive: Row, written: WrittenArchive) -> None:
    """Merge an archive, and end its part. Raises LeaseLost."""
    duplicates = DuplicateJobs(claim, archive)
    try:
        for rows in written.duplicates.batches(BATCH_SIZE):
            await duplicates.resolve(rows)
        await _add_totals(claim, archive, written, duplicates.losers)
    finally:
        duplicates.losers.close()


async def _add_totals(claim: ClaimedPart, archive: Row, written: WrittenArchive, losers: Spool) -> None:
    """Add the usage of an archive, less its duplicate jobs, to the generation, and end its part."""
    number = 0
    for number, chunk in enumerate(written.usage_chunks.chunks(), 1):
        await _add_usage_chunk(claim, number, decode_cells(chunk))
    totals = Totals(written.summary.jobs, RowsDigest(written.summary.digest))
    async for row in _duplicate_jobs(claim, losers):
        totals.subtract(row)
        if len(totals.cells) == SUBTRACTION_BATCH_SIZE:
            number += 1
            await _add_usage_chunk(claim, number, totals.cells)
            totals.cells = []
    jobs = totals.jobs - totals.duplicates
    result = PartResult(written.summary, totals.duplicates, jobs, totals.digest, totals.cells)
    await complete_part(claim, archive, result)


async def _duplicate_jobs(claim: ClaimedPart, losers: Spool) -> AsyncIterator[Row]:
    """Jobs of this archive that lose to others, and jobs of others that its own replaced; always in one order."""
    for chunk in losers.chunks():
        yield bson.decode(chunk)
    replacing = {"archiveRef": claim.archive, "generationRef": claim.generation, "over": {"$exists": True}}
    rows = collection_of(documents.Job).find(replacing, {"over": 1}, sort=[("_id", 1)], hint="over")
    async for row in rows:
        yield row["over"]


async def _add_usage_chunk(claim: ClaimedPart, number: int, cells: list[Cell]) -> None:
    """Add a chunk of usage, unless an earlier attempt did."""
    if number <= claim.part["folded"]:
        return

    async def work(session: Session) -> None:
        await _update_part(claim, {"folded": number - 1}, {"folded": number}, session)
        await add_usage(claim.generation, cells, session)

    claim.check()
    await in_transaction(work, claim.session)


async def _update_part(claim: ClaimedPart, match: dict[str, Any], values: dict[str, Any], session: Session) -> None:
    parts = collection_of(documents.IngestionPart)
    update = await parts.update_one(claim.match | match, {"$set": values}, session=session)
    if not update.matched_count:
        raise LeaseLost(f"{claim.id} was cancelled, or another worker has it.")


def _generations() -> Any:
    return collection_of(documents.Generation)
