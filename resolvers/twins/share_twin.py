"""Sharing a digital twin as a whole, its outputs included, with readers."""

from typing import Unpack

import documents
from documents.mongo.transaction import Session
from resolvers.access.roles import require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.limits import MAX_TWIN_READERS
from resolvers.twins.digital_twin import get_own_twin
from resolvers.twins.readers import ReaderChanges, new_readers
from resolvers.twins.twin_rights import copy_rights, readers_of
from resolvers.user_errors import LimitExceeded
from resolvers.writes.store import update
from resolvers.writes.transaction import Outcome


async def update_digital_twin_access(
    session: Session, viewer: Viewer, *, id: str, expected_revision: int | None = None, **people: Unpack[ReaderChanges]
) -> Outcome:
    """Share a twin, with everything below it, and return it; `people` are authorised and revoked as in `new_readers`.

    Raises NotFound and Forbidden for the twin, RevisionConflict, LimitExceeded, and Refusals for unknown people.
    """
    require_role(viewer, Role.USER, Role.WORKER)
    twin = await get_own_twin(id, viewer, session, "id")
    readers = await new_readers(readers_of(twin), session, **people)
    readers = [reader for reader in readers if reader != twin["userRef"]]
    check_readers(readers)
    changed = await update(documents.DigitalTwin, twin, {"readerRefs": readers}, expected_revision, session)
    if people_changed := set(readers) ^ set(readers_of(twin)):
        await copy_rights(id, {"readerRefs": readers}, session, people=len(people_changed))
    return {"digital_twin": changed}


def check_readers(ids: list[str]) -> None:
    """Raise LimitExceeded when these are more readers than a twin may have."""
    if len(ids) > MAX_TWIN_READERS:
        raise LimitExceeded(
            f"{len(ids):,} users are too many; a digital twin is shared with at most {MAX_TWIN_READERS}."
        )
