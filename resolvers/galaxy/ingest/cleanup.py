"""Removing orphaned rows: of archives that were refused or cancelled, and of discarded generations.

Only one worker at a time removes the rows of a part, under a lease, and no other part of the same archive begins to
write before that is done.
"""

from datetime import timedelta
from typing import Any

import documents
from documents.activities.activity import ActivityStatus
from documents.base import now
from documents.galaxy.generation import GenerationStatus
from resolvers.filters import Filter
from resolvers.galaxy.ingest.part_lease import Held
from resolvers.galaxy.statistics.aggregates import forget_usage
from resolvers.reads.rows import Row, collection_of

AT_ONCE = 2000


async def remove_some(worker: str, lease: timedelta) -> bool:
    """Remove some orphaned rows; returns whether there were any."""
    return await remove_leftovers({}, worker, lease) or await empty_discarded()


async def remove_leftovers(match: Filter, worker: str, lease: timedelta) -> bool:
    """Remove the rows of a part with leftovers that `match` finds; returns whether there was one."""
    part = await _claimed(match, worker, lease)
    if part is None:
        return False
    mine = {"_id": part["_id"], "attempt": part["attempt"], "leftovers": True}
    rows = {"generationRef": part["generationRef"], "archiveRef": part["archiveRef"]}
    while await _kept(mine, lease) and await _remove(rows):
        pass
    await _parts().update_one(mine, {"$set": {"leftovers": False, "leaseExpiresAt": None}})
    return True


async def leaves_rows(part: Row) -> Filter | None:
    """A filter for parts of the same archive and generation with rows to be removed; None when there are none."""
    others = {
        "archiveRef": part["archiveRef"],
        "generationRef": part["generationRef"],
        "_id": {"$ne": part["_id"]},
        "leftovers": True,
    }
    return others if await _parts().find_one(others, {"_id": 1}) else None


async def release(held: Held) -> None:
    """Record that the worker of a cancelled part writes nothing any more."""
    cancelled = {"_id": held.id, "attempt": held.part["attempt"], "leftovers": True}
    await _parts().update_one(cancelled, {"$set": {"leaseExpiresAt": now()}})


async def empty_discarded() -> bool:
    """Remove some rows of a discarded generation; returns whether there were any."""
    discarded = {"status": GenerationStatus.DISCARDED.value, "emptied": False}
    async for generation in collection_of(documents.Generation).find(discarded, {"_id": 1}):
        of_it = {"generationRef": generation["_id"]}
        written: Filter = {"$or": [{"status": ActivityStatus.RUNNING.value}, {"leftovers": True}]}
        if await _parts().find_one(of_it | written, {"_id": 1}):
            continue
        if not await _remove(of_it):
            await forget_usage(generation["_id"])
            emptied = {"$set": {"emptied": True}}
            await collection_of(documents.Generation).update_one({"_id": generation["_id"]}, emptied)
        return True
    return False


async def _claimed(match: Filter, worker: str, lease: timedelta) -> Row | None:
    """The oldest part with rows to be removed that no worker writes or removes any more."""
    at = now()
    # A worker may go on with a cancelled part until its lease would have lapsed, unless it released the part before.
    free = [{"leaseExpiresAt": {"$lte": at}}, {"leaseExpiresAt": None, "end_timestamp": {"$lte": at - lease}}]
    values = {"worker": worker, "leaseExpiresAt": at + lease}
    claimed: Row | None = await _parts().find_one_and_update(
        {"leftovers": True, "$or": free} | match,
        {"$set": values, "$inc": {"attempt": 1}},
        sort=[("_id", 1)],
        return_document=True,
    )
    return claimed


async def _kept(mine: Filter, lease: timedelta) -> bool:
    kept = await _parts().update_one(mine, {"$set": {"leaseExpiresAt": now() + lease}})
    return bool(kept.matched_count)


async def _remove(rows: Filter) -> bool:
    """Remove some of these rows; returns whether there were any."""
    jobs = collection_of(documents.Job)
    found = [row["_id"] async for row in jobs.find(rows, {"_id": 1}, limit=AT_ONCE, batch_size=AT_ONCE + 1)]
    if found:
        # By id and by archive: another archive may have put its own row there meanwhile.
        await jobs.delete_many({"_id": {"$in": found}} | rows)
    return bool(found)


def _parts() -> Any:
    return collection_of(documents.IngestionPart)
