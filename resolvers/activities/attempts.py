"""Ends of attempts that do not end their activity: it waits for the next attempt."""

from typing import Any

from pymongo.errors import DuplicateKeyError

import documents
from documents.activities.activity import ActivityStatus
from documents.base import now
from documents.mongo.transaction import Session
from resolvers.activities.state_machine import Move, move
from resolvers.filters import Filter
from resolvers.reads.relations import Document
from resolvers.reads.rows import Row, collection_of
from resolvers.writes.transaction import RetryTransaction


async def running_attempt(kind: Document, match: Filter, session: Session) -> Row | None:
    """The running activity that `match` finds, None when there is none."""
    running = match | {"status": ActivityStatus.RUNNING.value}
    row: Row | None = await collection_of(kind).find_one(running, session=session)
    return row


async def end_attempt(
    kind: Document, match: Filter, changes: dict[str, Any], session: Session, how: Move = Move.REQUEUE
) -> Row | None:
    """Let the activity wait for its next attempt, and return it. Raises RetryTransaction when another transform came
    to wait meanwhile."""
    if kind is documents.Transform and await _another_waits(match["_id"], session):
        # Only one transform of a resource may wait. This one is treated as if its lease had lapsed: the next claim
        # takes it over.
        running = match | {"status": ActivityStatus.RUNNING.value}
        at = now()
        lapsed: Row = {"$set": {"availableAt": at} | {k: v for k, v in changes.items() if v} | {"leaseExpiresAt": at}}
        if how is Move.RELEASE_CLAIM:
            lapsed["$inc"] = {"handed_back": 1}
        row: Row | None = await collection_of(kind).find_one_and_update(
            running, lapsed, return_document=True, session=session
        )
        return row
    try:
        return await move(kind, how, match, changes, now(), session)
    except DuplicateKeyError as duplicate:
        raise RetryTransaction from duplicate


async def _another_waits(id: str, session: Session) -> bool:
    transforms = collection_of(documents.Transform)
    this = await transforms.find_one({"_id": id}, {"resourceRef": 1}, session=session)
    ready = {"resourceRef": this and this["resourceRef"], "status": ActivityStatus.READY.value}
    return await transforms.find_one(ready, {"_id": 1}, session=session) is not None
