"""Users: who sees their addresses, and writing them."""

from pymongo.errors import DuplicateKeyError

import documents
from resolvers.checks import a_line
from resolvers.fetch import Row
from resolvers.policies import owns
from resolvers.refusals import AlreadyExists, InvalidInput
from resolvers.viewer import Viewer
from resolvers.writing import Outcome, Session, insert, require


def emails(users: list[Row], viewer: Viewer) -> list[str | None]:
    """The address of each user, None for all but the user and administrators."""
    return [user.get("email") if owns(viewer, user["_id"]) else None for user in users]


async def create_user(
    session: Session, viewer: Viewer, *, display_name: str, email: str, github: str | None = None
) -> Outcome:
    """A new user. Raises AlreadyExists when the name is taken."""
    require(viewer)
    user = documents.User(
        display_name=a_line(display_name, "displayName"),
        email=an_email(email, "email"),
        github=a_line(github, "github"),
    )
    try:
        return {"user": await insert(user, session)}
    except DuplicateKeyError as error:
        raise AlreadyExists(f"A user called {user.display_name} exists already.", "displayName") from error


def an_email(value: str, *path: str) -> str:
    """An address: something on both sides of an @, without blanks. Whether it works is for the postman to find out."""
    address = a_line(value, *path)
    name, at, host = address.rpartition("@")
    if not (name and at and host) or any(character.isspace() for character in address):
        raise InvalidInput(f"{path[-1]} must be an address such as name@example.org, not {address[:100]!r}.", *path)
    return address
