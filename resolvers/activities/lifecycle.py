"""Reports of workers on the activities that they hold: signs of life, and how the activity ended.

A report counts while its lease lasts and its attempt is the present one. Otherwise it is refused as INVALID_STATE and
changes nothing; a caller that never held the activity and may not see it gets NOT_FOUND.
"""

from datetime import timedelta
from typing import Any

import documents
from documents.access.idempotency_key import TTL_SECONDS
from documents.activities.activity import ActivityStatus
from documents.activities.log_entry import LogLevel
from documents.base import kind_of, now
from documents.mongo.transaction import Session
from resolvers.access.policies import readable
from resolvers.access.roles import require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.activities.attempts import end_attempt, running_attempt
from resolvers.activities.claim import MAX_EARLIER_WORKERS, check_lease, check_worker, note_lease
from resolvers.activities.retry import after_failure, after_hand_back
from resolvers.activities.server_log_lines import append_line
from resolvers.activities.state_machine import (
    FAILED,
    HANDED_BACK,
    LEASE_LAPSED,
    MOST_ATTEMPTS,
    SUCCEEDED,
    Move,
    activity_error,
    held,
    move,
    propagate,
    standing,
    tries,
)
from resolvers.filters import Filter, all_of, any_of
from resolvers.reads.relations import Document
from resolvers.reads.rows import Row, collection_of
from resolvers.user_errors import InvalidInput, InvalidState, NotFound, Refusal, Refusals, noting
from resolvers.validators import check_line, check_url
from resolvers.writes.idempotency import KeyedCall, run_once_in_transaction
from resolvers.writes.transaction import Outcome

KINDS: dict[str, Document] = {documents.Step.kind: documents.Step, documents.Transform.kind: documents.Transform}
LONGEST_CODE = 100
LONGEST_MESSAGE = 10_000
ENDS: dict[str, Move] = {SUCCEEDED: Move.SUCCEED, FAILED: Move.FAIL}
"""The move that an outcome makes the activity take."""
REPEATED_WITHIN = timedelta(seconds=TTL_SECONDS)
"""How long a repeated report of an end is answered with the ended activity, as long as under an idempotency key: the
reporter may not see the activity otherwise."""


async def extend_lease(viewer: Viewer, call: KeyedCall | None = None, **given: Any) -> Outcome:
    """Extend the lease of an activity by one write, in a transaction where the outcome of the call is kept; returns the
    activity."""
    if call is None:
        return await _extend(None, viewer, **given)
    return await run_once_in_transaction(call, lambda session: _extend(session, viewer, **given))


async def _extend(
    session: Session | None,
    viewer: Viewer,
    *,
    id: str,
    worker: str,
    lease_seconds: int,
    attempt: int | None = None,
) -> Outcome:
    """Extend the lease from now; returns the activity. `attempt` may be left out only when it is unambiguous.

    Raises NotFound, InvalidInput and InvalidState.
    """
    require_role(viewer, Role.WORKER)
    by, at, kind = check_worker(worker, "worker"), now(), kind_named(id, "id")
    duration = check_lease(lease_seconds, "leaseSeconds")
    match = {"_id": id, "worker": by, "status": ActivityStatus.RUNNING.value} | held(at) | claimant_filter(viewer)
    fence = _no_earlier_attempt_of(by) if attempt is None else {"attempt": attempt}
    extended = await collection_of(kind).find_one_and_update(
        match | fence, {"$set": {"leaseExpiresAt": at + duration}}, return_document=True, session=session
    )
    if extended is not None:
        note_lease(extended, duration)
        return {"activity": extended}
    if attempt is None and await collection_of(kind).find_one(match, {"_id": 1}, session=session):
        raise InvalidInput(f"Give attempt: {by} may have held an earlier attempt of {id} as well.", "attempt")
    raise await explain_refusal(id, viewer, session, "id")


def _no_earlier_attempt_of(worker: str) -> Filter:
    """A filter for activities of which no process can hold an earlier attempt under this name."""
    return {"earlier_workers": {"$ne": worker}, f"earlier_workers.{MAX_EARLIER_WORKERS - 1}": {"$exists": False}}


async def complete_activity(
    session: Session,
    viewer: Viewer,
    *,
    id: str,
    worker: str,
    attempt: int,
    outcome: str,
    error: dict[str, Any] | None = None,
    **details: Any,
) -> Outcome:
    """End an activity, or let it wait for its next attempt after a retryable failure; returns it.

    Repeating the report gives the same answer. Raises Refusals with everything that is wrong with the input, NotFound,
    and InvalidState.
    """
    require_role(viewer, Role.WORKER)
    kind = kind_named(id, "id")
    by = check_worker(worker, "worker")
    changes = _checked(kind, outcome, error, details)
    match = {"_id": id, "worker": by, "attempt": attempt} | held(now()) | claimant_filter(viewer)
    retryable = outcome == FAILED and bool((changes["error"] or {}).get("retryable"))
    row = await running_attempt(kind, match, session) if retryable else None
    if row is not None and tries(row) < MOST_ATTEMPTS:
        again = {"error": changes["error"]} | after_failure(row, now())
        reported = await end_attempt(kind, match, again, session)
    else:
        reported = await move(kind, ENDS[outcome], match, changes, now(), session)
        if reported is not None and kind is documents.Step:
            await propagate(reported, session)
    if reported is None:
        reported = await _said_before(kind, match, outcome, session)
    if reported is None:
        raise await explain_refusal(id, viewer, session, "id")
    return {"activity": reported}


