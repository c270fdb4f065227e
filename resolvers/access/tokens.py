"""API tokens: making, finding, revoking and listing them. The secret itself is shown once and never stored."""

import hashlib
import secrets
import zlib
from datetime import datetime, timedelta

from pymongo import ReturnDocument

from documents.access.token import Token
from documents.base import now
from documents.twins.user import User
from resolvers.access.viewer import Role
from resolvers.user_errors import InvalidInput, NotFound

PREFIX = "pg_"
MAX_LISTED_TOKENS = 1000
LAST_USED_INTERVAL = timedelta(minutes=1)
"""Interval at which the use of a token is recorded."""

# Letters and digits only, so that a double click selects the whole secret.
BASE62_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


async def create_token(
    *, role: Role, name: str, user_id: str | None = None, lifetime: timedelta | None = None
) -> tuple[Token, str]:
    """Create a token; returns it with its secret, which is shown only now. Without a lifetime it never expires.

    Raises InvalidInput for an anonymous role, an empty name, a lifetime that is not positive or a USER token without a
    user, and NotFound for a user that does not exist.
    """
    if role is Role.ANONYMOUS:
        raise InvalidInput("A token's role must be USER, WORKER or ADMIN.", "role")
    if not name.strip():
        raise InvalidInput("A token needs a name, by which it can be found when it is to be revoked.", "name")
    if lifetime is not None and lifetime <= timedelta(0):
        raise InvalidInput("A token's lifetime must be positive.", "lifetime")
    await _check_user(role, user_id)
    secret = new_secret()
    created_at = now()
    token = Token(
        hash=hash_of(secret),
        role=role.value,
        user_ref=user_id,
        name=name.strip(),
        created_at=created_at,
        expires_at=created_at + lifetime if lifetime else None,
    )
    await token.insert()
    return token, secret


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


async def revoke_token(id: str) -> Token:
    """Revoke a token and return it. Revoking again changes nothing. Raises NotFound for an unknown id."""
    row = await Token.get_pymongo_collection().find_one_and_update(
        {"_id": id},
        [{"$set": {"revoked_at": {"$ifNull": ["$revoked_at", now()]}}}],
        return_document=ReturnDocument.AFTER,
    )
    if row is None:
        raise NotFound("Token", id)
    token: Token = Token.model_validate(row)
    return token


async def list_tokens() -> list[Token]:
    """All tokens, newest first, at most 1000, including expired and revoked ones."""
    return await Token.find({}).sort("-created_at", "-_id").limit(MAX_LISTED_TOKENS).to_list()


def new_secret() -> str:
    """A secret: `pg_`, 32 random bytes, `_`, and a checksum that exposes a mistyped or invented one without a lookup.

    The form is that of GitHub's tokens: a prefix that secret scanners can search for, and a CRC-32, all in base 62.
    """
    random = _base62(int.from_bytes(secrets.token_bytes(32)), 43)
    return f"{PREFIX}{random}_{_checksum(random)}"


def is_well_formed(secret: str) -> bool:
    """Whether the text has the form and checksum of a secret made by `new_secret`."""
    random, _, checksum = secret.removeprefix(PREFIX).partition("_")
    return secret.startswith(PREFIX) and secret.isascii() and len(random) == 43 and checksum == _checksum(random)


def hash_of(secret: str) -> str:
    """The SHA-256 of a secret, in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


async def _check_user(role: Role, user_id: str | None) -> None:
    if user_id is None:
        if role is Role.USER:
            raise InvalidInput("A USER token needs a user.", "user")
    elif await User.find_one({"_id": user_id}) is None:
        raise NotFound("User", user_id, "user")


async def _record_use(token: Token, at: datetime) -> None:
    due = at - LAST_USED_INTERVAL
    if token.last_used_at and token.last_used_at > due:
        return
    # The condition lets only one of many concurrent requests write.
    unrecorded = [{"last_used_at": None}, {"last_used_at": {"$lte": due}}]
    match = {"_id": token.id, "$or": unrecorded}
    await Token.get_pymongo_collection().update_one(match, {"$set": {"last_used_at": at}})


def _checksum(random: str) -> str:
    """The CRC-32 of a secret's random part, as six digits of base 62."""
    return _base62(zlib.crc32(random.encode()), 6)


def _base62(number: int, length: int) -> str:
    digits = ""
    while number:
        number, remainder = divmod(number, 62)
        digits = BASE62_DIGITS[remainder] + digits
    return digits.rjust(length, BASE62_DIGITS[0])
