"""Claims: workers take waiting activities, oldest first, each by one worker only, however many ask at once.

A claim moves an activity by a conditional update, and tries another when a concurrent claim was faster. An execution is
updated when it begins, and when a new viewer runs it, not by each claim.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import NamedTuple

from pymongo.errors import DuplicateKeyError

import documents
from documents.activities.activity import OPEN, ActivityStatus
from documents.base import kind_of, now
from documents.mongo.transaction import Session, in_transaction
from resolvers.access.roles import require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.activities.active_workers import HEARD_FOR, Holder, active_workers
from resolvers.activities.claim_queue import Choice, some_that_wait
from resolvers.activities.reuse_access import grant_reuse_access
from resolvers.activities.state_machine import Move, lapsed, move
from resolvers.concurrency.keyed_lock import keyed_lock
from resolvers.file_events.file_event import clear_pending_files
from resolvers.reads.relations import Document
from resolvers.reads.rows import Row, collection_of
from resolvers.user_errors import InvalidInput
from resolvers.validators import check_line
from resolvers.writes.idempotency import KeyedCall, NothingWritten, StoreOutcome
from resolvers.writes.transaction import Outcome

KINDS: dict[str, Document] = {"STEP": documents.Step, "TRANSFORM": documents.Transform}
SHORTEST_LEASE, LONGEST_LEASE = 1, 3600
"""Seconds. A worker that needs longer extends the lease, which shows that it is alive."""
LONGEST_NAME = 200
MAX_EARLIER_WORKERS = 100
"""Names of earlier workers remembered on an activity."""


class Lease(NamedTuple):
    """The worker's request for a lease, and the keyed call that keeps its outcome."""

    worker: str
    viewer: Viewer
    duration: timedelta
    keep: StoreOutcome | None = None

    @property
    def holder(self) -> Holder:
        """The worker that asks."""
        return Holder(self.viewer.key, self.worker)


async def claim_activity(
    viewer: Viewer, call: KeyedCall | None = None, *, worker: str, lease_seconds: int, kinds: list[str] | None = None
) -> Outcome:
    """The oldest available activity, leased to the worker; None, and when to ask again, when there is none.

    An empty answer does not use up the idempotency key.
    """
    require_role(viewer, Role.WORKER)
    lease = Lease(check_worker(worker, "worker"), viewer, check_lease(lease_seconds, "leaseSeconds"))
    wanted = tuple(document for kind, document in KINDS.items() if kinds is None or kind in kinds)
    active_workers.note(lease.holder, {document.kind for document in wanted}, now() + HEARD_FOR)
    if call is None:
        return await _claimed(wanted, lease)
    # Calls with the same key are serialised: the activity that the first is about to take is not offered to the second,
    # which would answer that nothing waits.
    async with keyed_lock("claim", call.reservation.id), some_that_wait(wanted, lease.holder) as choice:
        # Idle workers ask all the time, which must not cause writes.
        if not choice.rows and not await call.is_known():
            return _nothing(choice)
        return await call.run(lambda keep: _claimed_or_nothing_written(wanted, lease._replace(keep=keep), choice))


async def _claimed_or_nothing_written(wanted: tuple[Document, ...], lease: Lease, choice: Choice) -> Outcome:
    """Claim from the activities looked up already, or from others that wait. Raises NothingWritten if there is none."""
    claimed = await _take_one(choice, lease)
    outcome = {"activity": claimed} if claimed else await _claimed(wanted, lease)
    if outcome["activity"] is None:
        raise NothingWritten(outcome)
    return outcome


async def _claimed(wanted: tuple[Document, ...], lease: Lease) -> Outcome:
    while True:
        async with some_that_wait(wanted, lease.holder) as choice:
            if claimed := await _take_one(choice, lease):
                return {"activity": claimed}
            if not choice.rows:
                return _nothing(choice)


async def _take_one(choice: Choice, lease: Lease) -> Row | None:
    """Lease the first activity of a choice that no concurrent claim took first."""
    for row in choice.rows:
        if claimed := await _take(row, lease):
            note_lease(claimed, lease.duration)
            return claimed
    return None


def _nothing(choice: Choice) -> Outcome:
    return {"activity": None, "next_available_at": choice.next_at}


def note_lease(row: Row, duration: timedelta) -> None:
    """Count the worker that holds an activity as active for as long as it may be silent."""
    active_workers.note(Holder(row["claimed_by"], row["worker"]), {kind_of(row["_id"])}, now() + duration)


def check_worker(value: str, *path: str) -> str:
    """A worker's name: one line."""
    name = check_line(value, *path)
    if len(name) > LONGEST_NAME:
        raise InvalidInput(f"{path[-1]} has {len(name)} characters; at most {LONGEST_NAME} are kept.", *path)
    return name


def check_lease(seconds: int, *path: str) -> timedelta:
    """A lease's length: how long the worker may be silent."""
    if not SHORTEST_LEASE <= seconds <= LONGEST_LEASE:
        bounds = f"{SHORTEST_LEASE} to {LONGEST_LEASE}"
        raise InvalidInput(f"{path[-1]} must be {bounds} seconds, not {seconds}. Extend the lease to keep it.", *path)
    return timedelta(seconds=seconds)


