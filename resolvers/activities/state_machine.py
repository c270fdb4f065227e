"""The state machine of steps and transforms, stated as a table; an execution follows from its steps.

Every transition is one conditional update, which matches nothing where the table does not allow it. A terminal state is
in no transition's `before`, so it is never left. Activities that must change together do so in the transaction of the
caller.
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
from resolvers.limits import MAX_ATTEMPTS
from resolvers.reads.relations import Document
from resolvers.reads.rows import Row, collection_of

PENDING, READY, RUNNING, SUCCEEDED, FAILED, CANCELLED, SKIPPED = ActivityStatus

# Codes of errors, as they are stored.
LEASE_LAPSED = "LEASE_LAPSED"
HANDED_BACK = "HANDED_BACK"
DEPENDENCY_FAILED = "DEPENDENCY_FAILED"
CANCELLED_CODE = "CANCELLED"
CONTENTION_SPREAD = 50
"""Open steps among which one is drawn at random to be locked when a step ends: the more, the fewer conflicts."""


class Transition(StrEnum):
    """The transitions of an activity."""

    UNBLOCK = "UNBLOCK"
    CLAIM = "CLAIM"
    TAKE_OVER = "TAKE_OVER"
    REQUEUE = "REQUEUE"
    RELEASE_CLAIM = "RELEASE_CLAIM"
    SUCCEED = "SUCCEED"
    FAIL = "FAIL"
    CANCEL = "CANCEL"


@dataclass(frozen=True)
class TransitionRule:
    """The states from which a transition is allowed, and the state it leads to."""

    before: tuple[ActivityStatus, ...]
    after: ActivityStatus


TRANSITIONS: dict[Transition, TransitionRule] = {
    # All steps that it waited for have succeeded.
    Transition.UNBLOCK: TransitionRule((PENDING,), READY),
    # A worker leases it.
    Transition.CLAIM: TransitionRule((READY,), RUNNING),
    # A worker leases an activity whose lease expired with another worker.
    Transition.TAKE_OVER: TransitionRule((RUNNING,), RUNNING),
    # Its lease expired, or it failed and may be tried again.
    Transition.REQUEUE: TransitionRule((RUNNING,), READY),
    # Its worker stops before it is done, and says so: that attempt does not count.
    Transition.RELEASE_CLAIM: TransitionRule((RUNNING,), READY),
    Transition.SUCCEED: TransitionRule((RUNNING,), SUCCEEDED),
    Transition.FAIL: TransitionRule((RUNNING,), FAILED),
    # Its execution was cancelled, or a step that it waited for did not succeed.
    Transition.CANCEL: TransitionRule((PENDING, READY, RUNNING), CANCELLED),
}
"""All transitions. SKIPPED is where some steps begin, and stay."""

SATISFIES_DEPENDENCY = (SUCCEEDED, SKIPPED)
"""States of a step that unblock its dependents."""


async def apply_transition(
    document: Document,
    transition: Transition,
    match: Filter,
    changes: dict[str, Any],
    at: datetime,
    session: Session | None,
) -> Row | None:
    """Change the activity that `match` finds and return it; None when there is none that allows the transition."""
    row: Row | None = await collection_of(document).find_one_and_update(
        *_update(transition, match, changes, at), return_document=True, session=session
    )
    return row


async def apply_transition_to_all(
    document: Document, transition: Transition, match: Filter, changes: dict[str, Any], at: datetime, session: Session
) -> None:
    """Change all activities that `match` finds and that allow the transition."""
    await collection_of(document).update_many(*_update(transition, match, changes, at), session=session)


def _update(
    transition: Transition, match: Filter, changes: dict[str, Any], at: datetime
) -> tuple[Filter, dict[str, Any]]:
    """The filter and the update that make the transition."""
    rule = TRANSITIONS[transition]
    before: Filter = {"$and": [{"status": {"$in": [status.value for status in rule.before]}}, match]}
    values: dict[str, Any] = {"status": rule.after.value, "availableAt": None, **changes}
    if rule.after is RUNNING:
        values |= {"start_timestamp": at, "end_timestamp": None, "error": None}
        return before, {"$set": values, "$inc": {"attempt": 1}}
    values["leaseExpiresAt"] = None
    if rule.after not in OPEN:
        values = {"end_timestamp": at, **values}
    uncounted = {"$inc": {"handed_back": 1}} if transition is Transition.RELEASE_CLAIM else {}
    return before, {"$set": values, **uncounted}


def effective_status(row: Row, at: datetime) -> ActivityStatus:
    """The effective status of an activity: an expired lease counts even before it has been handled."""
    status, lease = ActivityStatus(row["status"]), row.get("leaseExpiresAt")
    if status is not RUNNING or lease is None or lease.replace(tzinfo=at.tzinfo) > at:
        return status
    return READY if counted_attempts(row) < MAX_ATTEMPTS else FAILED


def counted_attempts(row: Row) -> int:
    """The attempts of an activity that count: those that were handed back do not."""
    attempts: int = row["attempt"]
    return attempts - (row.get("handed_back") or 0)


def activity_error(code: str, message: str, *, retryable: bool = False) -> dict[str, Any]:
    """The error of a failed or cancelled activity, as it is stored."""
    return {"code": code, "message": message, "retryable": retryable}


async def propagate(step: Row, session: Session) -> None:
    """Apply the consequences of a step's end to its dependents and to its execution."""
    if step["status"] in SATISFIES_DEPENDENCY:
        await _unblock_dependents(step, session)
    else:
        await _cancel_dependents(step, session)
    await finish_execution_if_done(step["executionRef"], session, at=step["end_timestamp"])


