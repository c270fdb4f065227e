"""The state machine of steps and transforms, stated as a table; an execution follows from its steps.

Every move is one conditional update, which matches nothing where the table does not allow it. A terminal state is in no
move's `before`, so it is never left. Activities that must move together do so in the caller's transaction.
"""

import random
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import documents
from documents.activities.activity import OPEN, ActivityStatus
from documents.base import now
from documents.mongo.transaction import Session
from resolvers.activities.reuse_access import revoke_reuse_access
from resolvers.filters import Filter
from resolvers.reads.relations import Document
from resolvers.reads.rows import Row, collection_of

PENDING, READY, RUNNING, SUCCEEDED, FAILED, CANCELLED, SKIPPED = ActivityStatus

MOST_ATTEMPTS = 3
"""Attempts after which a lapsed lease or a retryable failure ends an activity."""
LEASE_LAPSED = "LEASE_LAPSED"
HANDED_BACK = "HANDED_BACK"
DEPENDENCY_FAILED = "DEPENDENCY_FAILED"
CANCELLED_BY_SOMEBODY = "CANCELLED"
SPREAD = 50
"""Number of open steps among which one is drawn at random to be touched when a step ends: the more, the fewer
conflicts."""


class Move(StrEnum):
    """The moves of an activity."""

    UNBLOCK = "UNBLOCK"
    CLAIM = "CLAIM"
    TAKE_OVER = "TAKE_OVER"
    REQUEUE = "REQUEUE"
    RELEASE_CLAIM = "RELEASE_CLAIM"
    SUCCEED = "SUCCEED"
    FAIL = "FAIL"
    CANCEL = "CANCEL"


@dataclass(frozen=True)
class Rule:
    """The states from which a move is allowed, and the state it leads to."""

    before: tuple[ActivityStatus, ...]
    after: ActivityStatus


TABLE: dict[Move, Rule] = {
    # All steps that it waited for have succeeded.
    Move.UNBLOCK: Rule((PENDING,), READY),
    # A worker leases it.
    Move.CLAIM: Rule((READY,), RUNNING),
    # A worker leases an activity whose lease lapsed with another worker.
    Move.TAKE_OVER: Rule((RUNNING,), RUNNING),
    # Its lease lapsed, or it failed and may be tried again.
    Move.REQUEUE: Rule((RUNNING,), READY),
    # Its worker stops before it is done, and says so: that attempt does not count.
    Move.RELEASE_CLAIM: Rule((RUNNING,), READY),
    Move.SUCCEED: Rule((RUNNING,), SUCCEEDED),
    Move.FAIL: Rule((RUNNING,), FAILED),
    # Its execution was cancelled, or a step that it waited for did not succeed.
    Move.CANCEL: Rule((PENDING, READY, RUNNING), CANCELLED),
}
"""All moves. SKIPPED is where some steps begin, and stay."""

FULFILLED = (SUCCEEDED, SKIPPED)
"""States that release dependent steps."""


def reachable(before: ActivityStatus) -> set[ActivityStatus]:
    """The states that one move leads to."""
    return {rule.after for rule in TABLE.values() if before in rule.before}


async def move(
    document: Document, move: Move, match: Filter, changes: dict[str, Any], at: datetime, session: Session | None
) -> Row | None:
    """Move and change the activity that `match` finds; None when there is none that the table lets move."""
    moved: Row | None = await collection_of(document).find_one_and_update(
        *_move(move, match, changes, at), return_document=True, session=session
    )
    return moved


async def move_all(
    document: Document, move: Move, match: Filter, changes: dict[str, Any], at: datetime, session: Session
) -> int:
    """Move and change all activities that `match` finds and the table lets move; returns how many."""
    moved = await collection_of(document).update_many(*_move(move, match, changes, at), session=session)
    return moved.modified_count


