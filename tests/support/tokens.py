"""API tokens for tests, made and revoked as an administrator does."""

from datetime import timedelta
from typing import Any

from documents.access.token import Token
from documents.base import now
from resolvers.access.token import create_token, revoke_token
from resolvers.access.token_secret import new_secret
from resolvers.access.viewer import ADMIN, TokenRole, Viewer
from resolvers.writes.transaction import run_in_transaction


async def make_token(
    role: str, name: str = "a token", *, viewer: Viewer = ADMIN, lifetime: timedelta | None = None, **facts: Any
) -> tuple[Token, str]:
    """A token with its secret."""
    secret = new_secret()
    facts |= {"expires_at": now() + lifetime} if lifetime else {}
    outcome = await run_in_transaction(
        lambda session: create_token(session, viewer, secret=secret, role=TokenRole(role), name=name, **facts)
    )
    return Token.model_validate(outcome["token"]), secret


async def revoke(id: str, viewer: Viewer = ADMIN) -> Token:
    """The token, revoked."""
    outcome = await run_in_transaction(lambda session: revoke_token(session, viewer, id=id))
    token: Token = Token.model_validate(outcome["token"])
    return token
