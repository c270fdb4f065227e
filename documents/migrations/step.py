"""A step from one schema version to the next, and the ways in which it writes."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo import DeleteOne, ReplaceOne, UpdateOne, WriteConcern
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.read_concern import ReadConcern

from documents.migrations.schema_version import Lock

BATCH_SIZE = 1000
"""Rows written in one transaction."""

Database = AsyncDatabase[dict[str, Any]]
Update = dict[str, Any] | list[dict[str, Any]]
Write = UpdateOne | ReplaceOne[dict[str, Any]] | DeleteOne
Change = Callable[[dict[str, Any], AsyncClientSession], Awaitable[Sequence[Write]]]
"""Returns the writes in a row's collection that change the row."""
ReportProgress = Callable[[str, int, int], None]
"""Called with a description of the work, the number of its parts that are done, and their total."""


@dataclass(frozen=True)
class Step:
    """The step that leads to `version` from the version before it.

    `description` is a sentence for the operator. `count` returns how many rows the step has yet to change, and writes
    nothing. `run` may be called again after it was killed anywhere, with `Work.position` where its last batch ended.
    """

    version: int
    description: str
    count: Callable[[Database], Awaitable[int]]
    run: Callable[["Work"], Awaitable[None]]


class Work:
    """A step under way: its database, and its position there."""

    def __init__(self, lock: Lock, step: Step, position: dict[str, Any], total: int, report: ReportProgress) -> None:
        self.database = lock.database
        self.position = position
        """The end of the last committed batch, such as the last id by collection; empty at the beginning."""
        self._lock = lock
        self._step = step
        self._total = total
        self._done = 0
        self._report = report

    async def update(self, collection: str, where: dict[str, Any], update: Update) -> None:
        """Update the rows that match, in the order of their ids and in batches. The update must make `where` false."""
        while ids := await self._next_ids(collection, where, collection, BATCH_SIZE):

            async def write(session: AsyncClientSession, ids: list[Any] = ids) -> None:
                batch = {"$and": [{"_id": {"$in": ids}}, where]}
                await self.database[collection].update_many(batch, update, session=session)

            await self.commit({**self.position, collection: ids[-1]}, len(ids), write)

    async def rewrite(
        self, collection: str, where: dict[str, Any], change: Change, *, part: str = "", batch_size: int | None = None
    ) -> None:
        """Apply the writes that `change` returns for each row that matches, in the order of their ids and in batches.

        Each row is changed once, so the change need not make `where` false. Rows that it inserts must not match. `part`
        distinguishes two passes over one collection, `batch_size` makes batches smaller than usual.
        """
        part = part or collection
        while ids := await self._next_ids(collection, where, part, min(BATCH_SIZE, batch_size or BATCH_SIZE)):

            async def write(session: AsyncClientSession, ids: list[Any] = ids) -> None:
                rows = self.database[collection].find({"$and": [{"_id": {"$in": ids}}, where]}, session=session)
                operations = [operation for row in await rows.to_list() for operation in await change(row, session)]
                if operations:
                    await self.database[collection].bulk_write(operations, session=session)

            await self.commit({**self.position, part: ids[-1]}, len(ids), write)

    async def commit(
        self, position: dict[str, Any], rows: int, write: Callable[[AsyncClientSession], Awaitable[None]]
    ) -> None:
        """Write a batch of so many rows and the position after it, in one transaction.

        A batch is written once, however often the step is killed. `write` is repeated on write conflicts. Raises
        LockLost where another process has taken over; nothing is written then.
        """

        async def work(session: AsyncClientSession) -> None:
            await self._lock.record_position(self._step.version, position, session)
            await write(session)

        async with self.database.client.start_session() as session:
            await session.with_transaction(
                work, read_concern=ReadConcern("snapshot"), write_concern=WriteConcern("majority")
            )
        self.position = position
        self._done += rows
        self._report(self._step.description, self._done, max(self._done, self._total))

    async def _next_ids(self, collection: str, where: dict[str, Any], part: str, limit: int) -> list[Any]:
        """The ids of the next batch of rows, after the position of a part."""
        remaining = {"_id": {"$gt": self.position[part]}} if part in self.position else {}
        rows = self.database[collection].find({"$and": [remaining, where]}, {"_id": 1}, sort=[("_id", 1)])
        return [row["_id"] async for row in rows.limit(limit)]
