"""Writing component versions, which are immutable but for their deprecation."""

import documents
from documents.base import now
from documents.mongo.transaction import Session
from resolvers.access.roles import require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.reads.rows import collection_of
from resolvers.twins.component import latest_version_ref
from resolvers.writes.store import get_readable, lock_row, update
from resolvers.writes.transaction import Outcome


async def deprecate_component_version(session: Session, viewer: Viewer, *, id: str, deprecated: bool) -> Outcome:
    """Deprecate or restore a version, update its component's latest version, and return the version. Idempotent."""
    require_role(viewer, Role.WORKER)
    version = await get_readable(documents.ComponentVersion, id, viewer, session, "id")
    changed = await collection_of(documents.ComponentVersion).find_one_and_update(
        {"_id": id, "deprecated": {"$ne": deprecated}},
        {"$set": {"deprecated": deprecated, "updated_at": now()}},
        return_document=True,
        session=session,
    )
    if changed is None:
        return {"component_version": version}
    # Two versions of a component that change at once conflict here.
    component = await lock_row(documents.Component, version["componentId"], "deprecations", session)
    latest = {"latestVersionRef": await latest_version_ref(component["_id"], session)}
    await update(documents.Component, component, latest, None, session)
    return {"component_version": changed}
