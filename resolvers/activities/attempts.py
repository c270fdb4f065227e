"""Ends of attempts that do not end their activity: it waits for the next attempt."""

from typing import Any

from pymongo.errors import DuplicateKeyError

import documents
from documents.activities.activity import ActivityStatus
from documents.base import now
from documents.mongo.transaction import Session
from resolvers.activities.state_machine import Transition, apply_transition
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
    kind: Document,
    match: Filter,
    changes: dict[str, Any],
    session: Session,
    transition: Transition = Transition.REQUEUE,
) -> Row | None:
    """Let the activity wait for its next attempt, and return it. Raises RetryTransaction when another transform came
    to wait meanwhile."""
    if kind is documents.Transform and await _has_waiting_transform_of_same_resource(match["_id"], session):
        # Only one transform of a resource may wait. This one is treated as if its lease had expired: the next claim
        # takes it over.
        running, at = match | {"status": ActivityStatus.RUNNING.value}, now()
        given_values = {name: value for name, value in changes.items() if value}
        update: Row = {"$set": {"availableAt": at} | given_values | {"leaseExpiresAt": at}}
        if transition is Transition.RELEASE_CLAIM:
            update["$inc"] = {"handed_back": 1}
        row: Row | None = await collection_of(kind).find_one_and_update(
            running, update, return_document=True, session=session
        )
        return row
    try:
        return await apply_transition(kind, transition, match, changes, now(), session)
    except DuplicateKeyError as duplicate:
        raise RetryTransaction from duplicate


async def _has_waiting_transform_of_same_resource(id: str, session: Session) -> bool:
    transforms = collection_of(documents.Transform)
    row = await transforms.find_one({"_id": id}, {"resourceRef": 1}, session=session)
    ready = {"resourceRef": row and row["resourceRef"], "status": ActivityStatus.READY.value}
    return await transforms.find_one(ready, {"_id": 1}, session=session) is not None
