"""Lapsed leases: activities whose workers were silent for longer than they announced."""

from datetime import datetime
from typing import Any

from pymongo.errors import DuplicateKeyError

import documents
from documents.activities.activity import ActivityStatus
from documents.base import kind_of, now
from documents.mongo.transaction import Session, in_transaction
from resolvers.activities.retry import available_from
from resolvers.activities.state_machine import (
    LEASE_LAPSED,
    MOST_ATTEMPTS,
    Move,
    activity_error,
    lapsed,
    move,
    propagate,
    tries,
)
from resolvers.filters import Filter
from resolvers.reads.relations import Document
from resolvers.reads.rows import Row, collection_of

KINDS: tuple[Document, ...] = (documents.Step, documents.Transform)
MOST_AT_ONCE = 200
"""Lapsed activities of a kind handled in one pass; the next pass comes soon."""


async def requeue_expired() -> int:
    """Take activities from silent workers, to be claimed again or, after the last attempt, FAILED; returns how many."""
    at, taken = now(), 0
    running = {"status": ActivityStatus.RUNNING.value} | lapsed(at)
    for kind in KINDS:
        seen = {"attempt": 1, "handed_back": 1, "leaseExpiresAt": 1, "availableAt": 1}
        found = collection_of(kind).find(running, seen, limit=MOST_AT_ONCE)
        for row in await found.to_list():
            last = tries(row) >= MOST_ATTEMPTS
            taken += await (give_up(row, at) if last else _give_back(row, at))
    return taken


async def give_up(row: Row, at: datetime) -> bool:
    """End a lapsed activity that has had all its attempts, and cancel its dependents; returns whether it was ended."""

    async def work(session: Session) -> bool:
        failed = await move(_kind(row), Move.FAIL, _as_seen(row, at), _lost(row, retryable=False), at, session)
        if failed is not None and "executionRef" in failed:
            await propagate(failed, session)
        return failed is not None

    return await in_transaction(work)


async def _give_back(row: Row, at: datetime) -> bool:
    changes = _lost(row, retryable=True) | {"availableAt": available_from(row)}
    try:
        waits = await move(_kind(row), Move.REQUEUE, _as_seen(row, at), changes, at, None)
    except DuplicateKeyError:
        # Another transform of the resource waits, and only one may. This one is claimed directly, without waiting
        # first.
        return False
    return waits is not None


def _kind(row: Row) -> Document:
    return documents.Transform if kind_of(row["_id"]) == documents.Transform.kind else documents.Step


def _as_seen(row: Row, at: datetime) -> Filter:
    return {"_id": row["_id"], "attempt": row["attempt"]} | lapsed(at)


def _lost(row: Row, *, retryable: bool) -> dict[str, Any]:
    silent = f"Attempt {tries(row)} of {MOST_ATTEMPTS}: its worker was silent for longer than its lease."
    return {"error": activity_error(LEASE_LAPSED, silent, retryable=retryable)}
