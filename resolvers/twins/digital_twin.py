"""Writing digital twins."""

from typing import Any, TypedDict, Unpack

from pymongo.errors import DuplicateKeyError

import documents
from documents.mongo.transaction import Session
from resolvers.access.policies import owns
from resolvers.access.roles import require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.reads.rows import Row
from resolvers.twins.ownership import owner_of_new
from resolvers.twins.twin_rights import copy_rights
from resolvers.user_errors import AlreadyExists, Forbidden
from resolvers.validators import check_line, check_not_null
from resolvers.writes.store import get_readable, insert, lock_row, update
from resolvers.writes.transaction import Outcome


class DigitalTwinChanges(TypedDict, total=False):
    """The fields of a twin that its owner changes."""

    name: str | None
    status: str | None
    public: bool | None


async def create_digital_twin(
    session: Session, viewer: Viewer, *, name: str, public: bool, owner_id: str | None = None
) -> Outcome:
    """Create a twin of the viewer's or, for administrators, of any user. Raises AlreadyExists if the name is taken."""
    require_role(viewer, Role.USER)
    owner = await owner_of_new(session, viewer, owner_id, "digital twins")
    twin = documents.DigitalTwin(owner_ref=owner["_id"], name=check_line(name, "name"), public=public)
    try:
        return {"digital_twin": await insert(twin, session)}
    except DuplicateKeyError as error:
        raise _name_is_taken(twin.name) from error


async def update_digital_twin(
    session: Session,
    viewer: Viewer,
    *,
    id: str,
    expected_revision: int | None = None,
    **changes: Unpack[DigitalTwinChanges],
) -> Outcome:
    """Change a twin, publish or hide everything that follows it, and return it.

    Raises NotFound for a twin that the viewer may not see, and Forbidden for one that is not theirs.
    """
    require_role(viewer, Role.USER, Role.WORKER)
    twin = await get_own_twin(id, viewer, session, "id")
    values: dict[str, Any] = {}
    for name, change in changes.items():
        value: Any = check_not_null(change, name)
        values[name] = value if name == "public" else check_line(value, name)
    try:
        changed = await update(documents.DigitalTwin, twin, values, expected_revision, session)
    except DuplicateKeyError as error:
        raise _name_is_taken(values["name"]) from error
    if changed["public"] != twin["public"]:
        await copy_rights(id, {"public": changed["public"]}, session)
    return {"digital_twin": changed}


async def get_own_twin(id: str, viewer: Viewer, session: Session, *path: str) -> Row:
    """The viewer's own twin. Raises NotFound when the viewer may not see it, and Forbidden when it is not theirs."""
    twin = await get_readable(documents.DigitalTwin, id, viewer, session, *path)
    if not owns(viewer, twin["userRef"]):
        raise Forbidden(f"DigitalTwin {id} belongs to somebody else.", *path)
    return twin


async def lock_twin(id: str, session: Session) -> Row:
    """Lock the twin for this transaction by incrementing `additions`, so that a concurrent change of its access
    conflicts and retries.

    Raises NotFound.
    """
    return await lock_row(documents.DigitalTwin, id, "additions", session)


def _name_is_taken(name: str) -> AlreadyExists:
    return AlreadyExists(f"A digital twin called {name} of the same owner exists already.", "name")
