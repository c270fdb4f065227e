"""Requesting transforms, and their computed fields."""

import documents
from documents.activities.activity import ActivityStatus
from documents.catalogue.transform import TransformCause, TransformCauseKind
from documents.mongo.transaction import Session
from resolvers.access.roles import require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.file_events.code_repo import code_references
from resolvers.reads.order import value_at
from resolvers.reads.rows import Row, collection_of
from resolvers.validators import check_text
from resolvers.writes.store import get_readable, insert_or_retry
from resolvers.writes.transaction import Outcome


async def request_transform(
    session: Session, viewer: Viewer, *, resource_id: str, message: str | None = None
) -> Outcome:
    """Request a transform; returns the one that is waiting already, else a new one."""
    require_role(viewer, Role.WORKER)
    message = check_text(message, "message")
    row = await get_readable(documents.Resource, resource_id, viewer, session, "resourceId")
    is_waiting = {"resourceRef": row["_id"], "status": ActivityStatus.READY.value}
    waiting = await collection_of(documents.Transform).find_one(is_waiting, session=session)
    if waiting is not None:
        return {"transform": waiting}
    transform = documents.Transform(
        resource_ref=row["_id"],
        status=ActivityStatus.READY,
        code=code_references(documents.Resource.model_validate(row).code_repo),
        cause=TransformCause(kind=TransformCauseKind.REQUESTED, message=message),
    )
    return {"transform": await insert_or_retry(transform, session)}


def have_succeeded(transforms: list[Row], viewer: Viewer) -> list[bool]:
    """Whether each transform succeeded."""
    return [transform["status"] == ActivityStatus.SUCCEEDED.value for transform in transforms]


def logs_url(transforms: list[Row], viewer: Viewer) -> list[str | None]:
    """The URL of each transform's logs, for viewers who may open it."""
    return [_openable_url(value_at(transform, "details.logs"), viewer) for transform in transforms]


def notebook_url(transforms: list[Row], viewer: Viewer) -> list[str | None]:
    """The URL of each transform's notebook, for viewers who may open it."""
    return [_openable_url(value_at(transform, "details.notebook"), viewer) for transform in transforms]


def _openable_url(url: str | None, viewer: Viewer) -> str | None:
    """The URL, if the viewer may open it: web addresses are public, names of objects in buckets are for WORKER and
    ADMIN only."""
    if url is None or url.lower().startswith(("http://", "https://")):
        return url
    return url if viewer.role in (Role.WORKER, Role.ADMIN) else None
