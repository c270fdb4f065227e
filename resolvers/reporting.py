"""Workers report on what they hold: that they are alive, and how it ended.

A report counts while its lease lasts and its attempt is the present one. Otherwise it is refused as INVALID_STATE and
changes nothing; whoever never held the activity and may not see it is told that there is none.
"""

from typing import Any

from pymongo.errors import DuplicateKeyError

import documents
from documents.activity import ActivityStatus
from documents.base import kind_of, now
from resolvers.checks import a_line, a_url
from resolvers.claiming import a_lease, a_worker
from resolvers.fetch import Row, collection_of
from resolvers.filters import Filter, all_of, any_of
from resolvers.links import Document
from resolvers.policies import readable
from resolvers.refusals import InvalidInput, InvalidState, NotFound, Refusal, Refusals, noting
from resolvers.runs import (
    FAILED,
    HANDED_BACK,
    LEASE_LAPSED,
    MOST_ATTEMPTS,
    SUCCEEDED,
    Move,
    an_error,
    carry_on,
    held,
    move,
    standing,
    tries,
)
from resolvers.viewer import Role, Viewer
from resolvers.writing import Again, Outcome, Session, require

KINDS: dict[str, Document] = {documents.Step.kind: documents.Step, documents.Transform.kind: documents.Transform}
LONGEST_CODE = 100
LONGEST_MESSAGE = 10_000
ENDS: dict[str, Move] = {SUCCEEDED: Move.SUCCEED, FAILED: Move.FAIL}
"""What an outcome does to the activity."""


async def extend_lease(viewer: Viewer, *, id: str, worker: str, lease_seconds: int) -> Outcome:
    """The activity, whose lease lasts from now for so long. Raises NotFound and InvalidState. No transaction needed."""
    require(viewer, Role.WORKER)
    by, at = a_worker(worker, "worker"), now()
    until = at + a_lease(lease_seconds, "leaseSeconds")
    match = {"_id": id, "worker": by, "status": ActivityStatus.RUNNING.value} | held(at) | by_whom(viewer)
    extended = await collection_of(kind_named(id, "id")).find_one_and_update(
        match, {"$set": {"leaseExpiresAt": until}}, return_document=True
    )
    if extended is None:
        raise await why_not(id, viewer, None, "id")
    return {"activity": extended}


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
    """The activity, ended, or waiting for its next attempt after a failure that may not last.

    The same report again answers the same again. Raises Refusals with all that is wrong with the input, NotFound, and
    InvalidState.
    """
    require(viewer, Role.WORKER)
    kind = kind_named(id, "id")
    by = a_worker(worker, "worker")
    changes = _checked(kind, outcome, error, details)
    match = {"_id": id, "worker": by, "attempt": attempt} | held(now()) | by_whom(viewer)
    retryable = outcome == FAILED and bool((changes["error"] or {}).get("retryable"))
    if retryable and await _has_tries_left(kind, match, session):
        reported = await _to_try_again(kind, match, changes["error"], session)
    else:
        reported = await move(kind, ENDS[outcome], match, changes, now(), session)
        if reported is not None and kind is documents.Step:
            await carry_on(reported, session)
    if reported is None:
        reported = await _said_before(kind, match, outcome, session)
    if reported is None:
        raise await why_not(id, viewer, session, "id")
    return {"activity": reported}


async def release_activity(session: Session, viewer: Viewer, *, id: str, worker: str, attempt: int) -> Outcome:
    """The activity, waiting for whoever claims it next, as if this attempt had not been one of those it has.

    The same again answers the same again. Raises NotFound and InvalidState.
    """
    require(viewer, Role.WORKER)
    kind, by = kind_named(id, "id"), a_worker(worker, "worker")
    match = {"_id": id, "worker": by, "attempt": attempt} | held(now()) | by_whom(viewer)
    error = an_error(HANDED_BACK, f"Attempt {attempt}: its worker stopped, and handed it back.", retryable=True)
    released = await _to_try_again(kind, match, error, session, Move.HAND_BACK)
    if released is None:
        said = {name: value for name, value in match.items() if name != "leaseExpiresAt"}
        released = await collection_of(kind).find_one(said | {"error.code": HANDED_BACK}, session=session)
    if released is None:
        raise await why_not(id, viewer, session, "id")
    return {"activity": released}


def kind_named(id: str, *path: str) -> Document:
    """The kind of activity with such an id. Raises NotFound when activities have none like it."""
    kind = KINDS.get(kind_of(id))
    if kind is None:
        raise NotFound("Activity", id, *path)
    return kind


