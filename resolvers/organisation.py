"""Writing organisations."""

from pymongo.errors import DuplicateKeyError

import documents
from resolvers.checks import a_line, a_url
from resolvers.refusals import AlreadyExists
from resolvers.viewer import Role, Viewer
from resolvers.writing import Outcome, Session, insert, require, update, visible


async def create_organisation(session: Session, viewer: Viewer, *, url: str, name: str | None = None) -> Outcome:
    """A new organisation. Raises AlreadyExists when the URL is taken."""
    require(viewer, Role.WORKER)
    organisation = documents.Organisation(url=a_url(url, "url"), name=a_line(name, "name"))
    try:
        return {"organisation": await insert(organisation, session)}
    except DuplicateKeyError as error:
        raise AlreadyExists(f"An organisation with url {url} exists already.", "url") from error


async def update_organisation(
    session: Session, viewer: Viewer, *, id: str, expected_revision: int | None = None, **changes: str | None
) -> Outcome:
    """The organisation with another name."""
    require(viewer, Role.WORKER)
    row = await visible(documents.Organisation, id, viewer, session, "id")
    if "name" in changes:
        changes["name"] = a_line(changes["name"], "name")
    return {"organisation": await update(documents.Organisation, row, changes, expected_revision, session)}
