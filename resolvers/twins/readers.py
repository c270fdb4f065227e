"""Readers of a twin or an output other than the owner: shown to those who may change them, authorised and revoked."""

from collections.abc import Sequence
from typing import TypedDict

import documents
from documents.mongo.transaction import Session
from resolvers.access.policies import READERS, owns
from resolvers.access.viewer import Viewer
from resolvers.reads import lookups
from resolvers.reads.order import value_at
from resolvers.reads.rows import ALL_FIELDS, Row
from resolvers.twins.named_users import find_user_ids, ids_of_named_users


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