def _move(move: Move, match: Filter, changes: dict[str, Any], at: datetime) -> tuple[Filter, dict[str, Any]]:
    rule = TABLE[move]
    values: dict[str, Any] = {"status": rule.after.value, "availableAt": None, **changes}
    if rule.after is RUNNING:
        values |= {"start_timestamp": at, "end_timestamp": None, "error": None}
        return _from(rule, match), {"$set": values, "$inc": {"attempt": 1}}
    values["leaseExpiresAt"] = None
    if rule.after not in OPEN:
        values = {"end_timestamp": at, **values}
    counted = {"$inc": {"handed_back": 1}} if move is Move.RELEASE_CLAIM else {}
    return _from(rule, match), {"$set": values, **counted}


def _from(rule: Rule, match: Filter) -> Filter:
    before: Filter = {"status": {"$in": [status.value for status in rule.before]}}
    return {"$and": [before, match]}


def held(at: datetime) -> Filter:
    """The filter for activities with a valid lease."""
    return {"leaseExpiresAt": {"$gt": at}}


def lapsed(at: datetime) -> Filter:
    """The filter for activities with a lapsed lease. Activities that were imported as RUNNING never had one."""
    return {"leaseExpiresAt": {"$lte": at}}


def standing(row: Row, at: datetime) -> ActivityStatus:
    """The effective status of an activity: a lapsed lease counts even before it has been handled."""
    status, lease = ActivityStatus(row["status"]), row.get("leaseExpiresAt")
    if status is not RUNNING or lease is None or lease.replace(tzinfo=at.tzinfo) > at:
        return status
    return READY if tries(row) < MOST_ATTEMPTS else FAILED


def tries(row: Row) -> int:
    """The attempts of an activity that count: those that were handed back do not."""
    begun: int = row["attempt"]
    return begun - (row.get("handed_back") or 0)


def activity_error(code: str, message: str, *, retryable: bool = False) -> dict[str, Any]:
    """The error of a failed or cancelled activity, as it is stored."""
    return {"code": code, "message": message, "retryable": retryable}


async def propagate(step: Row, session: Session) -> None:
    """Apply the consequences of a step's end to its dependents and to its execution."""
    if step["status"] in FULFILLED:
        await _release_dependents(step, session)
    else:
        await _cancel_dependents(step, session)
    await finish_execution_if_done(step["executionRef"], session, at=step["end_timestamp"])


async def cancel(execution_id: str, reason: str, session: Session) -> None:
    """Cancel the unended steps of an execution, and so the execution."""
    error, at = activity_error(CANCELLED_BY_SOMEBODY, reason), now()
    match = {"executionRef": execution_id}
    await move_all(documents.Step, Move.CANCEL, match, {"error": error}, at, session)
    await finish_execution_if_done(execution_id, session, at=at, without_steps=CANCELLED)


async def finish_execution_if_done(
    execution_id: str, session: Session, *, at: datetime | None = None, without_steps: ActivityStatus = SUCCEEDED
) -> None:
    """End the execution, `at` or now, when all of its steps have ended; called in each transaction that ends a step.

    It is FAILED when a step is, else CANCELLED when a step is, else SUCCEEDED. Without any step it is what the caller
    says. Its runners lose access to it. An execution that has ended already stays as it is.
    """
    steps = collection_of(documents.Step)
    unended = {"executionRef": execution_id, "status": {"$in": list(OPEN)}}
    others = await steps.find(unended, {"_id": 1}, limit=SPREAD, session=session).to_list()
    if others:
        # Two transactions that end the last two steps do not see each other, and neither would end the execution.
        # Writing to a step that is still open makes this one conflict with the one that ends that step, so the later
        # one begins again, and sees that nothing is left.
        await lock_step(random.choice(others)["_id"], session)
        return
    await _end(execution_id, at or now(), without_steps, session)


