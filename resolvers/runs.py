"""The state machine of steps and transforms, stated as a table; an execution follows from its steps.

Every move is one conditional update, which matches nothing where the table does not allow it. A terminal state is in
no move's `before`, so it is never left. What must move together does so in the caller's transaction.
"""

import random
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import documents
from documents.activity import OPEN, ActivityStatus
from documents.base import now
from resolvers.fetch import Row, collection_of
from resolvers.filters import Filter
from resolvers.lending import take_back
from resolvers.links import Document
from resolvers.writing import Session

PENDING, READY, RUNNING, SUCCEEDED, FAILED, CANCELLED, SKIPPED = ActivityStatus

MOST_ATTEMPTS = 3
"""How often an activity is begun before a lapsed lease or a retryable failure is the end of it."""
LEASE_LAPSED = "LEASE_LAPSED"
HANDED_BACK = "HANDED_BACK"
DEPENDENCY_FAILED = "DEPENDENCY_FAILED"
CANCELLED_BY_SOMEBODY = "CANCELLED"
SPREAD = 50
"""Among how many open steps the one is drawn that an end is marked on: the more, the fewer conflicts."""


class Move(StrEnum):
    """What can happen to an activity."""

    RELEASE = "RELEASE"
    CLAIM = "CLAIM"
    TAKE_OVER = "TAKE_OVER"
    GIVE_BACK = "GIVE_BACK"
    HAND_BACK = "HAND_BACK"
    SUCCEED = "SUCCEED"
    FAIL = "FAIL"
    CANCEL = "CANCEL"


@dataclass(frozen=True)
class Rule:
    """Where an activity must stand for a move, and where it stands after it."""

    before: tuple[ActivityStatus, ...]
    after: ActivityStatus


TABLE: dict[Move, Rule] = {
    # All that it waited for has succeeded.
    Move.RELEASE: Rule((PENDING,), READY),
    # A worker leases it.
    Move.CLAIM: Rule((READY,), RUNNING),
    # A worker leases what another's lease has lapsed on.
    Move.TAKE_OVER: Rule((RUNNING,), RUNNING),
    # Its lease lapsed, or it failed and may be tried again.
    Move.GIVE_BACK: Rule((RUNNING,), READY),
    # Its worker stops before it is done, and says so: that attempt does not count.
    Move.HAND_BACK: Rule((RUNNING,), READY),
    Move.SUCCEED: Rule((RUNNING,), SUCCEEDED),
    Move.FAIL: Rule((RUNNING,), FAILED),
    # Somebody cancelled its execution, or what it waited for did not succeed.
    Move.CANCEL: Rule((PENDING, READY, RUNNING), CANCELLED),
}
"""All moves there are. SKIPPED is where some steps begin, and stay."""

FULFILLED = (SUCCEEDED, SKIPPED)
"""The states that let go on what waited."""


def reachable(before: ActivityStatus) -> set[ActivityStatus]:
    """The states that one move leads to."""
    return {rule.after for rule in TABLE.values() if before in rule.before}


async def move(
    document: Document, move: Move, match: Filter, changes: dict[str, Any], at: datetime, session: Session | None
) -> Row | None:
    """The activity that `match` finds, moved and changed; None when there is none that the table lets move."""
    moved: Row | None = await collection_of(document).find_one_and_update(
        *_move(move, match, changes, at), return_document=True, session=session
    )
    return moved


async def move_all(
    document: Document, move: Move, match: Filter, changes: dict[str, Any], at: datetime, session: Session
) -> int:
    """How many activities that `match` finds were moved and changed, all that the table lets move."""
    moved = await collection_of(document).update_many(*_move(move, match, changes, at), session=session)
    return moved.modified_count


def _move(move: Move, match: Filter, changes: dict[str, Any], at: datetime) -> tuple[Filter, dict[str, Any]]:
    rule = TABLE[move]
    values: dict[str, Any] = {"status": rule.after.value, **changes}
    if rule.after is RUNNING:
        values |= {"start_timestamp": at, "end_timestamp": None, "error": None}
        return _from(rule, match), {"$set": values, "$inc": {"attempt": 1}}
    values["leaseExpiresAt"] = None
    if rule.after not in OPEN:
        values = {"end_timestamp": at, **values}
    counted = {"$inc": {"handed_back": 1}} if move is Move.HAND_BACK else {}
    return _from(rule, match), {"$set": values, **counted}


def _from(rule: Rule, match: Filter) -> Filter:
    before: Filter = {"status": {"$in": [status.value for status in rule.before]}}
    return {"$and": [before, match]}


def held(at: datetime) -> Filter:
    """What somebody has a lease on."""
    return {"leaseExpiresAt": {"$gt": at}}


def lapsed(at: datetime) -> Filter:
    """What somebody had a lease on. What was imported as RUNNING never had one."""
    return {"leaseExpiresAt": {"$lte": at}}


def standing(row: Row, at: datetime) -> ActivityStatus:
    """Where an activity stands, whether or not somebody has seen already that its lease lapsed."""
    status, lease = ActivityStatus(row["status"]), row.get("leaseExpiresAt")
    if status is not RUNNING or lease is None or lease.replace(tzinfo=at.tzinfo) > at:
        return status
    return READY if tries(row) < MOST_ATTEMPTS else FAILED


