"""Transferring a digital twin to another owner, with everything that follows it."""

from pymongo.errors import DuplicateKeyError

import documents
from documents.activities.activity import OPEN
from documents.mongo.transaction import Session
from resolvers.access.roles import require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.activities.state_machine import CANCELLED, FAILED, SKIPPED, SUCCEEDED
from resolvers.reads.rows import Row, collection_of
from resolvers.twins.digital_twin import get_own_twin
from resolvers.twins.share_twin import check_readers
from resolvers.twins.twin_rights import copy_rights, readers_of
from resolvers.user_errors import AlreadyExists, InvalidInput, InvalidState, NotFound
from resolvers.writes.store import get_readable, update
from resolvers.writes.transaction import Outcome


async def transfer_digital_twin(
    session: Session,
    viewer: Viewer,
    *,
    id: str,
    owner_id: str | None = None,
    owner_name: str | None = None,
    previous_owner_may_read: bool = True,
    expected_revision: int | None = None,
) -> Outcome:
    """Transfer a twin, and everything below it, to another owner, and return the twin.

    Raises NotFound, Forbidden, InvalidState while an execution has not ended, AlreadyExists when the new owner has a
    twin of this name, RevisionConflict and LimitExceeded.
    """
    require_role(viewer, Role.USER)
    twin = await get_own_twin(id, viewer, session, "id")
    before, owner = twin["userRef"], await _new_owner(owner_id, owner_name, viewer, session)
    if owner != before:
        await _check_no_execution_runs(id, session)
    readers = [*readers_of(twin), before] if previous_owner_may_read else readers_of(twin)
    readers = [reader for reader in dict.fromkeys(readers) if reader != owner]
    check_readers(readers)
    rights = {"readerRefs": readers}
    try:
        changed = await update(documents.DigitalTwin, twin, rights | {"userRef": owner}, expected_revision, session)
    except DuplicateKeyError as error:
        message = f"{owner} has a digital twin called {twin['name']} already: rename one of them first."
        raise AlreadyExists(message, "ownerId" if owner_id is not None else "ownerName") from error
    if owner != before:
        await copy_rights(id, rights | {"ownerRef": owner}, session, people=2)
    return {"digital_twin": changed}


async def _new_owner(id: str | None, name: str | None, viewer: Viewer, session: Session) -> str:
    """The id of the user with this id or display name. Raises InvalidInput and NotFound."""
    if (id is None) == (name is None):
        raise InvalidInput("Give either ownerId or ownerName.", "ownerId")
    if name is None:
        owner: Row | None = await get_readable(documents.User, id or "", viewer, session, "ownerId")
    else:
        owner = await collection_of(documents.User).find_one({"displayName": name.strip()}, session=session)
    if owner is None:
        raise NotFound("User", str(name), "ownerName", key="displayName")
    return str(owner["_id"])


async def _check_no_execution_runs(twin_id: str, session: Session) -> None:
    """Raise InvalidState while an execution runs or waits to run: it was started on behalf of the owner."""
    unended = {"digitalTwinRef": twin_id, "status": {"$in": list(OPEN)}}
    execution = await collection_of(documents.Execution).find_one(unended, {"status": 1}, session=session)
    if execution is not None:
        raise InvalidState(
            f"Execution {execution['_id']} of the twin is {execution['status']}: wait until it ends, or cancel it.",
            "id",
            current=execution["status"],
            allowed=[status.value for status in (SUCCEEDED, FAILED, CANCELLED, SKIPPED)],
        )
