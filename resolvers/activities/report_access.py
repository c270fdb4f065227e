"""Reports on activities: who may send them, and why one is refused."""

import documents
from documents.activities.activity import ActivityStatus
from documents.base import kind_of, now
from documents.mongo.transaction import Session
from resolvers.access.policies import readable
from resolvers.access.viewer import Role, Viewer
from resolvers.activities.state_machine import effective_status
from resolvers.filters import Filter, all_of, any_of
from resolvers.reads.relations import Document
from resolvers.reads.rows import Row, collection_of
from resolvers.user_errors import InvalidInput, InvalidState, NotFound
from resolvers.validators import check_line

KINDS: dict[str, Document] = {document.kind: document for document in (documents.Step, documents.Transform)}
"""The documents of activities that workers claim, by the prefix of their ids."""
MAX_WORKER_NAME_LENGTH = 200
MAX_EARLIER_WORKERS = 100
"""Names of earlier workers remembered on an activity."""


def kind_of_activity(id: str, *path: str) -> Document:
    """The kind of activity that the id belongs to. Raises NotFound when activities have no such ids."""
    kind = KINDS.get(kind_of(id))
    if kind is None:
        raise NotFound("Activity", id, *path)
    return kind


def check_worker_name(value: str, *path: str) -> str:
    """A worker's name: one line. Raises InvalidInput."""
    name = check_line(value, *path)
    if len(name) > MAX_WORKER_NAME_LENGTH:
        raise InvalidInput(
            f"{path[-1]} has {len(name)} characters; at most {MAX_WORKER_NAME_LENGTH} are allowed.", *path
        )
    return name


def reportable_filter(viewer: Viewer) -> Filter:
    """The filter for activities that the viewer may report on: those claimed with the same credentials; all for
    administrators."""
    return {} if viewer.role is Role.ADMIN else {"claimed_by": viewer.key}


def only_attempt_filter(worker: str) -> Filter:
    """The filter for activities of which no process can hold an earlier attempt under this worker's name."""
    return {"earlier_workers": {"$ne": worker}, f"earlier_workers.{MAX_EARLIER_WORKERS - 1}": {"$exists": False}}


def check_attempt(attempt: int | None, row: Row, viewer: Viewer) -> None:
    """Raise InvalidInput for a report without an attempt, where the viewer's credentials held more than one.

    It may come from a process that held an earlier one.
    """
    if attempt is None and row.get("claimed_again") and row["claimed_by"] == viewer.key:
        raise InvalidInput(
            f"Give attempt: {row['_id']} is at attempt {row['attempt']}, and your token held an earlier one as well.",
            "attempt",
        )


async def explain_refusal(id: str, viewer: Viewer, session: Session | None, *path: str) -> NotFound | InvalidState:
    """The reason why a report is refused. A viewer that ever held the activity is told its status."""
    kind = kind_of_activity(id, *path)
    visible = any_of([readable(kind, viewer), {"claimants": viewer.key}])
    row = await collection_of(kind).find_one(all_of([{"_id": id}, visible]), session=session)
    if row is None:
        return NotFound(kind.__name__, id, *path)
    status = effective_status(row, now())
    if status is ActivityStatus.RUNNING:
        message = f"{id} is at attempt {row['attempt']}, which {row['worker'] or 'somebody else'} holds."
    else:
        message = f"{id} is {status}; only the worker that holds it may report on it, while its lease lasts."
    return InvalidState(message, *path, current=status.value, allowed=[ActivityStatus.RUNNING.value])
