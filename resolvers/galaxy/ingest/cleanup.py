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
from resolvers.galaxy.ingest.part_lease import ClaimedPart
from resolvers.galaxy.statistics.aggregates import delete_usage
from resolvers.reads.rows import Row, collection_of

BATCH_SIZE = 2000


async def remove_orphaned_rows(worker: str, lease: timedelta) -> bool:
    """Remove some orphaned rows; returns whether there were any."""
    return await remove_leftovers({}, worker, lease) or await empty_discarded_generation()


async def remove_leftovers(match: Filter, worker: str, lease: timedelta) -> bool:
    """Remove the rows of a part with leftovers that `match` finds; returns whether there was one."""
    part = await _claim_leftovers(match, worker, lease)
    if part is None:
        return False
    ours = {"_id": part["_id"], "attempt": part["attempt"], "leftovers": True}
    rows = {"generationRef": part["generationRef"], "archiveRef": part["archiveRef"]}
    while await _extend_lease(ours, lease) and await _remove_batch(rows):
        pass
    await _parts().update_one(ours, {"$set": {"leftovers": False, "leaseExpiresAt": None}})
    return True


async def leftovers_filter(part: Row) -> Filter | None:
    """A filter for other parts of the archive and generation whose rows must be removed; None when there are none."""
    match = {
        "archiveRef": part["archiveRef"],
        "generationRef": part["generationRef"],
        "_id": {"$ne": part["_id"]},
        "leftovers": True,
    }
    return match if await _parts().find_one(match, {"_id": 1}) else None


async def allow_cleanup(claim: ClaimedPart) -> None:
    """Record that the worker of a cancelled part writes nothing any more."""
    cancelled = {"_id": claim.id, "attempt": claim.part["attempt"], "leftovers": True}
    await _parts().update_one(cancelled, {"$set": {"leaseExpiresAt": now()}})


async def empty_discarded_generation() -> bool:
    """Remove some rows of a discarded generation; returns whether there were any."""
    discarded = {"status": GenerationStatus.DISCARDED.value, "emptied": False}
    async for generation in collection_of(documents.Generation).find(discarded, {"_id": 1}):
        rows = {"generationRef": generation["_id"]}
        written: Filter = {"$or": [{"status": ActivityStatus.RUNNING.value}, {"leftovers": True}]}
        if await _parts().find_one(rows | written, {"_id": 1}):
            continue
        if not await _remove_batch(rows):
            await delete_usage(generation["_id"])
            change = {"$set": {"emptied": True}}
            await collection_of(documents.Generation).update_one({"_id": generation["_id"]}, change)
        return True
    return False


async def _claim_leftovers(match: Filter, worker: str, lease: timedelta) -> Row | None:
    """Claim the oldest part with rows to be removed that no worker writes or removes any more."""
    at = now()
    # A worker may go on with a cancelled part until its lease would have expired, unless it allowed the cleanup before.
    free = [{"leaseExpiresAt": {"$lte": at}}, {"leaseExpiresAt": None, "end_timestamp": {"$lte": at - lease}}]
    values = {"worker": worker, "leaseExpiresAt": at + lease}
    claimed: Row | None = await _parts().find_one_and_update(
        {"leftovers": True, "$or": free} | match,
        {"$set": values, "$inc": {"attempt": 1}},
        sort=[("_id", 1)],
        return_document=True,
    )
    return claimed


async def _extend_lease(ours: Filter, lease: timedelta) -> bool:
    update = await _parts().update_one(ours, {"$set": {"leaseExpiresAt": now() + lease}})
    return bool(update.matched_count)


async def _remove_batch(rows: Filter) -> bool:
    """Remove some of these rows; returns whether there were any."""
    jobs = collection_of(documents.Job)
    ids = [row["_id"] async for row in jobs.find(rows, {"_id": 1}, limit=BATCH_SIZE, batch_size=BATCH_SIZE + 1)]
    if ids:
        # By id and by archive: another archive may have put its own row there meanwhile.
        await jobs.delete_many({"_id": {"$in": ids}} | rows)
    return bool(ids)


def _parts() -> Any:
    return collection_of(documents.IngestionPart)
