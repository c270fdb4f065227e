"""Reports of workers on how their activities ended: completed, failed, or handed back.

A report counts while its lease lasts and its attempt is the current one. Otherwise it is refused as INVALID_STATE and
changes nothing; a caller that never held the activity and may not see it gets NOT_FOUND.
"""

from datetime import timedelta
from typing import Any, TypedDict, Unpack

import documents
from documents.access.idempotency_key import TTL_SECONDS
from documents.activities.activity import ActivityStatus
from documents.activities.log_entry import LogLevel
from documents.base import now
from documents.mongo.transaction import Session
from resolvers.access.roles import require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.activities.attempts import end_attempt, running_attempt
from resolvers.activities.lease import valid_lease_filter
from resolvers.activities.report_access import check_worker_name, explain_refusal, kind_of_activity, reportable_filter
from resolvers.activities.retry import after_failure, after_hand_back
from resolvers.activities.server_log_lines import append_line
from resolvers.activities.state_machine import (
    FAILED,
    HANDED_BACK,
    LEASE_LAPSED,
    SUCCEEDED,
    Transition,
    activity_error,
    apply_transition,
    counted_attempts,
    effective_status,
    propagate,
)
from resolvers.filters import Filter, all_of, any_of
from resolvers.limits import MAX_ATTEMPTS
from resolvers.provenance.external_data.external_state import reporter_of
from resolvers.provenance.used import UsedValues
from resolvers.provenance.used_at_end import record_used_at_end
from resolvers.reads.relations import Document
from resolvers.reads.rows import Row, collection_of
from resolvers.user_errors import InvalidInput, Refusal, Refusals, collect_refusals
from resolvers.validators import check_line, check_url
from resolvers.writes.transaction import Outcome

MAX_ERROR_CODE_LENGTH = 100
MAX_ERROR_MESSAGE_LENGTH = 10_000
TRANSITION_OF: dict[str, Transition] = {SUCCEEDED: Transition.SUCCEED, FAILED: Transition.FAIL}
"""The transition that each reported outcome makes."""
REPEAT_WINDOW = timedelta(seconds=TTL_SECONDS)
"""How long a repeated report of an end is answered with the ended activity, as long as under an idempotency key: the
reporter may not see the activity otherwise."""


class ErrorReport(TypedDict):
    """The reason that a worker reports for a failure."""

    code: str
    message: str
    retryable: bool


class TransformReport(TypedDict, total=False):
    """Details of a transform that ended, as its worker reports them."""

    validated: bool | None
    logs: str | None
    notebook: str | None


async def complete_activity(
    session: Session,
    viewer: Viewer,
    *,
    id: str,
    worker: str,
    attempt: int,
    outcome: str,
    error: ErrorReport | None = None,
    used: list[UsedValues] | None = None,
    **details: Unpack[TransformReport],
) -> Outcome:
    """End an activity, or let it wait for its next attempt after a retryable failure; returns it.

    What it `used` is recorded when it ends; the next attempt begins with what it was told to use. Repeating the report
    gives the same answer. Raises Refusals with everything that is wrong with the input, NotFound, and InvalidState.
    """
    require_role(viewer, Role.WORKER, allow_bound=True)
    kind = kind_of_activity(id, "id")
    name = check_worker_name(worker, "worker")
    changes = _changes(kind, outcome, error, details)
    match = {"_id": id, "worker": name, "attempt": attempt} | valid_lease_filter(now()) | reportable_filter(viewer)
    retryable = outcome == FAILED and bool((changes["error"] or {}).get("retryable"))
    row = await running_attempt(kind, match, session) if retryable or used is not None else None
    if row is not None and retryable and counted_attempts(row) < MAX_ATTEMPTS:
        wait = {"error": changes["error"]} | after_failure(row, now())
        activity = await end_attempt(kind, match, wait, session)
    else:
        if row is not None:
            changes |= await record_used_at_end(row, used, reporter_of(row), viewer, session)
        activity = await apply_transition(kind, TRANSITION_OF[outcome], match, changes, now(), session)
        if activity is not None and kind is documents.Step:
            await propagate(activity, session)
    if activity is None:
        activity = await _activity_ended_by_same_report(kind, match, outcome, session)
    if activity is None:
        raise await explain_refusal(id, viewer, session, "id")
    return {"activity": activity}