async def release_activity(
    session: Session, viewer: Viewer, *, id: str, worker: str, attempt: int, reason: str | None = None
) -> Outcome:
    """Hand an activity back for the next claim without counting this attempt; returns it.

    With a reason it waits for a while, and its log says why. Repeating the report gives the same answer. Raises
    NotFound, InvalidInput and InvalidState.
    """
    require_role(viewer, Role.WORKER)
    kind, by, why = kind_named(id, "id"), check_worker(worker, "worker"), check_line(reason, "reason")
    match = {"_id": id, "worker": by, "attempt": attempt} | held(now()) | claimant_filter(viewer)
    row = await running_attempt(kind, match, session)
    released = await _hand_back(kind, match, row, why, session) if row is not None else None
    if released is None:
        said = {name: value for name, value in match.items() if name != "leaseExpiresAt"}
        released = await collection_of(kind).find_one(said | {"error.code": HANDED_BACK}, session=session)
    if released is None:
        raise await explain_refusal(id, viewer, session, "id")
    return {"activity": released}


async def _hand_back(kind: Document, match: Filter, row: Row, why: str | None, session: Session) -> Row | None:
    said = f"its worker {row['worker']} handed it back: {why}" if why else "its worker stopped and handed it back."
    message = f"Attempt {row['attempt']}: {said}"
    at = now()
    wait = after_hand_back(row, at) if why else {"availableAt": None}
    error = activity_error(HANDED_BACK, message, retryable=True)
    released = await end_attempt(kind, match, {"error": error} | wait, session, Move.RELEASE_CLAIM)
    if released is None or why is None:
        return released
    return await append_line(kind, row["_id"], LogLevel.WARNING, message, session)


def kind_named(id: str, *path: str) -> Document:
    """The kind of activity that the id belongs to. Raises NotFound when activities have no such ids."""
    kind = KINDS.get(kind_of(id))
    if kind is None:
        raise NotFound("Activity", id, *path)
    return kind


def claimant_filter(viewer: Viewer) -> Filter:
    """The filter for activities that the viewer may report on: those claimed with the same credentials; all for
    administrators."""
    return {} if viewer.role is Role.ADMIN else {"claimed_by": viewer.key}


def check_attempt(attempt: int | None, row: Row, viewer: Viewer) -> None:
    """Refuse a report that names no attempt, where the viewer's credentials held more than one.

    It may come from a process that held an earlier one.
    """
    if attempt is None and row.get("claimed_again") and row["claimed_by"] == viewer.key:
        said = f"Give attempt: {row['_id']} is at attempt {row['attempt']}, and your token held an earlier one as well."
        raise InvalidInput(said, "attempt")


async def explain_refusal(id: str, viewer: Viewer, session: Session | None, *path: str) -> NotFound | InvalidState:
    """The reason why a report is refused. A viewer that ever held the activity is told its status."""
    kind = kind_named(id, *path)
    known = any_of([readable(kind, viewer), {"claimants": viewer.key}])
    row = await collection_of(kind).find_one(all_of([{"_id": id}, known]), session=session)
    if row is None:
        return NotFound(kind.__name__, id, *path)
    stands = standing(row, now())
    if stands is ActivityStatus.RUNNING:
        message = f"{id} is at attempt {row['attempt']}, which {row['worker'] or 'somebody else'} holds."
    else:
        message = f"{id} is {stands}; only the worker that holds it may report on it, while its lease lasts."
    return InvalidState(message, *path, current=stands.value, allowed=[ActivityStatus.RUNNING.value])


def _checked(kind: Document, outcome: str, error: dict[str, Any] | None, details: dict[str, Any]) -> dict[str, Any]:
    """The changes that a report makes beside the status, by stored name."""
    refusals: list[Refusal] = []
    changes: dict[str, Any] = {"error": None}
    if outcome == FAILED and error is not None:
        with noting(refusals):
            changes["error"] = _an_error(**error)
    elif error is not None:
        refusals.append(InvalidInput("error is only for the outcome FAILED, not for SUCCEEDED.", "error"))
    for name, value in details.items():
        with noting(refusals):
            changes[f"details.{name}"] = _a_detail(kind, name, value)
    if refusals:
        raise Refusals(refusals)
    return changes


def _an_error(code: str, message: str, retryable: bool) -> dict[str, Any]:
    refusals: list[Refusal] = []
    with noting(refusals):
        code = check_line(code, "error", "code")
        if len(code) > LONGEST_CODE:
            raise InvalidInput(f"code has {len(code)} characters; at most {LONGEST_CODE} are kept.", "error", "code")
    with noting(refusals):
        if len(message) > LONGEST_MESSAGE:
            long = f"message has {len(message)} characters; at most {LONGEST_MESSAGE} are kept."
            raise InvalidInput(long, "error", "message")
    if refusals:
        raise Refusals(refusals)
    return activity_error(code, message, retryable=retryable)


def _a_detail(kind: Document, name: str, value: Any) -> Any:
    if kind is not documents.Transform:
        raise InvalidInput(f"{name} is for transforms only, not for steps.", name)
    return value if name == "validated" else check_url(value, name)


async def _said_before(kind: Document, match: Filter, outcome: str, session: Session) -> Row | None:
    """The activity, if the very same report has ended it recently."""
    same = {name: value for name, value in match.items() if name != "leaseExpiresAt"}
    recent = any_of([{"end_timestamp": None}, {"end_timestamp": {"$gt": now() - REPEATED_WITHIN}}])
    row = await collection_of(kind).find_one(all_of([same, recent]), session=session)
    if row is None or (row["error"] or {}).get("code") in (LEASE_LAPSED, HANDED_BACK):
        return None
    tried_again = outcome == FAILED and row["error"] is not None and standing(row, now()) is ActivityStatus.READY
    return row if row["status"] == outcome or tried_again else None