def by_whom(viewer: Viewer) -> Filter:
    """What the viewer may report on, because it was claimed with the same credentials. Administrators may on all."""
    return {} if viewer.role is Role.ADMIN else {"claimed_by": viewer.key}


async def why_not(id: str, viewer: Viewer, session: Session | None, *path: str) -> NotFound | InvalidState:
    """Why a report is refused. Whoever has ever held an activity is told where it stands."""
    kind = kind_named(id, *path)
    known = any_of([readable(kind, viewer), {"claimants": viewer.key}])
    row = await collection_of(kind).find_one(all_of([{"_id": id}, known]), session=session)
    if row is None:
        return NotFound(kind.__name__, id, *path)
    stands = standing(row, now())
    if stands is ActivityStatus.RUNNING:
        message = f"{id} is at attempt {row['attempt']}, which {row['worker'] or 'somebody else'} holds."
    else:
        message = f"{id} is {stands}; only whoever holds it reports on it, while the lease lasts."
    return InvalidState(message, *path, current=stands.value, allowed=[ActivityStatus.RUNNING.value])


def _checked(kind: Document, outcome: str, error: dict[str, Any] | None, details: dict[str, Any]) -> dict[str, Any]:
    """What a report changes beside the state, by stored name."""
    refusals: list[Refusal] = []
    changes: dict[str, Any] = {"error": None}
    if outcome == FAILED and error is not None:
        with noting(refusals):
            changes["error"] = _an_error(**error)
    elif error is not None:
        refusals.append(InvalidInput("error is for what FAILED; this is said to have SUCCEEDED.", "error"))
    for name, value in details.items():
        with noting(refusals):
            changes[f"details.{name}"] = _a_detail(kind, name, value)
    if refusals:
        raise Refusals(refusals)
    return changes


def _an_error(code: str, message: str, retryable: bool) -> dict[str, Any]:
    refusals: list[Refusal] = []
    with noting(refusals):
        code = a_line(code, "error", "code")
        if len(code) > LONGEST_CODE:
            raise InvalidInput(f"code has {len(code)} characters; at most {LONGEST_CODE} are kept.", "error", "code")
    with noting(refusals):
        if len(message) > LONGEST_MESSAGE:
            long = f"message has {len(message)} characters; at most {LONGEST_MESSAGE} are kept."
            raise InvalidInput(long, "error", "message")
    if refusals:
        raise Refusals(refusals)
    return an_error(code, message, retryable=retryable)


def _a_detail(kind: Document, name: str, value: Any) -> Any:
    if kind is not documents.Transform:
        raise InvalidInput(f"{name} is for transforms; a step has none.", name)
    return value if name == "validated" else a_url(value, name)


async def _has_tries_left(kind: Document, match: Filter, session: Session) -> bool:
    row = await collection_of(kind).find_one(match, {"attempt": 1, "handed_back": 1}, session=session)
    return row is not None and tries(row) < MOST_ATTEMPTS


async def _to_try_again(
    kind: Document, match: Filter, error: dict[str, Any], session: Session, how: Move = Move.GIVE_BACK
) -> Row | None:
    """The activity, waiting for its next attempt."""
    if kind is documents.Transform and await _another_waits(match["_id"], session):
        # One transform of a resource may wait. This one is as if its lease had lapsed: the next claim takes it over.
        running = match | {"status": ActivityStatus.RUNNING.value}
        lapsed: Row = {"$set": {"leaseExpiresAt": now(), "error": error}}
        if how is Move.HAND_BACK:
            lapsed["$inc"] = {"handed_back": 1}
        row: Row | None = await collection_of(kind).find_one_and_update(
            running, lapsed, return_document=True, session=session
        )
        return row
    try:
        return await move(kind, how, match, {"error": error}, now(), session)
    except DuplicateKeyError as duplicate:
        raise Again from duplicate


async def _another_waits(id: str, session: Session) -> bool:
    transforms = collection_of(documents.Transform)
    this = await transforms.find_one({"_id": id}, {"resourceRef": 1}, session=session)
    ready = {"resourceRef": this and this["resourceRef"], "status": ActivityStatus.READY.value}
    return await transforms.find_one(ready, {"_id": 1}, session=session) is not None


async def _said_before(kind: Document, match: Filter, outcome: str, session: Session) -> Row | None:
    """The activity when it stands where the very same report has brought it."""
    same = {name: value for name, value in match.items() if name != "leaseExpiresAt"}
    row = await collection_of(kind).find_one(same, session=session)
    if row is None or (row["error"] or {}).get("code") in (LEASE_LAPSED, HANDED_BACK):
        return None
    tried_again = outcome == FAILED and row["error"] is not None and standing(row, now()) is ActivityStatus.READY
    return row if row["status"] == outcome or tried_again else None
