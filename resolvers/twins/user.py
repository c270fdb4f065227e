"""Users: writing them, and the visibility of their addresses."""

from typing import TypedDict, Unpack

from pymongo.errors import DuplicateKeyError

import documents
from documents.base import now
from documents.mongo.transaction import Session
from resolvers.access.policies import owns
from resolvers.access.roles import require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.reads.rows import Row, collection_of
from resolvers.user_errors import AlreadyExists, Forbidden, InvalidInput
from resolvers.validators import check_line, check_not_null
from resolvers.writes.store import get_readable, insert
from resolvers.writes.transaction import Outcome


class UserChanges(TypedDict, total=False):
    """The fields of a user that can be changed."""

    display_name: str | None
    email: str | None
    github: str | None


def emails(users: list[Row], viewer: Viewer) -> list[str | None]:
    """The email address of each user, None for all viewers but the user and administrators."""
    return [user.get("email") if owns(viewer, user["_id"]) else None for user in users]


async def create_user(
    session: Session, viewer: Viewer, *, display_name: str, email: str, github: str | None = None
) -> Outcome:
    """Create a user. Raises AlreadyExists when the name is taken."""
    require_role(viewer)
    user = documents.User(
        display_name=check_line(display_name, "displayName"),
        email=check_email(email, "email"),
        github=check_line(github, "github"),
    )
    try:
        return {"user": await insert(user, session)}
    except DuplicateKeyError as error:
        raise _name_is_taken(user.display_name) from error


async def update_user(session: Session, viewer: Viewer, *, id: str, **changes: Unpack[UserChanges]) -> Outcome:
    """Change a user's name or addresses, as that user or as an administrator, and return the user.

    Raises NotFound, Forbidden for other viewers, InvalidInput, and AlreadyExists when the name is taken.
    """
    require_role(viewer, Role.USER)
    user = await get_readable(documents.User, id, viewer, session, "id")
    if not owns(viewer, id):
        raise Forbidden(f"{id} is another user.", "id")
    values = _validated_changes(changes)
    if all(user.get(name) == value for name, value in values.items()):
        return {"user": user}
    change = {"$set": values | {"updated_at": now()}}
    users = collection_of(documents.User)
    try:
        return {"user": await users.find_one_and_update({"_id": id}, change, return_document=True, session=session)}
    except DuplicateKeyError as error:
        raise _name_is_taken(values["displayName"]) from error


def _validated_changes(changes: UserChanges) -> dict[str, str | None]:
    """The validated changes, by stored name. Raises InvalidInput."""
    values: dict[str, str | None] = {}
    if "display_name" in changes:
        name = check_not_null(changes["display_name"], "displayName")
        values["displayName"] = check_line(name, "displayName")
    if "email" in changes:
        email = changes["email"]
        values["email"] = None if email is None else check_email(email, "email")
    if "github" in changes:
        values["github"] = check_line(changes["github"], "github")
    return values


def _name_is_taken(name: str | None) -> AlreadyExists:
    return AlreadyExists(f"A user called {name} exists already.", "displayName")


def check_email(value: str, *path: str) -> str:
    """An email address: text on both sides of an @, without blanks. Only sending to it shows whether it works."""
    address = check_line(value, *path)
    name, at, host = address.rpartition("@")
    if not (name and at and host) or any(character.isspace() for character in address):
        raise InvalidInput(
            f"{path[-1]} must be an email address such as name@example.org, not {address[:100]!r}.", *path
        )
    return address
