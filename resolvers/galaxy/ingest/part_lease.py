"""Leases on parts of ingestions: claiming, extending, releasing and taking them over."""

import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pymongo
from pymongo.errors import PyMongoError

import documents
from documents.activities.activity import ActivityStatus
from documents.base import now
from documents.mongo.database import end_session_of, start_session
from documents.mongo.transaction import Session
from resolvers.activities.lease import expired_lease_filter
from resolvers.activities.state_machine import Transition, apply_transition
from resolvers.filters import Filter
from resolvers.reads.rows import Row, collection_of

READY, RUNNING = ActivityStatus.READY.value, ActivityStatus.RUNNING.value
LEASE_TTL = timedelta(seconds=30)
"""How long a worker may be silent before another takes its part over."""
INGESTION_UPDATE_TIMEOUT = 1.0
"""Seconds for updating an ingestion from its parts. That waits while another part ends, and leases must be extended in
time."""
RENEWALS_PER_LEASE = 6
"""How often a lease is extended within its length."""


class LeaseLost(Exception):
    """The part no longer belongs to this worker: it was cancelled, or the lease expired and another worker has it."""


@dataclass
class ClaimedPart:
    """A part that a worker has claimed.

    `session` is the session of its transactions, and `done` counts the jobs that it has read. `expires_at` is a time of
    the monotonic clock. `has_no_pending_writes` says that none of its writes is still on its way to the database, and
    `is_ending` that it is about to end the part.
    """

    part: Row
    worker: str
    lease: timedelta
    expires_at: float
    session: Session
    done: int = 0
    has_no_pending_writes: bool = True
    is_ending: bool = False

    @property
    def id(self) -> str:
        id: str = self.part["_id"]
        return id

    @property
    def generation(self) -> str:
        """The id of the generation that the archive is for; a dry run has none."""
        id: str = self.part["generationRef"]
        return id

    @property
    def archive(self) -> str:
        id: str = self.part["archiveRef"]
        return id

    @property
    def match(self) -> Filter:
        """A filter that finds the part while it is this worker's."""
        return {"_id": self.id, "attempt": self.part["attempt"], "status": RUNNING}

    def check(self) -> None:
        """Raise LeaseLost when the lease may have expired, so that a worker that was suspended writes nothing."""
        if time.monotonic() >= self.expires_at:
            raise LeaseLost(f"{self.id}: the lease was not extended in time.")


async def oldest_expired(match: Filter) -> Row | None:
    """The oldest part whose worker went silent, among those that `match` finds."""
    part: Row | None = await _parts().find_one(
        {"status": RUNNING} | expired_lease_filter(now()) | match, sort=[("_id", 1)]
    )
    return part


async def claim_ready(worker: str, lease: timedelta, match: Filter) -> ClaimedPart | None:
    """Lease the oldest waiting part to the worker; None when none waits."""
    since = time.monotonic()
    return await _claim({"status": READY} | match, worker, lease, since)


async def end_session(expired: Row) -> None:
    """Abort pending writes of a silent worker for a part."""
    if expired.get("session") is not None:
        await end_session_of(expired["session"])


async def take_over(expired: Row, worker: str, lease: timedelta) -> ClaimedPart | None:
    """Lease an expired part to the worker; None when another worker was faster."""
    since = time.monotonic()
    match = {"_id": expired["_id"], "attempt": expired["attempt"], "status": RUNNING} | expired_lease_filter(now())
    return await _claim(match, worker, lease, since)


async def _claim(match: Filter, worker: str, lease: timedelta, since: float) -> ClaimedPart | None:
    at, session = now(), start_session()
    leased = {"worker": worker, "leaseExpiresAt": at + lease}
    values = leased | {"status": RUNNING, "session": session.session_id, "done": 0}
    part = await _parts().find_one_and_update(
        match, {"$set": values, "$inc": {"attempt": 1}}, sort=[("_id", 1)], return_document=True
    )
    if part is None:
        await session.end_session()
        return None
    claim = ClaimedPart(part, worker, lease, since + lease.total_seconds(), session)
    await _update_ingestion(claim, leased)
    return claim


async def extend_lease(claim: ClaimedPart) -> None:
    """Extend the lease on a part, and report its progress. Raises LeaseLost."""
    since, expires = time.monotonic(), now() + claim.lease
    update = await _parts().update_one(claim.match, {"$set": {"leaseExpiresAt": expires, "done": claim.done}})
    if not update.matched_count:
        raise LeaseLost(f"{claim.id} was cancelled, or another worker has it.")
    claim.expires_at = since + claim.lease.total_seconds()
    await _update_ingestion(claim, {"worker": claim.worker, "leaseExpiresAt": expires})


async def release(claim: ClaimedPart) -> bool:
    """Release a part without counting the attempt; returns whether it was still this worker's."""
    values = {"status": READY, "leaseExpiresAt": None, "worker": None, "session": None}
    update = await _parts().update_one(claim.match, {"$set": values, "$inc": {"handed_back": 1}})
    return bool(update.modified_count)


async def abandon(claim: ClaimedPart, error: dict[str, Any], delay: timedelta) -> None:
    """Give up a failed attempt: after a delay another one begins."""
    # The session is reused for other parts.
    values = {"leaseExpiresAt": now() + delay, "error": error, "session": None}
    await _parts().update_one(claim.match, {"$set": values})


async def _update_ingestion(claim: ClaimedPart, leased: dict[str, Any]) -> None:
    """Record on the ingestion which worker is active."""
    id, at = {"_id": claim.part["ingestionRef"]}, now()
    with suppress(PyMongoError), pymongo.timeout(INGESTION_UPDATE_TIMEOUT):
        update = await collection_of(documents.Ingestion).update_one(id | {"status": RUNNING}, {"$set": leased})
        if not update.matched_count:
            await apply_transition(documents.Ingestion, Transition.CLAIM, id, leased, at, None)


def _parts() -> Any:
    return collection_of(documents.IngestionPart)
