"""Writing organisations."""

from typing import TypedDict, Unpack

from pymongo.errors import DuplicateKeyError

import documents
from documents.mongo.transaction import Session
from resolvers.access.roles import require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.reads.rows import collection_of
from resolvers.reads.successors import successor
from resolvers.user_errors import AlreadyExists
from resolvers.validators import check_line, check_url
from resolvers.writes.store import get_readable, insert, update
from resolvers.writes.transaction import Outcome, RetryTransaction


class OrganisationChanges(TypedDict, total=False):
    """The fields of an organisation that can be changed."""

    name: str | None


async def create_organisation(session: Session, viewer: Viewer, *, url: str, name: str | None = None) -> Outcome:
    """Create an organisation. Raises AlreadyExists when the URL is taken."""
    require_role(viewer, Role.WORKER)
    organisation = documents.Organisation(url=check_url(url, "url"), name=check_line(name, "name"))
    if present := await successor(documents.Organisation, "url", organisation.url, session):
        raise AlreadyExists(f"The organisation with url {organisation.url} was merged into {present}.", "url")
    try:
        return {"organisation": await insert(organisation, session)}
    except DuplicateKeyError as error:
        raise AlreadyExists(f"An organisation with url {url} exists already.", "url") from error


async def update_organisation(
    session: Session,
    viewer: Viewer,
    *,
    id: str,
    expected_revision: int | None = None,
    **changes: Unpack[OrganisationChanges],
) -> Outcome:
    """Rename an organisation and return it."""
    require_role(viewer, Role.WORKER)
    row = await get_readable(documents.Organisation, id, viewer, session, "id")
    checked = {"name": check_line(changes["name"], "name")} if "name" in changes else {}
    return {"organisation": await update(documents.Organisation, row, checked, expected_revision, session)}


async def lock_organisation(id: str, session: Session) -> None:
    """Lock an organisation for the transaction that adds a resource to it, so that a concurrent merge conflicts and
    retries.

    Raises RetryTransaction when the organisation has just been merged.
    """
    result = await collection_of(documents.Organisation).update_one(
        {"_id": id}, {"$inc": {"additions": 1}}, session=session
    )
    if not result.matched_count:
        raise RetryTransaction
