"""Cancelling executions and transforms."""

import documents
from documents.activities.activity import OPEN
from documents.base import now
from documents.mongo.transaction import Session
from resolvers.access.roles import require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.activities.state_machine import (
    CANCELLED_CODE,
    Transition,
    activity_error,
    apply_transition,
    cancel_execution_steps,
)
from resolvers.reads.rows import Row, collection_of
from resolvers.twins.execution import get_own_execution
from resolvers.user_errors import InvalidState
from resolvers.validators import check_text
from resolvers.writes.store import get_readable
from resolvers.writes.transaction import Outcome


async def cancel_execution(session: Session, viewer: Viewer, *, id: str, reason: str | None = None) -> Outcome:
    """Cancel an execution with its unended steps, and return it; workers are told at their next report.

    Raises NotFound, Forbidden when it is not the viewer's, and InvalidState when it has ended already.
    """
    require_role(viewer, Role.USER, Role.WORKER)
    message = check_text(reason, "reason")
    execution = await get_own_execution(id, viewer, session, "id")
    if execution["status"] not in OPEN:
        raise _has_ended(execution)
    await cancel_execution_steps(id, message or "The execution was cancelled.", session)
    return {"execution": await collection_of(documents.Execution).find_one({"_id": id}, session=session)}


async def cancel_transform(session: Session, viewer: Viewer, *, id: str, reason: str | None = None) -> Outcome:
    """Cancel a transform and return it; its worker is told at the next report. Raises NotFound, and InvalidState when
    it has ended.

    Its pending files stay pending, for the next transform of its resource.
    """
    require_role(viewer, Role.WORKER)
    message = check_text(reason, "reason") or "The transform was cancelled."
    transform = await get_readable(documents.Transform, id, viewer, session, "id")
    error = {"error": activity_error(CANCELLED_CODE, message)}
    cancelled = await apply_transition(documents.Transform, Transition.CANCEL, {"_id": id}, error, now(), session)
    if cancelled is None:
        raise _has_ended(transform)
    return {"transform": cancelled}


def _has_ended(activity: Row) -> InvalidState:
    return InvalidState(
        f"{activity['_id']} is {activity['status']}; it has ended and cannot be cancelled.",
        "id",
        current=activity["status"],
        allowed=[status.value for status in OPEN],
    )
