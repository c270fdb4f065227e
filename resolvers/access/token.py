"""API tokens: making, finding, revoking and listing them.

A token does not outlive the one that made it, and revoking a token revokes all that it made, at any depth.
"""

from datetime import datetime, timedelta
from typing import Any

import documents
from documents.access.token import Token
from documents.base import Document, now
from documents.mongo.transaction import Session
from resolvers.access.policies import readable
from resolvers.access.roles import require_role
from resolvers.access.token_secret import hash_of, is_well_formed
from resolvers.access.viewer import Role, TokenRole, Viewer
from resolvers.limits import MAX_TOKEN_DEPTH
from resolvers.user_errors import Forbidden, InvalidInput, LimitExceeded, NotFound
from resolvers.validators import check_line

MAX_LISTED_TOKENS = 1000
LAST_USED_INTERVAL = timedelta(minutes=1)
"""Interval at which the use of a token is recorded."""

Row = dict[str, Any]


async def create_token(
    session: Session,
    viewer: Viewer,
    *,
    secret: str,
    role: TokenRole,
    name: str,
    user_id: str | None = None,
    organisation_id: str | None = None,
    resource_id: str | None = None,
    expires_at: datetime | None = None,
) -> dict[str, Row]:
    """Create a token with this secret, of which only the hash is stored, and return it.

    USER tokens stand for the viewer's own user unless another is named. Without a time it expires with the token that
    makes it, else never. Raises Forbidden for what only an administrator may make, or from a token that was revoked
    meanwhile; InvalidInput for a binding or time that cannot be, NotFound and LimitExceeded.
    """
    require_role(viewer, Role.USER)
    user_id = viewer.user_id if user_id is None and role is TokenRole.USER else user_id
    _check_maker(viewer, role, user_id)
    _check_binding(role, user_id, organisation_id, resource_id)
    line = check_line(name, "name")
    created_at = now()
    maker = await _lock_maker(viewer, session)
    await _check_exists(documents.User, user_id, session, "userId")
    await _check_exists(documents.Organisation, organisation_id, session, "organisationId")
    await _check_exists(documents.Resource, resource_id, session, "resourceId")
    token = Token(
        hash=hash_of(secret),
        role=role.value,
        user_ref=user_id,
        organisation_ref=organisation_id,
        resource_ref=resource_id,
        ancestor_refs=_ancestors_of_child(maker),
        name=line,
        created_at=created_at,
        expires_at=_expiry(expires_at, maker, created_at),
    )
    await token.insert(session=session)
    return {"token": await _find({"_id": token.id}, session) or {}}


async def revoke_token(session: Session, viewer: Viewer, *, id: str) -> dict[str, Row]:
    """Revoke a token with all that it made, at any depth, and return it. Revoking again changes nothing.

    Raises NotFound for one that the viewer may not see, and Forbidden for an administrator's, unless the viewer is one.
    """
    require_role(viewer, Role.USER)
    token = await _find({"$and": [{"_id": id}, readable(Token, viewer)]}, session)
    if token is None:
        raise NotFound("Token", id, "id")
    if token["role"] == TokenRole.ADMIN and viewer.role is not Role.ADMIN:
        raise Forbidden(f"{id} is an administrator's, so only an administrator may revoke it.", "id")
    family = {"$or": [{"_id": id}, {"ancestorRefs": id}], "revoked_at": None}
    await Token.get_pymongo_collection().update_many(family, {"$set": {"revoked_at": now()}}, session=session)
    return {"token": await _find({"_id": id}, session) or token}


async def find_token(secret: str, at: datetime, *, read_only: bool = False) -> Token | None:
    """The token with this secret, if it is valid at that time; records the use, to the minute, unless `read_only`."""
    if not is_well_formed(secret):
        return None
    token = await Token.find_one({"hash": hash_of(secret)})
    if token is None or token.revoked_at or (token.expires_at and token.expires_at <= at):
        return None
    if not read_only:
        await _record_use(token, at)
    return token


