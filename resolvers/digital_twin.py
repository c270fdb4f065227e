"""Writing digital twins."""

from typing import Any

from pymongo.errors import DuplicateKeyError

import documents
from resolvers.checks import a_line
from resolvers.fetch import Row, collection_of
from resolvers.policies import owns
from resolvers.refusals import AlreadyExists, Forbidden, InvalidInput, NotFound
from resolvers.viewer import Role, Viewer
from resolvers.writing import Outcome, Session, insert, require, update, visible


async def create_digital_twin(
    session: Session, viewer: Viewer, *, name: str, public: bool, owner_id: str | None = None
) -> Outcome:
    """A new twin of the viewer's or, for administrators, of anybody's. Raises AlreadyExists when the name is taken."""
    require(viewer, Role.USER)
    owner = await _owner(session, viewer, owner_id)
    twin = documents.DigitalTwin(owner_ref=owner["_id"], name=a_line(name, "name"), public=public)
    try:
        return {"digital_twin": await insert(twin, session)}
    except DuplicateKeyError as error:
        raise _name_is_taken(twin.name) from error


async def update_digital_twin(
    session: Session, viewer: Viewer, *, id: str, expected_revision: int | None = None, **changes: Any
) -> Outcome:
    """The twin, changed; when it is published or hidden, so is what follows it.

    Raises NotFound for a twin that the viewer may not see, and Forbidden for one that is not theirs.
    """
    require(viewer, Role.USER, Role.WORKER)
    twin = await own_twin(id, viewer, session, "id")
    wanted = {name: _checked(name, value) for name, value in changes.items()}
    try:
        changed = await update(documents.DigitalTwin, twin, wanted, expected_revision, session)
    except DuplicateKeyError as error:
        raise _name_is_taken(wanted["name"]) from error
    if changed["public"] != twin["public"]:
        await _show(id, changed["public"], session)
    return {"digital_twin": changed}


async def own_twin(id: str, viewer: Viewer, session: Session, *path: str) -> Row:
    """The twin with this id. Raises NotFound when the viewer may not see it, and Forbidden when it is not theirs."""
    twin = await visible(documents.DigitalTwin, id, viewer, session, *path)
    if not owns(viewer, twin["userRef"]):
        raise Forbidden(f"DigitalTwin {id} belongs to somebody else.", *path)
    return twin


async def added_to(id: str, session: Session) -> Row:
    """The twin, held until what is added to it is committed: who publishes it meanwhile finds what was added.

    Raises NotFound.
    """
    twin: Row | None = await collection_of(documents.DigitalTwin).find_one_and_update(
        {"_id": id}, {"$inc": {"additions": 1}}, return_document=True, session=session
    )
    if twin is None:
        raise NotFound(documents.DigitalTwin.__name__, id)
    return twin


async def _owner(session: Session, viewer: Viewer, owner_id: str | None) -> Row:
    if owner_id not in (None, viewer.user_id) and viewer.role is not Role.ADMIN:
        raise Forbidden("Only administrators make digital twins for somebody else.", "ownerId")
    owner = owner_id or viewer.user_id
    if owner is None:
        raise InvalidInput("ownerId is needed, because your token stands for no user.", "ownerId")
    return await visible(documents.User, owner, viewer, session, "ownerId")


def _checked(name: str, value: Any) -> Any:
    if value is None:
        raise InvalidInput(f"{name} cannot be taken away: leave it out to keep it as it is.", name)
    return value if name == "public" else a_line(value, name)


def _name_is_taken(name: str) -> AlreadyExists:
    return AlreadyExists(f"A digital twin called {name} of the same owner exists already.", "name")


async def _show(twin_id: str, public: bool, session: Session) -> None:
    """Let what follows a twin be read as the twin is. Outputs have rights of their own."""
    executions = collection_of(documents.Execution)
    ids = [row["_id"] async for row in executions.find({"digitalTwinRef": twin_id}, {"_id": 1}, session=session)]
    shown = {"$set": {"public": public}}
    await executions.update_many({"digitalTwinRef": twin_id}, shown, session=session)
    await collection_of(documents.Result).update_many({"digitalTwinRef": twin_id}, shown, session=session)
    await collection_of(documents.Step).update_many({"executionRef": {"$in": ids}}, shown, session=session)
