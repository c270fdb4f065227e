"""Writing the rows of one archive: as they come, several batches at a time, each row once.

Rows are acknowledged by one member of the replica set while there are many of them. Before any is counted, the fold
asks a majority how many there are (folding.verified), so that none can be lost behind its back.
"""

import asyncio

from bson.raw_bson import RawBSONDocument
from pymongo import WriteConcern
from pymongo.errors import BulkWriteError

import documents
from resolvers.fetch import collection_of
from resolvers.ingest.duplicates import duplicates_in
from resolvers.ingest.ingestion.parts import Held
from resolvers.ingest.ingestion.spool import Spool

IN_FLIGHT = 3
"""Batches that are being written at a time, while the reader goes on."""
DRAINED_WITHIN = 3.0


class RowWriter:
    """Writes rows. Those that another archive has as well are set aside in `clashes`; all others are `mine`."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self._jobs = collection_of(documents.Job).with_options(write_concern=WriteConcern(1))
        self._writing: set[asyncio.Task[None]] = set()
        self.clashes = Spool()
        self.mine = 0

    async def write(self, rows: list[bytes]) -> None:
        """Have rows written; return as soon as more may come. Raises Lost, and what the writing of others raised."""
        self._held.check()
        while len(self._writing) >= IN_FLIGHT:
            await self._some_written(asyncio.FIRST_COMPLETED)
        self._writing.add(asyncio.create_task(self._insert(rows)))

    async def finish(self) -> None:
        """Return when everything is written."""
        while self._writing:
            await self._some_written(asyncio.ALL_COMPLETED)

    async def drain(self) -> bool:
        """Wait for what is on its way, whatever becomes of it; whether it is known that nothing is any more."""
        if not self._writing:
            return True
        done, waiting = await asyncio.wait(self._writing, timeout=DRAINED_WITHIN)
        for task in waiting:
            task.cancel()
        return not waiting and all(task.exception() is None for task in done)

    async def _some_written(self, when: str) -> None:
        done, self._writing = await asyncio.wait(self._writing, return_when=when)
        for task in done:
            task.result()

    async def _insert(self, rows: list[bytes]) -> None:
        try:
            await self._jobs.insert_many([RawBSONDocument(row) for row in rows], ordered=False)
        except BulkWriteError as error:
            refused = _duplicates(error)
            self.mine += len(rows) - len(refused)
            await self._look_at(refused)
            return
        self.mine += len(rows)

    async def _look_at(self, refused: dict[str, bytes]) -> None:
        """Tell the rows that an earlier attempt wrote from those that another archive has."""
        wanted = {"_id": {"$in": list(refused)}, "archiveRef": self._held.archive}
        mine = {row["_id"] async for row in self._jobs.find(wanted, {"_id": 1}, batch_size=len(refused) + 1)}
        self.mine += len(mine)
        for id, row in refused.items():
            if id not in mine:
                self.clashes.add(row)


def _duplicates(error: BulkWriteError) -> dict[str, bytes]:
    """The rows that were there already, by id. Raises the error when anything else is in it."""
    return {one["keyValue"]["_id"]: one["op"].raw for one in duplicates_in(error)}
