"""Asking for transforms, and what is worked out about them."""

import documents
from documents.activity import ActivityStatus
from documents.transform import TransformCause, TransformCauseKind
from resolvers.checks import a_text
from resolvers.code_repo import frozen
from resolvers.fetch import Row, collection_of
from resolvers.order import value_at
from resolvers.viewer import Role, Viewer
from resolvers.writing import Outcome, Session, insert_unless_there, require, visible


async def request_transform(
    session: Session, viewer: Viewer, *, resource_id: str, message: str | None = None
) -> Outcome:
    """A transform that waits to be claimed: the one that waits already, else a new one."""
    require(viewer, Role.WORKER)
    message = a_text(message, "message")
    row = await visible(documents.Resource, resource_id, viewer, session, "resourceId")
    asked_for = {"resourceRef": row["_id"], "status": ActivityStatus.READY.value}
    waiting = await collection_of(documents.Transform).find_one(asked_for, session=session)
    if waiting is not None:
        return {"transform": waiting}
    transform = documents.Transform(
        resource_ref=row["_id"],
        status=ActivityStatus.READY,
        code=frozen(documents.Resource.model_validate(row).code_repo),
        cause=TransformCause(kind=TransformCauseKind.REQUESTED, message=message),
    )
    return {"transform": await insert_unless_there(transform, session)}


def completed(transforms: list[Row], viewer: Viewer) -> list[bool]:
    """Whether each transform ended well."""
    return [transform["status"] == ActivityStatus.SUCCEEDED.value for transform in transforms]


def logs_url(transforms: list[Row], viewer: Viewer) -> list[str | None]:
    """Where each transform's logs are, for those who may open them."""
    return [_openable(value_at(transform, "details.logs"), viewer) for transform in transforms]


def notebook_url(transforms: list[Row], viewer: Viewer) -> list[str | None]:
    """Where each transform's notebook is, for those who may open it."""
    return [_openable(value_at(transform, "details.notebook"), viewer) for transform in transforms]


def _openable(url: str | None, viewer: Viewer) -> str | None:
    """Web addresses are for everybody. The names of objects in buckets are for those who work with the buckets."""
    if url is None or url.lower().startswith(("http://", "https://")):
        return url
    return url if viewer.role in (Role.WORKER, Role.ADMIN) else None
