"""What becomes of activities whose workers are silent for longer than they said."""

from datetime import datetime
from typing import Any

from pymongo.errors import DuplicateKeyError

import documents
from documents.activity import ActivityStatus
from documents.base import kind_of, now
from documents.database import in_transaction
from resolvers.fetch import Row, collection_of
from resolvers.filters import Filter
from resolvers.links import Document
from resolvers.runs import LEASE_LAPSED, MOST_ATTEMPTS, Move, an_error, carry_on, lapsed, move, tries
from resolvers.writing import Session

KINDS: tuple[Document, ...] = (documents.Step, documents.Transform)
MOST_AT_ONCE = 200
"""How many lapsed activities of a kind one look takes care of; the next look comes soon."""


async def return_lapsed() -> int:
    """How many activities were taken from silent workers, to be claimed again or, after the last attempt, FAILED."""
    at, taken = now(), 0
    running = {"status": ActivityStatus.RUNNING.value} | lapsed(at)
    for kind in KINDS:
        seen = {"attempt": 1, "handed_back": 1, "leaseExpiresAt": 1}
        found = collection_of(kind).find(running, seen, limit=MOST_AT_ONCE)
        for row in await found.to_list():
            last = tries(row) >= MOST_ATTEMPTS
            taken += await (give_up(row, at) if last else _give_back(row, at))
    return taken


async def give_up(row: Row, at: datetime) -> bool:
    """Whether a lapsed activity was ended, and what waited for it: it has had all its attempts."""

    async def work(session: Session) -> bool:
        failed = await move(_kind(row), Move.FAIL, _as_seen(row, at), _lost(row, retryable=False), at, session)
        if failed is not None and "executionRef" in failed:
            await carry_on(failed, session)
        return failed is not None

    return await in_transaction(work)


async def _give_back(row: Row, at: datetime) -> bool:
    try:
        waits = await move(_kind(row), Move.GIVE_BACK, _as_seen(row, at), _lost(row, retryable=True), at, None)
    except DuplicateKeyError:
        # Another transform of the resource waits, and one may. This one is claimed as it is, without waiting first.
        return False
    return waits is not None


def _kind(row: Row) -> Document:
    return documents.Transform if kind_of(row["_id"]) == documents.Transform.kind else documents.Step


def _as_seen(row: Row, at: datetime) -> Filter:
    return {"_id": row["_id"], "attempt": row["attempt"]} | lapsed(at)


def _lost(row: Row, *, retryable: bool) -> dict[str, Any]:
    silent = f"Attempt {tries(row)} of {MOST_ATTEMPTS}: its worker was silent for longer than its lease."
    return {"error": an_error(LEASE_LAPSED, silent, retryable=retryable)}
