"""Cancelling executions."""

import documents
from documents.activity import OPEN
from resolvers.checks import a_text
from resolvers.execution import own_execution
from resolvers.fetch import collection_of
from resolvers.refusals import InvalidState
from resolvers.runs import cancel
from resolvers.viewer import Role, Viewer
from resolvers.writing import Outcome, Session, require


async def cancel_execution(session: Session, viewer: Viewer, *, id: str, reason: str | None = None) -> Outcome:
    """The execution, ended, with all its steps that had not; workers are told at their next report.

    Raises NotFound, Forbidden when it is not the viewer's, and InvalidState when it has ended already.
    """
    require(viewer, Role.USER, Role.WORKER)
    message = a_text(reason, "reason")
    execution = await own_execution(id, viewer, session, "id")
    if execution["status"] not in OPEN:
        raise InvalidState(
            f"{id} is {execution['status']}; what has ended is not cancelled.",
            "id",
            current=execution["status"],
            allowed=[status.value for status in OPEN],
        )
    await cancel(id, message or "The execution was cancelled.", session)
    return {"execution": await collection_of(documents.Execution).find_one({"_id": id}, session=session)}