async def list_tokens() -> list[Token]:
    """All tokens, newest first, at most 1000, including expired and revoked ones."""
    return await Token.find({}).sort("-created_at", "-_id").limit(MAX_LISTED_TOKENS).to_list()


def _check_maker(viewer: Viewer, role: TokenRole, user_id: str | None) -> None:
    """Raise Forbidden unless the viewer may make such a token: users make USER tokens for themselves."""
    if role is TokenRole.USER and user_id is None:
        raise InvalidInput("A USER token needs a user.", "userId")
    if viewer.role is Role.ADMIN:
        return
    if role is not TokenRole.USER:
        raise Forbidden(f"Only an administrator makes tokens of the role {role}.", "role")
    if user_id != viewer.user_id:
        raise Forbidden("Only an administrator makes tokens for others.", "userId")


def _check_binding(role: TokenRole, user_id: str | None, organisation_id: str | None, resource_id: str | None) -> None:
    """Raise InvalidInput unless the token is bound to nothing, or is a WORKER's and bound to one thing alone."""
    bound_by = [name for name, id in (("organisationId", organisation_id), ("resourceId", resource_id)) if id]
    if not bound_by:
        return
    if len(bound_by) > 1:
        raise InvalidInput("A token is bound to an organisation or to a resource, not to both.", "resourceId")
    if role is not TokenRole.WORKER:
        raise InvalidInput(f"Only WORKER tokens can be bound, not those of the role {role}.", bound_by[0])
    if user_id is not None:
        raise InvalidInput("A bound token stands for no user.", "userId")


async def _lock_maker(viewer: Viewer, session: Session) -> Token | None:
    """The token with which the viewer makes another, None for other credentials.

    Writing to it lets the transaction conflict with one that revokes it, so that no token escapes that.
    """
    if viewer.token_id is None:
        return None
    valid = {"_id": viewer.token_id, "revoked_at": None}
    row = await Token.get_pymongo_collection().find_one_and_update(valid, {"$inc": {"made": 1}}, session=session)
    if row is None:
        raise Forbidden("The token of this request was revoked.")
    maker: Token = Token.model_validate(row)
    return maker


def _ancestors_of_child(maker: Token | None) -> list[str]:
    if maker is None:
        return []
    ancestors = [*maker.ancestor_refs, maker.id]
    if len(ancestors) > MAX_TOKEN_DEPTH:
        raise LimitExceeded(f"A token has at most {MAX_TOKEN_DEPTH} before it: make this one with an earlier one.")
    return ancestors


def _expiry(expires_at: datetime | None, maker: Token | None, at: datetime) -> datetime | None:
    """The time at which a token expires: the given one, or that of the token that makes it."""
    latest = maker.expires_at if maker else None
    if expires_at is None:
        return latest
    if expires_at <= at:
        raise InvalidInput(f"expiresAt must be in the future, not {expires_at.isoformat()}.", "expiresAt")
    if latest is not None and expires_at > latest:
        raise InvalidInput(
            f"expiresAt is {expires_at.isoformat()}, after {latest.isoformat()}, when the token of this request "
            "expires.",
            "expiresAt",
        )
    return expires_at


async def _check_exists(document: type[Document], id: str | None, session: Session, path: str) -> None:
    if id is None:
        return
    if await document.get_pymongo_collection().find_one({"_id": id}, {"_id": 1}, session=session) is None:
        raise NotFound(document.__name__, id, path)


async def _find(match: dict[str, Any], session: Session) -> Row | None:
    row: Row | None = await Token.get_pymongo_collection().find_one(match, session=session)
    return row


async def _record_use(token: Token, at: datetime) -> None:
    due = at - LAST_USED_INTERVAL
    if token.last_used_at and token.last_used_at > due:
        return
    # The condition lets only one of many concurrent requests write.
    unrecorded = [{"last_used_at": None}, {"last_used_at": {"$lte": due}}]
    match = {"_id": token.id, "$or": unrecorded}
    await Token.get_pymongo_collection().update_one(match, {"$set": {"last_used_at": at}})