async def release_activity(
    session: Session, viewer: Viewer, *, id: str, worker: str, attempt: int, reason: str | None = None
) -> Outcome:
    """Hand an activity back for the next claim without counting this attempt; returns it.

    With a reason it waits for a while, and its log says why. Repeating the report gives the same answer. Raises
    NotFound, InvalidInput and InvalidState.
    """
    require_role(viewer, Role.WORKER, allow_bound=True)
    kind, name, why = kind_of_activity(id, "id"), check_worker_name(worker, "worker"), check_line(reason, "reason")
    match = {"_id": id, "worker": name, "attempt": attempt} | valid_lease_filter(now()) | reportable_filter(viewer)
    row = await running_attempt(kind, match, session)
    released = await _hand_back(kind, match, row, why, session) if row is not None else None
    if released is None:
        without_lease = {field: value for field, value in match.items() if field != "leaseExpiresAt"}
        released = await collection_of(kind).find_one(without_lease | {"error.code": HANDED_BACK}, session=session)
    if released is None:
        raise await explain_refusal(id, viewer, session, "id")
    return {"activity": released}


async def _hand_back(kind: Document, match: Filter, row: Row, why: str | None, session: Session) -> Row | None:
    ending = f"its worker {row['worker']} handed it back: {why}" if why else "its worker stopped and handed it back."
    message = f"Attempt {row['attempt']}: {ending}"
    at = now()
    wait = after_hand_back(row, at) if why else {"availableAt": None}
    error = activity_error(HANDED_BACK, message, retryable=True)
    released = await end_attempt(kind, match, {"error": error} | wait, session, Transition.RELEASE_CLAIM)
    if released is None or why is None:
        return released
    return await append_line(kind, row["_id"], LogLevel.WARNING, message, session)


def _changes(kind: Document, outcome: str, error: ErrorReport | None, details: TransformReport) -> dict[str, Any]:
    """The changes that a report makes beside the status, by stored name. Raises Refusals with everything that is
    wrong."""
    refusals: list[Refusal] = []
    changes: dict[str, Any] = {"error": None}
    if outcome == FAILED and error is not None:
        with collect_refusals(refusals):
            changes["error"] = _validated_error(**error)
    elif error is not None:
        refusals.append(InvalidInput("error is only for the outcome FAILED, not for SUCCEEDED.", "error"))
    for name, value in details.items():
        with collect_refusals(refusals):
            changes[f"details.{name}"] = _validated_detail(kind, name, value)
    if refusals:
        raise Refusals(refusals)
    return changes


def _validated_error(code: str, message: str, retryable: bool) -> dict[str, Any]:
    refusals: list[Refusal] = []
    with collect_refusals(refusals):
        code = check_line(code, "error", "code")
        if len(code) > MAX_ERROR_CODE_LENGTH:
            too_long = f"code has {len(code)} characters; at most {MAX_ERROR_CODE_LENGTH} are allowed."
            raise InvalidInput(too_long, "error", "code")
    with collect_refusals(refusals):
        if len(message) > MAX_ERROR_MESSAGE_LENGTH:
            too_long = f"message has {len(message)} characters; at most {MAX_ERROR_MESSAGE_LENGTH} are allowed."
            raise InvalidInput(too_long, "error", "message")
    if refusals:
        raise Refusals(refusals)
    return activity_error(code, message, retryable=retryable)


def _validated_detail(kind: Document, name: str, value: Any) -> Any:
    if kind is not documents.Transform:
        raise InvalidInput(f"{name} is for transforms only, not for steps.", name)
    return value if name == "validated" else check_url(value, name)


async def _activity_ended_by_same_report(kind: Document, match: Filter, outcome: str, session: Session) -> Row | None:
    """The activity, if the same report ended it recently; None otherwise."""
    without_lease = {field: value for field, value in match.items() if field != "leaseExpiresAt"}
    recent = any_of([{"end_timestamp": None}, {"end_timestamp": {"$gt": now() - REPEAT_WINDOW}}])
    row = await collection_of(kind).find_one(all_of([without_lease, recent]), session=session)
    if row is None or (row["error"] or {}).get("code") in (LEASE_LAPSED, HANDED_BACK):
        return None
    is_retried = outcome == FAILED and row["error"] is not None and effective_status(row, now()) is ActivityStatus.READY
    return row if row["status"] == outcome or is_retried else None
