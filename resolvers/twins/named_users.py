"""Users whom a call names, by id or by display name."""

from collections.abc import Sequence

import documents
from documents.mongo.transaction import Session
from resolvers.reads.rows import collection_of
from resolvers.user_errors import LimitExceeded, NotFound, Refusals

MAX_NAMED_USERS = 1_000
"""Users that one call may name."""


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
