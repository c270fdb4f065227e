"""Copying a digital twin's owner and readers to everything below it, so that no read has to look up the twin."""

from typing import Any

import documents
from documents.mongo.transaction import Session
from resolvers.filters import Filter
from resolvers.provenance.external_data.rights import add_owner, data_of_steps, publish_data
from resolvers.reads.relations import Document
from resolvers.reads.rows import Row, collection_of
from resolvers.user_errors import LimitExceeded

MAX_WORK = 250_000
"""Work that one transaction does below a twin, in units of some 40 µs of database time: it has 30 seconds."""
WORK_PER_ROW, WORK_PER_OUTPUT = 2, 8
"""Units for changing a row, and an output, which has most indexes. Each added or removed user costs one more."""
EXECUTION_BATCH_SIZE = 1_000


def readers_of(row: Row) -> list[str]:
    """The ids of the users who share the row's twin."""
    return row.get("readerRefs") or []


async def copy_rights(twin_id: str, rights: dict[str, Any], session: Session, *, people: int = 0) -> None:
    """Write these rights, by stored name, to everything below a twin. Outputs are not `public` by their twin.

    Data elsewhere that its steps used becomes public with them, and stays so. A new owner sees it as the old one did.
    `people` is the number of users added to or removed from each row. Raises LimitExceeded when that is too much for
    one transaction.
    """
    writes = _RightsWrites(people, session)
    of_twin: Filter = {"digitalTwinRef": twin_id}
    await writes.give(documents.Execution, of_twin, rights)
    await writes.give(documents.Result, of_twin, rights)
    of_executions: Filter = {"executionRef": {"$in": await _ids(documents.Execution, of_twin, session)}}
    await writes.share_data(of_executions, rights)
    await writes.give(documents.Step, of_executions, rights)
    if of_outputs := {name: value for name, value in rights.items() if name != "public"}:
        steps = await _ids(documents.Step, of_executions, session)
        await writes.give(documents.Output, {"stepRef": {"$in": steps}}, of_outputs)


async def hide_below(twin_id: str) -> None:
    """Make everything below a twin private, without a limit. Each write takes effect at once, without a transaction."""
    executions = collection_of(documents.Execution)
    of_twin: Filter = {"digitalTwinRef": twin_id}
    private = {"$set": {"public": False}}
    cursor = executions.find(of_twin, {"_id": 1}, batch_size=EXECUTION_BATCH_SIZE)
    while ids := [row["_id"] for row in await cursor.to_list(EXECUTION_BATCH_SIZE)]:
        await collection_of(documents.Step).update_many({"executionRef": {"$in": ids}, "public": True}, private)
    await collection_of(documents.Result).update_many(of_twin | {"public": True}, private)
    await executions.update_many(of_twin | {"public": True}, private)


class _RightsWrites:
    """Writes to rows below a twin, within the limit of one transaction."""

    def __init__(self, people: int, session: Session) -> None:
        self._work_left = MAX_WORK
        self._people = people
        self._session = session

    async def give(self, document: Document, match: Filter, rights: dict[str, Any]) -> None:
        """Give the rights to all rows that match. Raises LimitExceeded before it writes to too many."""
        rows = collection_of(document)
        work_per_row = self._people + (WORK_PER_OUTPUT if document is documents.Output else WORK_PER_ROW)
        limit = self._work_left // work_per_row
        self._spend(await rows.count_documents(match, limit=limit + 1, session=self._session), work_per_row)
        await rows.update_many(match, {"$set": rights}, session=self._session)

    async def share_data(self, steps: Filter, rights: dict[str, Any]) -> None:
        """Let those see the data elsewhere that these steps used who are about to be given rights to the steps."""
        if not rights.get("public") and "ownerRef" not in rights:
            return
        limit = self._work_left // WORK_PER_ROW
        ids_by_owner = await data_of_steps(steps, limit + 1, self._session)
        self._spend(sum(map(len, ids_by_owner.values())), WORK_PER_ROW)
        for owner_ref, ids in ids_by_owner.items():
            if rights.get("public"):
                await publish_data(ids, owner_ref, self._session)
            if "ownerRef" in rights:
                await add_owner(ids, owner_ref, rights["ownerRef"], self._session)

    def _spend(self, count: int, work_per_row: int) -> None:
        """Count the work for so many rows. Raises LimitExceeded when they are too many."""
        if count * work_per_row > self._work_left:
            advice = " Name fewer people in one call." if self._people > 1 else ""
            raise LimitExceeded(f"Too many rows follow the digital twin to change them all at once.{advice}")
        self._work_left -= count * work_per_row


async def _ids(document: Document, match: Filter, session: Session) -> list[str]:
    return [row["_id"] async for row in collection_of(document).find(match, {"_id": 1}, session=session)]
