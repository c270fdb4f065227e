"""Readers other than the owner: named by id or display name, and shown to those who may change them."""

from collections.abc import Sequence
from typing import TypedDict

import documents
from documents.mongo.transaction import Session
from resolvers.access.policies import READERS, owns
from resolvers.access.viewer import Viewer
from resolvers.reads import lookups
from resolvers.reads.order import value_at
from resolvers.reads.rows import ALL_FIELDS, Row, collection_of
from resolvers.user_errors import LimitExceeded, NotFound, Refusals

MAX_NAMED_USERS = 1_000
"""Users that one call may name."""


class ReaderChanges(TypedDict, total=False):
    """Users to authorise and to revoke, by id and by display name."""

    authorize_user_ids: Sequence[str] | None
    authorize_user_names: Sequence[str] | None
    revoke_user_ids: Sequence[str] | None
    revoke_user_names: Sequence[str] | None


async def twin_readers(twins: list[Row], viewer: Viewer) -> list[list[Row]]:
    """The users with whom each twin is shared: an empty list for viewers who may not change it."""
    return await _shown_to_owners(twins, "userRef", READERS, viewer)


async def authorized_users(outputs: list[Row], viewer: Viewer) -> list[list[Row]]:
    """The users that each output names as its readers: an empty list for viewers who may not change it."""
    return await _shown_to_owners(outputs, "ownerRef", "access_control.authorized_users", viewer)


async def _shown_to_owners(rows: list[Row], owner: str, path: str, viewer: Viewer) -> list[list[Row]]:
    lists: list[list[str]] = [(value_at(row, path) or []) if owns(viewer, row[owner]) else [] for row in rows]
    users = await lookups.by_ids(documents.User, (id for ids in lists for id in ids), ALL_FIELDS, viewer)
    return [[users[id] for id in ids if id in users] for ids in lists]


async def new_readers(
    before: list[str],
    session: Session,
    *,
    authorize_user_ids: Sequence[str] | None = None,
    authorize_user_names: Sequence[str] | None = None,
    revoke_user_ids: Sequence[str] | None = None,
    revoke_user_names: Sequence[str] | None = None,
) -> list[str]:
    """The ids of the readers from now on. A user who is authorised and revoked in one call is revoked.

    Raises LimitExceeded, NotFound for an unknown id and Refusals for unknown names.
    """
    added = await find_user_ids(authorize_user_ids, authorize_user_names, session, "authorizeUser")
    revoked = {*(revoke_user_ids or []), *await ids_of_named_users(revoke_user_names or [], session, "revokeUserNames")}
    return [id for id in dict.fromkeys([*before, *added]) if id not in revoked]


async def find_user_ids(
    ids: Sequence[str] | None, names: Sequence[str] | None, session: Session, field: str
) -> list[str]:
    """The ids of users who are named by id and by display name, in the inputs `<field>Ids` and `<field>Names`.

    Raises the errors of `check_user_ids` and `ids_of_named_users`, and LimitExceeded when they are too many together.
    """
    user_ids = await check_user_ids(ids or [], session, f"{field}Ids")
    user_ids += await ids_of_named_users(names or [], session, f"{field}Names")
    _check_count(user_ids, f"{field}Names")
    return list(dict.fromkeys(user_ids))


async def check_user_ids(ids: Sequence[str], session: Session, field: str) -> list[str]:
    """The ids without repeats. Raises NotFound for an unknown one."""
    _check_count(ids, field)
    cursor = collection_of(documents.User).find({"_id": {"$in": ids}}, {"_id": 1}, session=session)
    existing = {row["_id"] async for row in cursor}
    for number, id in enumerate(ids):
        if id not in existing:
            raise NotFound("User", id, field, str(number))
    return list(dict.fromkeys(ids))


async def ids_of_named_users(names: Sequence[str], session: Session, field: str) -> list[str]:
    """The ids of the users with these display names. Raises Refusals for all names that are not those of exactly one
    user."""
    _check_count(names, field)
    names = [name.strip() for name in names]
    cursor = collection_of(documents.User).find({"displayName": {"$in": names}}, {"displayName": 1}, session=session)
    ids = {row["displayName"]: row["_id"] async for row in cursor}
    if unknown := [(number, name) for number, name in enumerate(names) if name not in ids]:
        raise Refusals([NotFound("User", name, field, str(number), key="displayName") for number, name in unknown])
    return list(dict.fromkeys(ids[name] for name in names))


def _check_count(users: Sequence[str], field: str) -> None:
    if len(users) > MAX_NAMED_USERS:
        raise LimitExceeded(f"{len(users):,} users are too many; at most {MAX_NAMED_USERS:,} are allowed.", field)
