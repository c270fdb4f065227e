"""Writing versions of components, which never change but for being deprecated."""

import documents
from documents.base import now
from resolvers.component import latest_version_ref
from resolvers.fetch import collection_of
from resolvers.viewer import Role, Viewer
from resolvers.writing import Outcome, Session, require, update, visible


async def deprecate_component_version(session: Session, viewer: Viewer, *, id: str, deprecated: bool) -> Outcome:
    """The version, deprecated or brought back, and its component's latest version moved. Twice is as good as once."""
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
    component = await visible(documents.Component, version["componentId"], viewer, session)
    # Written even when it stays the same, so that two versions deprecated at once do not miss each other.
    latest = {"latestVersionRef": await latest_version_ref(component["_id"], session)}
    await update(documents.Component, component, latest, None, session)
    return {"component_version": changed}
