"""Writing the rows of one archive: as they come, several batches at a time, each row once.

For speed, rows are acknowledged by one member of the replica set only. Before any is counted, the merge asks a majority
how many there are (`merge`), so that none is lost unnoticed.
"""

import asyncio
from collections import deque

from bson.raw_bson import RawBSONDocument
from pymongo import WriteConcern
from pymongo.errors import BulkWriteError

import documents
from resolvers.galaxy.ingest.part_lease import ClaimedPart
from resolvers.galaxy.ingest.spool import Spool
from resolvers.reads.rows import collection_of
from resolvers.writes.unique_index_errors import duplicate_key_errors

CONCURRENCY = 3
"""Batches that are being written at a time, while the parser goes on."""
DRAIN_TIMEOUT = 3.0


class RowWriter:
    """Writes rows. Rows that another archive has as well are set aside in `duplicates`; all others are `inserted`.

    Duplicates are in the order in which the rows came, so that another attempt makes the same chunks of them.
    """

    def __init__(self, claim: ClaimedPart) -> None:
        self._claim = claim
        self._jobs = collection_of(documents.Job).with_options(write_concern=WriteConcern(1))
        self._writing: deque[asyncio.Task[list[bytes]]] = deque()
        self.duplicates = Spool()
        self.inserted = 0

    async def write(self, rows: list[bytes]) -> None:
        """Start writing rows; returns when more may come. Raises LeaseLost, and errors of earlier writes."""
        self._claim.check()
        while len(self._writing) >= CONCURRENCY:
            await self._wait_for_oldest()
        self._writing.append(asyncio.create_task(self._insert(rows)))

    async def finish(self) -> None:
        """Wait until everything is written."""
        while self._writing:
            await self._wait_for_oldest()

    async def drain(self) -> bool:
        """Wait for pending writes, whatever their outcome; returns whether none is pending for certain."""
        if not self._writing:
            return True
        done, waiting = await asyncio.wait(self._writing, timeout=DRAIN_TIMEOUT)
        for task in waiting:
            task.cancel()
        return not waiting and all(task.exception() is None for task in done)

    async def _wait_for_oldest(self) -> None:
        # The task itself is not awaited: it would be cancelled with its caller, and its writes would be unknown.
        await asyncio.wait([self._writing[0]])
        for row in self._writing.popleft().result():
            self.duplicates.add(row)

    async def _insert(self, rows: list[bytes]) -> list[bytes]:
        """Insert rows; returns those that could not be inserted because another archive has them."""
        try:
            await self._jobs.insert_many([RawBSONDocument(row) for row in rows], ordered=False)
        except BulkWriteError as error:
            refused = _duplicates_by_id(error)
            self.inserted += len(rows) - len(refused)
            return await self._rows_of_others(refused)
        self.inserted += len(rows)
        return []

    async def _rows_of_others(self, refused: dict[str, bytes]) -> list[bytes]:
        """Separate rows of an earlier attempt from rows of other archives; returns the latter."""
        match = {"_id": {"$in": list(refused)}, "archiveRef": self._claim.archive}
        own = {row["_id"] async for row in self._jobs.find(match, {"_id": 1}, batch_size=len(refused) + 1)}
        self.inserted += len(own)
        return [row for id, row in refused.items() if id not in own]


def _duplicates_by_id(error: BulkWriteError) -> dict[str, bytes]:
    """The rows that existed already, by id. Raises the error when it has any other cause."""
    return {write["keyValue"]["_id"]: write["op"].raw for write in duplicate_key_errors(error)}
