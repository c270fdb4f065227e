"""Writing datasets."""

from pymongo.errors import DuplicateKeyError

import documents
from documents.mongo.transaction import Session
from resolvers.access.roles import check_bound, require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.user_errors import AlreadyExists
from resolvers.validators import check_line, check_text
from resolvers.writes.store import get_readable, insert
from resolvers.writes.transaction import Outcome


async def create_dataset(
    session: Session,
    viewer: Viewer,
    *,
    resource_id: str,
    identifier: str,
    title: str | None = None,
    description: str | None = None,
) -> Outcome:
    """Create a dataset without versions. Raises AlreadyExists when the resource has one with this identifier."""
    require_role(viewer, Role.WORKER, allow_bound=True)
    resource = await get_readable(documents.Resource, resource_id, viewer, session, "resourceId")
    check_bound(viewer, resource, "resourceId")
    dataset = documents.Dataset(
        resource_ref=resource["_id"],
        identifier=check_line(identifier, "identifier"),
        title=check_line(title, "title"),
        description=check_text(description, "description"),
    )
    try:
        return {"dataset": await insert(dataset, session)}
    except DuplicateKeyError as error:
        message = f"{resource['_id']} has a dataset {dataset.identifier} already."
        raise AlreadyExists(message, "identifier") from error
