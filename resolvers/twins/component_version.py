"""Writing component versions, which are immutable but for their deprecation."""

import documents
from documents.base import now
from resolvers.access.viewer import Role, Viewer
from resolvers.reads.fetch import collection_of
from resolvers.twins.component import latest_version_ref
from resolvers.writes.transaction import Outcome, Session, hold, require, update, visible


async def deprecate_component_version(session: Session, viewer: Viewer, *, id: str, deprecated: bool) -> Outcome:
    """Deprecate or restore a version, update its component's latest version, and return the version. Idempotent."""
    require(viewer, Role.WORKER)
    version = await visible(documents.ComponentVersion, id, viewer, session, "id")
    changed = await collection_of(documents.ComponentVersion).find_one_and_update(
        {"_id": id, "deprecated": {"$ne": deprecated}},
        {"$set": {"deprecated": deprecated, "updated_at": now()}},
        return_document=True,
        session=session,
    )
    if changed is None:
        return {"component_version": version}
    # Two versions of a component that change at once conflict here.
    component = await hold(documents.Component, version["componentId"], "deprecations", session)
    latest = {"latestVersionRef": await latest_version_ref(component["_id"], session)}
    await update(documents.Component, component, latest, None, session)
    return {"component_version": changed}
