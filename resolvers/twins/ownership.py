"""Owners of new objects: the viewer, or a user whom an administrator names."""

import documents
from documents.mongo.transaction import Session
from resolvers.access.viewer import Role, Viewer
from resolvers.reads.rows import Row
from resolvers.user_errors import Forbidden, InvalidInput
from resolvers.writes.store import get_readable


async def owner_of_new(session: Session, viewer: Viewer, owner_id: str | None, things: str) -> Row:
    """The owner of a new object: the viewer, or the user whom an administrator names.

    `things` is the plural noun for the message. Raises Forbidden, NotFound, and InvalidInput where nobody is named.
    """
    if owner_id not in (None, viewer.user_id) and viewer.role is not Role.ADMIN:
        raise Forbidden(f"Only administrators may create {things} for somebody else.", "ownerId")
    owner = owner_id or viewer.user_id
    if owner is None:
        raise InvalidInput("ownerId is required, because your token belongs to no user.", "ownerId")
    return await get_readable(documents.User, owner, viewer, session, "ownerId")
