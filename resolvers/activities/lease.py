"""Leases: for how long a worker may hold an activity in silence, and what happens when it is silent for longer.

A lease is extended by its worker. Once it has expired, the activity waits to be claimed again, or another worker takes
it over directly; after the last attempt it fails.
"""

from collections.abc import Awaitable
from datetime import datetime, timedelta
from typing import Any

from pymongo.errors import DuplicateKeyError

from documents.activities.activity import ActivityStatus
from documents.base import kind_of, now
from documents.mongo.transaction import Session, in_transaction
from resolvers.access.roles import require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.activities.active_workers import Holder, active_workers
from resolvers.activities.report_access import (
    KINDS,
    check_worker_name,
    explain_refusal,
    kind_of_activity,
    only_attempt_filter,
    reportable_filter,
)
from resolvers.activities.retry import available_from
from resolvers.activities.state_machine import (
    LEASE_LAPSED,
    Transition,
    activity_error,
    apply_transition,
    counted_attempts,
    propagate,
)
from resolvers.filters import Filter
from resolvers.limits import MAX_ATTEMPTS, MAX_LEASE_SECONDS
from resolvers.reads.relations import Document
from resolvers.reads.rows import Row, collection_of
from resolvers.user_errors import InvalidInput
from resolvers.writes.idempotency import KeyedCall, run_once_in_transaction
from resolvers.writes.transaction import Outcome

MIN_LEASE_SECONDS = 1
EXPIRY_BATCH_SIZE = 200
"""Expired activities of a kind handled in one pass; the next pass comes soon."""


def check_lease_seconds(seconds: int, *path: str) -> timedelta:
    """The length of a lease. Raises InvalidInput."""
    if not MIN_LEASE_SECONDS <= seconds <= MAX_LEASE_SECONDS:
        bounds = f"{MIN_LEASE_SECONDS} to {MAX_LEASE_SECONDS}"
        raise InvalidInput(f"{path[-1]} must be {bounds} seconds, not {seconds}. Extend the lease to keep it.", *path)
    return timedelta(seconds=seconds)


def valid_lease_filter(at: datetime) -> Filter:
    """The filter for activities with a valid lease."""
    return {"leaseExpiresAt": {"$gt": at}}


def expired_lease_filter(at: datetime) -> Filter:
    """The filter for activities with an expired lease. Activities that were imported as RUNNING never had one."""
    return {"leaseExpiresAt": {"$lte": at}}


def note_lease(row: Row, duration: timedelta) -> None:
    """Count the worker that holds an activity as active for as long as it may be silent."""
    active_workers.note(Holder(row["claimed_by"], row["worker"]), {kind_of(row["_id"])}, now() + duration)


async def extend_lease(
    viewer: Viewer,
    call: KeyedCall | None = None,
    *,
    id: str,
    worker: str,
    lease_seconds: int,
    attempt: int | None = None,
) -> Outcome:
    """Extend the lease of an activity by one write, in a transaction where the outcome of the call is stored; returns
    the activity."""

    def extend(session: Session | None) -> Awaitable[Outcome]:
        return _extend(session, viewer, id=id, worker=worker, lease_seconds=lease_seconds, attempt=attempt)

    return await (extend(None) if call is None else run_once_in_transaction(call, extend))


async def _extend(
    session: Session | None,
    viewer: Viewer,
    *,
    id: str,
    worker: str,
    lease_seconds: int,
    attempt: int | None,
) -> Outcome:
    """Extend the lease from now; returns the activity. `attempt` may be left out only when it is unambiguous.

    Raises NotFound, InvalidInput and InvalidState.
    """
    require_role(viewer, Role.WORKER, allow_bound=True)
    name, at, kind = check_worker_name(worker, "worker"), now(), kind_of_activity(id, "id")
    duration = check_lease_seconds(lease_seconds, "leaseSeconds")
    match = {"_id": id, "worker": name, "status": ActivityStatus.RUNNING.value}
    match |= valid_lease_filter(at) | reportable_filter(viewer)
    fence = only_attempt_filter(name) if attempt is None else {"attempt": attempt}
    row = await collection_of(kind).find_one_and_update(
        match | fence, {"$set": {"leaseExpiresAt": at + duration}}, return_document=True, session=session
    )
    if row is not None:
        note_lease(row, duration)
        return {"activity": row}
    if attempt is None and await collection_of(kind).find_one(match, {"_id": 1}, session=session):
        raise InvalidInput(f"Give attempt: {name} may have held an earlier attempt of {id} as well.", "attempt")
    raise await explain_refusal(id, viewer, session, "id")


async def expired_rows(
    kind: Document, fields: dict[str, Any], limit: int, at: datetime, within: Filter | None = None
) -> list[Row]:
    """Running activities whose leases have expired, those that expired first before others; only those `within`."""
    running = {"status": ActivityStatus.RUNNING.value} | expired_lease_filter(at) | (within or {})
    return await collection_of(kind).find(running, fields, sort=[("leaseExpiresAt", 1)], limit=limit).to_list()


async def take_over(
    kind: Document, match: Filter, changes: dict[str, Any], at: datetime, session: Session | None
) -> Row | None:
    """Lease an activity whose lease has expired with another worker; None when that worker extended it meanwhile."""
    return await apply_transition(kind, Transition.TAKE_OVER, match | expired_lease_filter(at), changes, at, session)


async def requeue_expired() -> int:
    """Take activities from silent workers, to be claimed again or, after the last attempt, FAILED; returns how many."""
    at, count = now(), 0
    fields = {"attempt": 1, "handed_back": 1, "leaseExpiresAt": 1, "availableAt": 1}
    for kind in KINDS.values():
        for row in await expired_rows(kind, fields, EXPIRY_BATCH_SIZE, at):
            is_last = counted_attempts(row) >= MAX_ATTEMPTS
            count += await (fail_exhausted(row, at) if is_last else _requeue(row, at))
    return count


async def fail_exhausted(row: Row, at: datetime) -> bool:
    """End an activity whose last attempt expired, and cancel its dependents; returns whether it was ended."""

    async def work(session: Session) -> bool:
        failed = await _apply(row, Transition.FAIL, {"error": _error(row, retryable=False)}, at, session)
        if failed is not None and "executionRef" in failed:
            await propagate(failed, session)
        return failed is not None

    return await in_transaction(work)


async def _requeue(row: Row, at: datetime) -> bool:
    changes = {"error": _error(row, retryable=True), "availableAt": available_from(row)}
    try:
        return await _apply(row, Transition.REQUEUE, changes, at, None) is not None
    except DuplicateKeyError:
        # Another transform of the resource waits, and only one may. This one is claimed directly, without waiting
        # first.
        return False


async def _apply(
    row: Row, transition: Transition, changes: dict[str, Any], at: datetime, session: Session | None
) -> Row | None:
    match = {"_id": row["_id"], "attempt": row["attempt"]} | expired_lease_filter(at)
    return await apply_transition(kind_of_activity(row["_id"]), transition, match, changes, at, session)


def _error(row: Row, *, retryable: bool) -> dict[str, Any]:
    attempt = f"Attempt {counted_attempts(row)} of {MAX_ATTEMPTS}"
    return activity_error(
        LEASE_LAPSED, f"{attempt}: its worker was silent for longer than its lease.", retryable=retryable
    )
