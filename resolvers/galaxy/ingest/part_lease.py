"""Leases on parts of ingestions: claimed, extended, handed back, lost."""

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
from resolvers.activities.state_machine import Move, lapsed, move
from resolvers.filters import Filter
from resolvers.reads.rows import Row, collection_of

READY, RUNNING = ActivityStatus.READY.value, ActivityStatus.RUNNING.value
LEASE = timedelta(seconds=30)
"""How long a worker may be silent before another takes its part over."""
TOLD_WITHIN = 1.0
"""Seconds for updating an ingestion from its parts. That waits while another part ends, and leases must be extended in
time."""
RENEWALS = 6
"""How often a lease is extended within its length."""


class Lost(Exception):
    """The part no longer belongs to this worker: it was cancelled, or the lease lapsed and another worker has it."""


@dataclass
class Held:
    """A part that a worker has claimed.

    `session` is the session of its transactions. `done` counts the jobs that it has read. `quiet` says that none of its
    writes is still on its way to the database, and `ending` that it is about to end the part.
    """

    part: Row
    worker: str
    lease: timedelta
    until: float
    session: Session
    done: int = 0
    quiet: bool = True
    ending: bool = False

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
        """Raise Lost when the lease may have lapsed, so that a worker that was suspended writes nothing."""
        if time.monotonic() >= self.until:
            raise Lost(f"{self.id}: the lease was not extended in time.")


async def oldest_lapsed(match: Filter) -> Row | None:
    """The oldest part whose worker went silent, among those that `match` finds."""
    found: Row | None = await _parts().find_one({"status": RUNNING} | lapsed(now()) | match, sort=[("_id", 1)])
    return found


async def claim_ready(worker: str, lease: timedelta, match: Filter) -> Held | None:
    """Lease the oldest waiting part to the worker; None when none waits."""
    since = time.monotonic()
    return await _claimed({"status": READY} | match, worker, lease, since)


async def end_session(lapsed_part: Row) -> None:
    """Abort pending writes of a silent worker for a part."""
    if lapsed_part.get("session") is not None:
        await end_session_of(lapsed_part["session"])


async def take_over(seen: Row, worker: str, lease: timedelta) -> Held | None:
    """Lease a lapsed part to the worker; None when another worker was faster."""
    since = time.monotonic()
    match = {"_id": seen["_id"], "attempt": seen["attempt"], "status": RUNNING} | lapsed(now())
    return await _claimed(match, worker, lease, since)


async def _claimed(match: Filter, worker: str, lease: timedelta, since: float) -> Held | None:
    at, session = now(), start_session()
    leased = {"worker": worker, "leaseExpiresAt": at + lease}
    values = leased | {"status": RUNNING, "session": session.session_id, "done": 0}
    claimed = await _parts().find_one_and_update(
        match, {"$set": values, "$inc": {"attempt": 1}}, sort=[("_id", 1)], return_document=True
    )
    if claimed is None:
        await session.end_session()
        return None
    held = Held(claimed, worker, lease, since + lease.total_seconds(), session)
    await _tell_ingestion(held, leased)
    return held


async def extend(held: Held) -> None:
    """Extend the lease on a part, and report its progress. Raises Lost."""
    since, expires = time.monotonic(), now() + held.lease
    kept = await _parts().update_one(held.match, {"$set": {"leaseExpiresAt": expires, "done": held.done}})
    if not kept.matched_count:
        raise Lost(f"{held.id} was cancelled, or another worker has it.")
    held.until = since + held.lease.total_seconds()
    await _tell_ingestion(held, {"worker": held.worker, "leaseExpiresAt": expires})


async def hand_back(held: Held) -> bool:
    """Hand a part back without counting the attempt; returns whether it was still this worker's."""
    freed = {"status": READY, "leaseExpiresAt": None, "worker": None, "session": None}
    handed = await _parts().update_one(held.match, {"$set": freed, "$inc": {"handed_back": 1}})
    return bool(handed.modified_count)


async def let_lapse(held: Held, error: dict[str, Any], delay: timedelta) -> None:
    """Give up a failed attempt: after a delay another one begins."""
    # The session is reused for other parts.
    values = {"leaseExpiresAt": now() + delay, "error": error, "session": None}
    await _parts().update_one(held.match, {"$set": values})


async def _tell_ingestion(held: Held, leased: dict[str, Any]) -> None:
    """Record on the ingestion which worker is active, and that it is."""
    id, at = {"_id": held.part["ingestionRef"]}, now()
    with suppress(PyMongoError), pymongo.timeout(TOLD_WITHIN):
        told = await collection_of(documents.Ingestion).update_one(id | {"status": RUNNING}, {"$set": leased})
        if not told.matched_count:
            await move(documents.Ingestion, Move.CLAIM, id, leased, at, None)


def _parts() -> Any:
    return collection_of(documents.IngestionPart)
