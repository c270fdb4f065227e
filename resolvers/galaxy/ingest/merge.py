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
from resolvers.galaxy.ingest.completion import Ended, succeed
from resolvers.galaxy.ingest.duplicate_jobs import AT_ONCE, Clashes
from resolvers.galaxy.ingest.part_lease import Held, Lost
from resolvers.galaxy.ingest.spool import Spool
from resolvers.galaxy.report.digest import RowsDigest
from resolvers.galaxy.report.read_report import Summary
from resolvers.galaxy.report.usage.cells import Cell, cell_of, decoded
from resolvers.galaxy.statistics.aggregates import add_usage
from resolvers.reads.rows import Row, collection_of

TOGETHER = 5000
"""Jobs that are subtracted from the usage at a time."""


@dataclass
class WrittenArchive:
    """An archive whose rows are written: their number, the duplicates that are still undecided, and the chunks of its
    usage."""

    summary: Summary
    mine: int
    clashes: Spool
    chunks: Spool


@dataclass
class Totals:
    """The totals that an archive adds to its generation: its own jobs, less those that other archives have as well."""

    jobs: int
    digest: RowsDigest
    duplicates: int = 0
    cells: list[Cell] = field(default_factory=list)

    def take_out(self, row: Row) -> None:
        """Subtract a duplicate job."""
        self.duplicates += 1
        self.digest.remove([row["digest"]])
        self.cells.append(cell_of(row, -1))


async def take(held: Held) -> bool:
    """Acquire the generation's merge lock; returns whether the part holds it from now on. Raises Lost."""
    free = {"_id": held.generation, "folding": {"$in": [None, held.id]}}

    async def work(session: Session) -> bool:
        # In one transaction, so that no part begins to be merged while it is being cancelled.
        taken = await _generations().update_one(free, {"$set": {"folding": held.id}}, session=session)
        if taken.matched_count:
            await _change(held, {}, {"folding": True}, session)
        return bool(taken.matched_count)

    return await in_transaction(work, held.session)


async def let_go(held: Held) -> None:
    """Release the merge lock, so that other parts are merged first."""

    async def work(session: Session) -> None:
        await _change(held, {"folded": 0}, {"folding": False}, session)
        mine = {"_id": held.generation, "folding": held.id}
        await _generations().update_one(mine, {"$set": {"folding": None}}, session=session)

    await in_transaction(work, held.session)


async def verified(held: Held, written: WrittenArchive) -> bool:
    """Whether all written rows are there, as a majority of the database knows.

    False when another part has put its own rows in their place, or the replica-set member that had them is lost. Taking
    the merge lock was acknowledged by a majority, and so were all writes before it.
    """
    mine = {"generationRef": held.generation, "archiveRef": held.archive}
    jobs = collection_of(documents.Job).with_options(read_concern=ReadConcern("majority"))
    return await jobs.count_documents(mine) == written.mine


async def merge_archive(held: Held, archive: Row, written: WrittenArchive) -> None:
    """Merge an archive, and end its part. Raises Lost."""
    clashes = Clashes(held, archive)
    try:
        for rows in written.clashes.batches(AT_ONCE):
            await clashes.settle(rows)
        await _count_in(held, archive, written, clashes.dropped)
    finally:
        clashes.dropped.close()


async def _count_in(held: Held, archive: Row, written: WrittenArchive, dropped: Spool) -> None:
    number = 0
    for number, chunk in enumerate(written.chunks.pieces(), 1):
        await _add(held, number, decoded(chunk))
    totals = Totals(written.summary.jobs, RowsDigest(written.summary.digest))
    async for row in _told_twice(held, dropped):
        totals.take_out(row)
        if len(totals.cells) == TOGETHER:
            number += 1
            await _add(held, number, totals.cells)
            totals.cells = []
    await succeed(held, archive, _ended(written.summary, totals))


def _ended(summary: Summary, totals: Totals) -> Ended:
    return Ended(summary, totals.duplicates, totals.jobs - totals.duplicates, totals.digest, totals.cells)


async def _told_twice(held: Held, dropped: Spool) -> AsyncIterator[Row]:
    """Jobs of this archive that lose to others, and jobs of others that its own replaced; always in one order."""
    for piece in dropped.pieces():
        yield bson.decode(piece)
    replacing = {"archiveRef": held.archive, "generationRef": held.generation, "over": {"$exists": True}}
    found = collection_of(documents.Job).find(replacing, {"over": 1}, sort=[("_id", 1)], hint="over")
    async for row in found:
        yield row["over"]


async def _add(held: Held, number: int, cells: list[Cell]) -> None:
    """Add a chunk of usage, unless an earlier attempt did."""
    if number <= held.part["folded"]:
        return

    async def work(session: Session) -> None:
        await _change(held, {"folded": number - 1}, {"folded": number}, session)
        await add_usage(held.generation, cells, session)

    held.check()
    await in_transaction(work, held.session)


async def _change(held: Held, match: dict[str, Any], values: dict[str, Any], session: Session) -> None:
    parts = collection_of(documents.IngestionPart)
    changed = await parts.update_one(held.match | match, {"$set": values}, session=session)
    if not changed.matched_count:
        raise Lost(f"{held.id} was cancelled, or another worker has it.")


def _generations() -> Any:
    return collection_of(documents.Generation)