async def lock_step(step_id: str, session: Session, match: Filter | None = None) -> Row | None:
    """The step if `match` finds it, written to so that no concurrent transaction can change it."""
    row: Row | None = await collection_of(documents.Step).find_one_and_update(
        {"_id": step_id} | (match or {}), {"$inc": {"reports": 1}}, return_document=True, session=session
    )
    return row


async def _release_dependents(step: Row, session: Session) -> None:
    """Release the steps that waited for this step and nothing else."""
    steps = collection_of(documents.Step)
    waiting_for_it = {"dependsOn": step["_id"], "executionRef": step["executionRef"], "status": PENDING.value}
    waiting = await steps.find(waiting_for_it, {"dependsOn": 1}, session=session).to_list()
    if not waiting:
        return
    awaited = {id for dependent in waiting for id in dependent["dependsOn"]}
    succeeded = {"_id": {"$in": list(awaited)}, "status": {"$in": list(FULFILLED)}}
    fulfilled = {row["_id"] async for row in steps.find(succeeded, {"_id": 1}, session=session)}
    ready = [row["_id"] for row in waiting if fulfilled.issuperset(row["dependsOn"])]
    await move_all(documents.Step, Move.UNBLOCK, {"_id": {"$in": ready}}, {}, now(), session)
    # Written to, so that this conflicts with the end of the other steps they wait for: else neither would release them.
    others = [row["_id"] for row in waiting if row["_id"] not in ready]
    await steps.update_many({"_id": {"$in": others}}, {"$inc": {"reports": 1}}, session=session)


async def _cancel_dependents(step: Row, session: Session) -> None:
    """Cancel all steps that depend on this step, directly or not."""
    pending = {"executionRef": step["executionRef"], "status": PENDING.value}
    waiting = await collection_of(documents.Step).find(pending, {"dependsOn": 1}, session=session).to_list()
    lost = _dependents(step["_id"], waiting)
    if lost:
        error = activity_error(
            DEPENDENCY_FAILED, f"Step {step['key']} is {step['status']}, and this one waited for it."
        )
        await move_all(
            documents.Step, Move.CANCEL, {"_id": {"$in": lost}}, {"error": error}, step["end_timestamp"], session
        )


def _dependents(id: str, waiting: list[Row]) -> list[str]:
    """The ids of the steps that depend on `id`, directly or not."""
    by_awaited: dict[str, list[str]] = {}
    for row in waiting:
        for awaited in row["dependsOn"]:
            by_awaited.setdefault(awaited, []).append(row["_id"])
    found: dict[str, None] = {}
    ahead = [id]
    while ahead:
        fresh = [one for one in by_awaited.get(ahead.pop(), []) if one not in found]
        found |= dict.fromkeys(fresh)
        ahead += fresh
    return list(found)


async def _end(execution_id: str, at: datetime, without_steps: ActivityStatus, session: Session) -> None:
    found = await collection_of(documents.Step).distinct("status", {"executionRef": execution_id}, session=session)
    status = next((one for one in (FAILED, CANCELLED) if one in found), SUCCEEDED) if found else without_steps
    values: Row = {"status": status.value, "end_timestamp": at, "updated_at": at, "runners": []}
    ended = await collection_of(documents.Execution).update_one(
        {"_id": execution_id, "status": {"$in": list(OPEN)}},
        {"$set": values, "$inc": {"revision": 1}},
        session=session,
    )
    if ended.modified_count:
        await _forget_runners(execution_id, session)
        await revoke_reuse_access(execution_id, session)


async def _forget_runners(execution_id: str, session: Session) -> None:
    """Revoke read access to steps and outputs for the runners of an execution."""
    steps = collection_of(documents.Step)
    nobody: Row = {"$set": {"runners": []}}
    ids = await steps.distinct("_id", {"executionRef": execution_id}, session=session)
    some = {"runners.0": {"$exists": True}}
    await steps.update_many({"executionRef": execution_id} | some, nobody, session=session)
    await collection_of(documents.Output).update_many({"stepRef": {"$in": ids}} | some, nobody, session=session)