async def cancel_execution_steps(execution_id: str, reason: str, session: Session) -> None:
    """Cancel the unended steps of an execution, and so the execution."""
    error, at = activity_error(CANCELLED_CODE, reason), now()
    match = {"executionRef": execution_id}
    await apply_transition_to_all(documents.Step, Transition.CANCEL, match, {"error": error}, at, session)
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
    open_steps = await steps.find(unended, {"_id": 1}, limit=CONTENTION_SPREAD, session=session).to_list()
    if open_steps:
        # Two transactions that end the last two steps do not see each other, and neither would end the execution.
        # Writing to a step that is still open makes this one conflict with the one that ends that step, so the later
        # one begins again, and sees that nothing is left.
        await lock_step(random.choice(open_steps)["_id"], session)
        return
    await _end_execution(execution_id, at or now(), without_steps, session)


async def lock_step(step_id: str, session: Session, match: Filter | None = None) -> Row | None:
    """Lock a step for this transaction by incrementing `reports`, so that a concurrent change of it conflicts; returns
    the step, None when `match` does not find it."""
    row: Row | None = await collection_of(documents.Step).find_one_and_update(
        {"_id": step_id} | (match or {}), {"$inc": {"reports": 1}}, return_document=True, session=session
    )
    return row


async def _unblock_dependents(step: Row, session: Session) -> None:
    """Make the steps READY that waited for this step and nothing else."""
    steps = collection_of(documents.Step)
    dependents = {"dependsOn": step["_id"], "executionRef": step["executionRef"], "status": PENDING.value}
    waiting = await steps.find(dependents, {"dependsOn": 1}, session=session).to_list()
    if not waiting:
        return
    dependencies = {id for row in waiting for id in row["dependsOn"]}
    satisfying = {"_id": {"$in": list(dependencies)}, "status": {"$in": list(SATISFIES_DEPENDENCY)}}
    satisfied = {row["_id"] async for row in steps.find(satisfying, {"_id": 1}, session=session)}
    ready = [row["_id"] for row in waiting if satisfied.issuperset(row["dependsOn"])]
    await apply_transition_to_all(documents.Step, Transition.UNBLOCK, {"_id": {"$in": ready}}, {}, now(), session)
    # Written to, so that this conflicts with the end of the other steps they wait for: else neither would unblock them.
    blocked = [row["_id"] for row in waiting if row["_id"] not in ready]
    await steps.update_many({"_id": {"$in": blocked}}, {"$inc": {"reports": 1}}, session=session)


async def _cancel_dependents(step: Row, session: Session) -> None:
    """Cancel all steps that depend on this step, directly or not."""
    pending = {"executionRef": step["executionRef"], "status": PENDING.value}
    waiting = await collection_of(documents.Step).find(pending, {"dependsOn": 1}, session=session).to_list()
    dependents = _dependents(step["_id"], waiting)
    if dependents:
        message = f"Step {step['key']} is {step['status']}, and this one waited for it."
        match, changes = {"_id": {"$in": dependents}}, {"error": activity_error(DEPENDENCY_FAILED, message)}
        at = step["end_timestamp"]
        await apply_transition_to_all(documents.Step, Transition.CANCEL, match, changes, at, session)


def _dependents(id: str, waiting: list[Row]) -> list[str]:
    """The ids of the steps that depend on `id`, directly or not."""
    by_dependency: dict[str, list[str]] = {}
    for row in waiting:
        for dependency in row["dependsOn"]:
            by_dependency.setdefault(dependency, []).append(row["_id"])
    dependents: dict[str, None] = {}
    ahead = [id]
    while ahead:
        new = [dependent for dependent in by_dependency.get(ahead.pop(), []) if dependent not in dependents]
        dependents |= dict.fromkeys(new)
        ahead += new
    return list(dependents)


async def _end_execution(execution_id: str, at: datetime, without_steps: ActivityStatus, session: Session) -> None:
    """End the execution with the status that follows from its steps', and revoke its runners' access to it."""
    statuses = await collection_of(documents.Step).distinct("status", {"executionRef": execution_id}, session=session)
    if statuses:
        status = next((status for status in (FAILED, CANCELLED) if status in statuses), SUCCEEDED)
    else:
        status = without_steps
    values: Row = {"status": status.value, "end_timestamp": at, "updated_at": at, "runners": []}
    result = await collection_of(documents.Execution).update_one(
        {"_id": execution_id, "status": {"$in": list(OPEN)}},
        {"$set": values, "$inc": {"revision": 1}},
        session=session,
    )
    if result.modified_count:
        await _revoke_runner_access(execution_id, session)
        await revoke_reuse_access(execution_id, session)


async def _revoke_runner_access(execution_id: str, session: Session) -> None:
    """Revoke read access to steps and outputs for the runners of an execution."""
    steps, of_execution = collection_of(documents.Step), {"executionRef": execution_id}
    ids = await steps.distinct("_id", of_execution, session=session)
    has_runners = {"runners.0": {"$exists": True}}
    change: Row = {"$set": {"runners": []}}
    await steps.update_many(of_execution | has_runners, change, session=session)
    await collection_of(documents.Output).update_many({"stepRef": {"$in": ids}} | has_runners, change, session=session)
