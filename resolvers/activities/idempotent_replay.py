"""Answers to a worker that repeats a claim or a report under the same idempotency key."""

from documents.activities.activity import ActivityStatus
from documents.base import now
from resolvers.access.policies import readable
from resolvers.access.viewer import Viewer
from resolvers.activities.lease import valid_lease_filter
from resolvers.activities.report_access import explain_refusal, kind_of_activity, reportable_filter
from resolvers.filters import all_of, any_of
from resolvers.reads.rows import Row, collection_of
from resolvers.user_errors import InvalidState, NotFound
from resolvers.writes.stored_outcome import StoredOutcome
from resolvers.writes.transaction import Outcome


async def repeat_claim(viewer: Viewer, stored: StoredOutcome) -> Outcome:
    """The current activity, while the caller still holds the attempt that was claimed or extended.

    Raises InvalidState when that attempt is over: its lease has expired, another worker has it, or it has ended.
    """
    id, attempt = _id_and_attempt(stored)
    match = {"_id": id, "attempt": attempt, "status": ActivityStatus.RUNNING.value}
    match |= valid_lease_filter(now()) | reportable_filter(viewer)
    row: Row | None = await collection_of(kind_of_activity(id)).find_one(match)
    if row is not None:
        return {"activity": row}
    reason = await explain_refusal(id, viewer, None, "idempotencyKey")
    if not isinstance(reason, InvalidState):
        raise reason
    raise InvalidState(
        f"Attempt {attempt} of this idempotencyKey is over. {reason.message} Claim with a new idempotencyKey.",
        *reason.path,
        current=reason.current_state,
        allowed=reason.allowed_states,
    )


async def repeat_report(viewer: Viewer, stored: StoredOutcome) -> Outcome:
    """The current activity, for viewers who may see it, and for the caller while its attempt is the last one.

    Raises NotFound.
    """
    id, attempt = _id_and_attempt(stored)
    kind = kind_of_activity(id)
    own = {"attempt": attempt, "claimed_by": viewer.key}
    match = all_of([{"_id": id}, any_of([readable(kind, viewer), own])])
    row: Row | None = await collection_of(kind).find_one(match)
    if row is None:
        raise NotFound(kind.__name__, id, "idempotencyKey")
    return {"activity": row}


def _id_and_attempt(stored: StoredOutcome) -> tuple[str, int]:
    activity = stored["values"]["activity"]
    return activity["row"], activity["attempt"]
