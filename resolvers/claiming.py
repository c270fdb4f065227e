"""Workers take what waits: the oldest first, each to one worker only, however many ask at once.

A claim moves an activity by a conditional update, and tries another when somebody else was faster. An execution is
written to when it begins, and when somebody new runs it, not by each claim.
"""

from datetime import timedelta
from typing import NamedTuple

from pymongo.errors import DuplicateKeyError

import documents
from documents.activity import OPEN, ActivityStatus
from documents.base import kind_of, now
from documents.database import in_transaction
from resolvers.checks import a_line
from resolvers.fetch import Row, collection_of
from resolvers.file_events import files_taken
from resolvers.ingest.turns import turn
from resolvers.lending import lend
from resolvers.links import Document
from resolvers.refusals import InvalidInput
from resolvers.runs import Move, lapsed, move
from resolvers.viewer import Role, Viewer
from resolvers.waiting import some_that_wait
from resolvers.writing import Outcome, Session, require

KINDS: dict[str, Document] = {"STEP": documents.Step, "TRANSFORM": documents.Transform}
SHORTEST_LEASE, LONGEST_LEASE = 1, 3600
"""Seconds. Who needs longer extends the lease, and so shows that it is alive."""
LONGEST_NAME = 200


class Lease(NamedTuple):
    """What a worker asks for."""

    worker: str
    viewer: Viewer
    duration: timedelta


async def claim_activity(viewer: Viewer, *, worker: str, lease_seconds: int, kinds: list[str] | None = None) -> Outcome:
    """The oldest activity that waits, leased to the worker; None when none waits."""
    require(viewer, Role.WORKER)
    lease = Lease(a_worker(worker, "worker"), viewer, a_lease(lease_seconds, "leaseSeconds"))
    wanted = tuple(document for kind, document in KINDS.items() if kinds is None or kind in kinds)
    while True:
        async with some_that_wait(wanted) as rows:
            for row in rows:
                if claimed := await _take(row, lease):
                    return {"activity": claimed}
            if not rows:
                return {"activity": None}


def a_worker(value: str, *path: str) -> str:
    """A worker's name: one line."""
    name = a_line(value, *path)
    if len(name) > LONGEST_NAME:
        raise InvalidInput(f"{path[-1]} has {len(name)} characters; at most {LONGEST_NAME} are kept.", *path)
    return name


def a_lease(seconds: int, *path: str) -> timedelta:
    """How long a worker may be silent."""
    if not SHORTEST_LEASE <= seconds <= LONGEST_LEASE:
        bounds = f"{SHORTEST_LEASE} to {LONGEST_LEASE}"
        raise InvalidInput(f"{path[-1]} must be {bounds} seconds, not {seconds}. Extend the lease to keep it.", *path)
    return timedelta(seconds=seconds)


async def _take(row: Row, lease: Lease) -> Row | None:
    """The activity, leased; None when somebody else was faster."""
    if kind_of(row["_id"]) == documents.Transform.kind:
        try:
            return await _transform(row, lease)
        except DuplicateKeyError:
            # Another transform of the resource has begun.
            return None
    if _runs(row["execution"], lease.viewer):
        return await _moved(documents.Step, row, lease)
    async with turn("join", row["executionRef"]):
        execution = await collection_of(documents.Execution).find_one({"_id": row["executionRef"]})
        if _runs(execution, lease.viewer):
            return await _moved(documents.Step, row, lease)
        return await _first(row, execution, lease)


async def _transform(row: Row, lease: Lease) -> Row | None:
    """The transform, leased; one that waited takes the files that are pending."""
    if row["status"] == ActivityStatus.RUNNING:
        return await _moved(documents.Transform, row, lease)

    async def work(session: Session) -> Row | None:
        claimed = await _moved(documents.Transform, row, lease, session)
        if claimed is not None:
            await files_taken(claimed["resourceRef"], session)
        return claimed

    return await in_transaction(work)


def _runs(execution: Row | None, viewer: Viewer) -> bool:
    """Whether the viewer has claimed of this execution before, so that no more than the step needs to change.

    That stays so until the step is claimed: an execution does not end while a step of it waits.
    """
    if execution is None or execution["status"] != ActivityStatus.RUNNING:
        return False
    return viewer.key in execution.get("runners", [])


async def _moved(kind: Document, row: Row, lease: Lease, session: Session | None = None) -> Row | None:
    at = now()
    again = row["status"] == ActivityStatus.RUNNING
    # What it had logged is part of the condition, since the new attempt's lines are numbered after that.
    as_seen = {"_id": row["_id"], "attempt": row["attempt"], "log_end": row.get("log_end")}
    changes = {
        "worker": lease.worker,
        "claimed_by": lease.viewer.key,
        "claimants": list(dict.fromkeys([*row.get("claimants", []), lease.viewer.key])),
        "leaseExpiresAt": at + lease.duration,
        "log_base": row.get("log_end") or 0,
    }
    match = as_seen | (lapsed(at) if again else {})
    return await move(kind, Move.TAKE_OVER if again else Move.CLAIM, match, changes, at, session)


async def _first(row: Row, execution: Row | None, lease: Lease) -> Row | None:
    """The step, leased together with its execution, which the viewer runs from now on."""
    id, key = row["executionRef"], lease.viewer.key
    if execution and execution["status"] == ActivityStatus.RUNNING:
        # Others are at work on it, and a transaction over all that they write to would seldom succeed. So what has not
        # ended is told beforehand, each step for itself; what has ended is told in the transaction.
        unended = {"executionRef": id, "status": {"$in": list(OPEN)}, "runners": {"$ne": key}}
        await collection_of(documents.Step).update_many(unended, {"$addToSet": {"runners": key}})

    async def work(session: Session) -> Row | None:
        claimed = await _moved(documents.Step, row, lease, session)
        if claimed is not None:
            await _join(claimed, key, session)
        return claimed

    return await in_transaction(work)


async def _join(claimed: Row, key: str, session: Session) -> None:
    """Let a runner read the step's execution while it runs, which begins now at the latest."""
    execution_id, at = claimed["executionRef"], claimed["start_timestamp"]
    runs = {"$eq": ["$status", ActivityStatus.RUNNING.value]}
    begun = {
        "status": ActivityStatus.RUNNING.value,
        "start_timestamp": {"$ifNull": ["$start_timestamp", at]},
        "updated_at": {"$cond": [runs, "$updated_at", at]},
        "revision": {"$cond": [runs, "$revision", {"$add": ["$revision", 1]}]},
        "runners": {"$setUnion": [{"$ifNull": ["$runners", []]}, [{"$literal": key}]]},
    }
    await collection_of(documents.Execution).update_one({"_id": execution_id}, [{"$set": begun}], session=session)
    await lend(execution_id, claimed["ownerRef"], key, session)
    steps, untold, told = collection_of(documents.Step), {"runners": {"$ne": key}}, {"$addToSet": {"runners": key}}
    await steps.update_many({"executionRef": execution_id} | untold, told, session=session)
    # What was begun just now for the first time has no outputs yet: mostly it is all that has been begun.
    others = {"_id": {"$ne": claimed["_id"]}} if claimed["attempt"] == 1 else {}
    begun_before = {"$or": [{"attempt": {"$gt": 0}}, {"status": {"$nin": list(OPEN)}}]}
    match = {"executionRef": execution_id} | others | begun_before
    ids = [step["_id"] async for step in steps.find(match, {"_id": 1}, session=session)]
    if ids:
        outputs = collection_of(documents.Output)
        await outputs.update_many({"stepRef": {"$in": ids}} | untold, told, session=session)