async def _take(row: Row, lease: Lease) -> Row | None:
    """Lease the activity; None when another worker was faster."""
    if kind_of(row["_id"]) == documents.Transform.kind:
        try:
            return await _transform(row, lease)
        except DuplicateKeyError:
            # Another transform of the resource has begun.
            return None
    if _runs(row["execution"], lease.viewer):
        return await _moved_and_kept(documents.Step, row, lease)
    async with keyed_lock("join", row["executionRef"]):
        execution = await collection_of(documents.Execution).find_one({"_id": row["executionRef"]})
        if _runs(execution, lease.viewer):
            return await _moved_and_kept(documents.Step, row, lease)
        return await _first(row, execution, lease)


async def _transform(row: Row, lease: Lease) -> Row | None:
    """Lease the transform; one that waited takes the pending files."""
    if row["status"] == ActivityStatus.RUNNING:
        return await _moved_and_kept(documents.Transform, row, lease)

    async def work(session: Session) -> Row | None:
        claimed = await _moved(documents.Transform, row, lease, session)
        if claimed is not None:
            await clear_pending_files(claimed["resourceRef"], session)
        return claimed

    return await _in_transaction(work, lease)


async def _in_transaction(work: Callable[[Session], Awaitable[Row | None]], lease: Lease) -> Row | None:
    """Run `work` and keep its claim in one transaction where the call has a key."""

    async def work_and_keep(session: Session) -> Row | None:
        claimed = await work(session)
        if claimed is not None and lease.keep is not None:
            await lease.keep({"activity": claimed}, session)
        return claimed

    return await in_transaction(work_and_keep)


async def _moved_and_kept(kind: Document, row: Row, lease: Lease) -> Row | None:
    """Lease the activity by one write, in a transaction only where its outcome is to be kept."""
    if lease.keep is None:
        return await _moved(kind, row, lease)
    return await _in_transaction(partial(_moved, kind, row, lease), lease)


def _runs(execution: Row | None, viewer: Viewer) -> bool:
    """Whether the viewer runs this execution already, so that only the step has to change.

    This holds until the step is claimed: an execution does not end while a step of it waits.
    """
    if execution is None or execution["status"] != ActivityStatus.RUNNING:
        return False
    return viewer.key in execution.get("runners", [])


async def _moved(kind: Document, row: Row, lease: Lease, session: Session | None = None) -> Row | None:
    at = now()
    again = row["status"] == ActivityStatus.RUNNING
    # The log position is part of the condition, since the new attempt's lines are numbered after it.
    as_seen = {"_id": row["_id"], "attempt": row["attempt"], "log_end": row.get("log_end")}
    earlier = list(dict.fromkeys([*row.get("earlier_workers", []), *([row["worker"]] if row.get("worker") else [])]))
    changes = {
        "worker": lease.worker,
        "earlier_workers": earlier[-MAX_EARLIER_WORKERS:],
        "claimed_by": lease.viewer.key,
        "claimants": list(dict.fromkeys([*row.get("claimants", []), lease.viewer.key])),
        "claimed_again": lease.viewer.key in row.get("claimants", []),
        "leaseExpiresAt": at + lease.duration,
        "log_base": row.get("log_end") or 0,
    }
    match = as_seen | (lapsed(at) if again else {})
    return await move(kind, Move.TAKE_OVER if again else Move.CLAIM, match, changes, at, session)


async def _first(row: Row, execution: Row | None, lease: Lease) -> Row | None:
    """Lease the step together with its execution, which the viewer runs from now on."""
    id, key = row["executionRef"], lease.viewer.key
    if execution and execution["status"] == ActivityStatus.RUNNING:
        # Other workers write to unended steps, so one transaction over all steps would seldom succeed. Unended steps
        # therefore get the runner beforehand, one by one, and ended steps in the transaction.
        unended = {"executionRef": id, "status": {"$in": list(OPEN)}, "runners": {"$ne": key}}
        await collection_of(documents.Step).update_many(unended, {"$addToSet": {"runners": key}})

    async def work(session: Session) -> Row | None:
        claimed = await _moved(documents.Step, row, lease, session)
        if claimed is not None:
            await _join(claimed, key, session)
        return claimed

    return await _in_transaction(work, lease)


async def _join(claimed: Row, key: str, session: Session) -> None:
    """Let a runner read the step's execution while it runs; the execution begins now at the latest."""
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
    await grant_reuse_access(execution_id, claimed["ownerRef"], key, session)
    steps, untold, told = collection_of(documents.Step), {"runners": {"$ne": key}}, {"$addToSet": {"runners": key}}
    await steps.update_many({"executionRef": execution_id} | untold, told, session=session)
    # A step that has just begun for the first time has no outputs yet, and it is mostly the only one that has begun.
    others = {"_id": {"$ne": claimed["_id"]}} if claimed["attempt"] == 1 else {}
    begun_before = {"$or": [{"attempt": {"$gt": 0}}, {"status": {"$nin": list(OPEN)}}]}
    match = {"executionRef": execution_id} | others | begun_before
    ids = [step["_id"] async for step in steps.find(match, {"_id": 1}, session=session)]
    if ids:
        outputs = collection_of(documents.Output)
        await outputs.update_many({"stepRef": {"$in": ids}} | untold, told, session=session)
