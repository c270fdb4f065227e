"""Parts of ingestions as their workers see them: claimed, kept, handed back, lost."""

import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pymongo
from pymongo.errors import PyMongoError

import documents
from documents.activity import ActivityStatus
from documents.base import now
from documents.database import end_session_of, start_session
from resolvers.fetch import Row, collection_of
from resolvers.filters import Filter
from resolvers.runs import Move, lapsed, move
from resolvers.writing import Session

READY, RUNNING = ActivityStatus.READY.value, ActivityStatus.RUNNING.value
LEASE = timedelta(seconds=30)
"""How long a worker may be silent before another takes its part over."""
TOLD_WITHIN = 1.0
"""Seconds in which an ingestion is told of its parts. While another part ends it cannot be, and leases are pressing."""
RENEWALS = 6
"""How often a lease is extended in the time that it lasts."""


class Lost(Exception):
    """The part is not this worker's any more: it was cancelled, or the lease lapsed and another has it."""


@dataclass
class Held:
    """A part that a worker has claimed.

    `session` is what its transactions are of. `done` counts the jobs that it has read. `quiet` says that nothing it
    wrote is still on its way to the database, and `ending` that it is about to end the part.
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
        """Finds the part as long as it is this worker's."""
        return {"_id": self.id, "attempt": self.part["attempt"], "status": RUNNING}

    def check(self) -> None:
        """Raise Lost when the lease may have lapsed, so that a worker that slept writes nothing."""
        if time.monotonic() >= self.until:
            raise Lost(f"{self.id}: the lease was not extended in time.")


async def oldest_lapsed(match: Filter) -> Row | None:
    """The oldest part whose worker went silent, among those that `match` finds."""
    found: Row | None = await _parts().find_one({"status": RUNNING} | lapsed(now()) | match, sort=[("_id", 1)])
    return found


async def claim_ready(worker: str, lease: timedelta, match: Filter) -> Held | None:
    """The oldest part that waits, leased to the worker; None when none does."""
    since = time.monotonic()
    return await _claimed({"status": READY} | match, worker, lease, since)


async def end_session(lapsed_part: Row) -> None:
    """Let nothing be pending of what a silent worker wrote for a part."""
    if lapsed_part.get("session") is not None:
        await end_session_of(lapsed_part["session"])


async def take_over(seen: Row, worker: str, lease: timedelta) -> Held | None:
    """A part that was seen to have lapsed, leased to the worker; None when somebody else was faster."""
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
    """Go on holding a part, and say how far it is. Raises Lost."""
    since, expires = time.monotonic(), now() + held.lease
    kept = await _parts().update_one(held.match, {"$set": {"leaseExpiresAt": expires, "done": held.done}})
    if not kept.matched_count:
        raise Lost(f"{held.id} was cancelled, or another worker has it.")
    held.until = since + held.lease.total_seconds()
    await _tell_ingestion(held, {"worker": held.worker, "leaseExpiresAt": expires})


async def hand_back(held: Held) -> bool:
    """Let another worker have a part, without counting the attempt; whether it was still this worker's."""
    freed = {"status": READY, "leaseExpiresAt": None, "worker": None, "session": None}
    handed = await _parts().update_one(held.match, {"$set": freed, "$inc": {"handed_back": 1}})
    return bool(handed.modified_count)


async def let_lapse(held: Held, error: dict[str, Any], delay: timedelta) -> None:
    """Give an attempt up that went wrong: after a while somebody begins the next one."""
    # The session goes on with other parts.
    values = {"leaseExpiresAt": now() + delay, "error": error, "session": None}
    await _parts().update_one(held.match, {"$set": values})


async def _tell_ingestion(held: Held, leased: dict[str, Any]) -> None:
    """Let the ingestion say who works on it, and that somebody does."""
    id, at = {"_id": held.part["ingestionRef"]}, now()
    with suppress(PyMongoError), pymongo.timeout(TOLD_WITHIN):
        told = await collection_of(documents.Ingestion).update_one(id | {"status": RUNNING}, {"$set": leased})
        if not told.matched_count:
            await move(documents.Ingestion, Move.CLAIM, id, leased, at, None)


def _parts() -> Any:
    return collection_of(documents.IngestionPart)