def tries(row: Row) -> int:
    """How many attempts of an activity count: those that were handed back do not."""
    begun: int = row["attempt"]
    return begun - (row.get("handed_back") or 0)


def an_error(code: str, message: str, *, retryable: bool = False) -> dict[str, Any]:
    """Why an activity failed or was cancelled, as it is stored."""
    return {"code": code, "message": message, "retryable": retryable}


async def carry_on(step: Row, session: Session) -> None:
    """Let what follows from the end of a step happen: to those that wait for it, and to its execution."""
    if step["status"] in FULFILLED:
        await _release_dependents(step, session)
    else:
        await _cancel_dependents(step, session)
    await settle(step["executionRef"], session, at=step["end_timestamp"])


async def cancel(execution_id: str, reason: str, session: Session) -> None:
    """Cancel what has not ended of an execution, and so the execution."""
    error, at = an_error(CANCELLED_BY_SOMEBODY, reason), now()
    match = {"executionRef": execution_id}
    await move_all(documents.Step, Move.CANCEL, match, {"error": error}, at, session)
    await settle(execution_id, session, at=at, without_steps=CANCELLED)


async def settle(
    execution_id: str, session: Session, *, at: datetime | None = None, without_steps: ActivityStatus = SUCCEEDED
) -> None:
    """End the execution, `at` or now, when all of its steps have ended: for each transaction that ends a step.

    It is FAILED when a step is, else CANCELLED when a step is, else SUCCEEDED. Without any step it is what the caller
    says. Its runners lose sight of it. An execution that has ended already stays as it is.
    """
    steps = collection_of(documents.Step)
    unended = {"executionRef": execution_id, "status": {"$in": list(OPEN)}}
    others = await steps.find(unended, {"_id": 1}, limit=SPREAD, session=session).to_list()
    if others:
        # Two transactions that end the last two steps do not see each other, and neither would end the execution.
        # Writing to a step that is still open makes this one conflict with the one that ends that step, so whoever
        # comes second begins again, and sees that nothing is left.
        await touch(random.choice(others)["_id"], session)
        return
    await _end(execution_id, at or now(), without_steps, session)


async def touch(step_id: str, session: Session, match: Filter | None = None) -> Row | None:
    """The step if it is one that `match` finds, so written that no other transaction can change it beside this one."""
    row: Row | None = await collection_of(documents.Step).find_one_and_update(
        {"_id": step_id} | (match or {}), {"$inc": {"reports": 1}}, return_document=True, session=session
    )
    return row


async def _release_dependents(step: Row, session: Session) -> None:
    """Make those ready that waited for this step and nothing else."""
    steps = collection_of(documents.Step)
    waiting_for_it = {"dependsOn": step["_id"], "executionRef": step["executionRef"], "status": PENDING.value}
    waiting = await steps.find(waiting_for_it, {"dependsOn": 1}, session=session).to_list()
    if not waiting:
        return
    awaited = {id for dependent in waiting for id in dependent["dependsOn"]}
    succeeded = {"_id": {"$in": list(awaited)}, "status": {"$in": list(FULFILLED)}}
    fulfilled = {row["_id"] async for row in steps.find(succeeded, {"_id": 1}, session=session)}
    ready = [row["_id"] for row in waiting if fulfilled.issuperset(row["dependsOn"])]
    await move_all(documents.Step, Move.RELEASE, {"_id": {"$in": ready}}, {}, now(), session)
    # Written to, so that this conflicts with the end of whatever else they wait for: else nobody would release them.
    others = [row["_id"] for row in waiting if row["_id"] not in ready]
    await steps.update_many({"_id": {"$in": others}}, {"$inc": {"reports": 1}}, session=session)


async def _cancel_dependents(step: Row, session: Session) -> None:
    """Cancel all that waited for this step, or for what waited for it."""
    pending = {"executionRef": step["executionRef"], "status": PENDING.value}
    waiting = await collection_of(documents.Step).find(pending, {"dependsOn": 1}, session=session).to_list()
    lost = _dependents(step["_id"], waiting)
    if lost:
        error = an_error(DEPENDENCY_FAILED, f"Step {step['key']} is {step['status']}, and this one waited for it.")
        await move_all(
            documents.Step, Move.CANCEL, {"_id": {"$in": lost}}, {"error": error}, step["end_timestamp"], session
        )


def _dependents(id: str, waiting: list[Row]) -> list[str]:
    """The ids of those that wait for `id`, directly or not."""
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
        await take_back(execution_id, session)


async def _forget_runners(execution_id: str, session: Session) -> None:
    """Those who ran an execution read its steps and outputs no longer."""
    steps = collection_of(documents.Step)
    nobody: Row = {"$set": {"runners": []}}
    ids = await steps.distinct("_id", {"executionRef": execution_id}, session=session)
    some = {"runners.0": {"$exists": True}}
    await steps.update_many({"executionRef": execution_id} | some, nobody, session=session)
    await collection_of(documents.Output).update_many({"stepRef": {"$in": ids}} | some, nobody, session=session)
