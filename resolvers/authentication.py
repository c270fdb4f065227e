"""From the credentials of a request to its viewer."""

import hmac
import re
import secrets
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from pymongo.errors import DuplicateKeyError

from documents.base import now
from documents.user import User
from resolvers.oidc import Issuer, refused
from resolvers.tokens import PREFIX, find_token
from resolvers.viewer import ADMIN, ANONYMOUS, Role, Unauthenticated, Viewer

ROLE_CLAIM = "provenance_role"
LONGEST_NAME = 80
# OpenID Connect Core 1.0, section 2: at most 255 ASCII characters.
SUBJECT = re.compile(r"[\x20-\x7e]{1,255}")
LONGEST_EMAIL = 254


class Authenticator:
    """Knows the viewer by the Authorization header, whichever of the three kinds of bearer token it holds.

    `admin_token` is accepted as an administrator's. JWTs are accepted when both `oidc_issuer` and `oidc_audience`
    are given. `clock` tells the time for API tokens, `timer` the seconds between two looks at the issuer's keys.
    """

    def __init__(
        self,
        *,
        admin_token: str | None = None,
        oidc_issuer: str | None = None,
        oidc_audience: str | None = None,
        clock: Callable[[], datetime] = now,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        if oidc_issuer and not oidc_audience:
            raise ValueError("An OIDC issuer needs an audience: without it tokens made for others would be accepted.")
        self._admin_token = admin_token
        self._issuer = Issuer(oidc_issuer, oidc_audience, timer=timer) if oidc_issuer and oidc_audience else None
        self._clock = clock

    async def viewer(self, authorization: str | None) -> Viewer:
        """Who sent this header; anonymous without one. Raises Unauthenticated for one that proves nothing."""
        if authorization is None:
            return ANONYMOUS
        secret = _bearer(authorization)
        if self._admin_token and _same(secret, self._admin_token):
            return ADMIN
        if secret.startswith(PREFIX):
            return await self._viewer_of_token(secret)
        if self._issuer:
            return await viewer_of_claims(await self._issuer.claims(secret))
        raise refused()

    async def _viewer_of_token(self, secret: str) -> Viewer:
        token = await find_token(secret, self._clock())
        if token is None:
            raise refused()
        return Viewer(Role(token.role), token.user_ref, token.id)


async def viewer_of_claims(claims: dict[str, Any]) -> Viewer:
    """The viewer that verified claims speak of: their user, made at first sight, and the role they were given.

    A bearer is a USER unless the claim `provenance_role` says WORKER or ADMIN.
    """
    wanted = claims.get(ROLE_CLAIM)
    role = Role(wanted) if wanted in (Role.WORKER.value, Role.ADMIN.value) else Role.USER
    user = await _user_of(claims)
    return Viewer(role, user.id)


async def _user_of(claims: dict[str, Any]) -> User:
    # By the subject only: who can choose their own email address must not become somebody else by it.
    subject = claims.get("sub")
    if not isinstance(subject, str) or not SUBJECT.fullmatch(subject):
        raise refused()
    for name in _names(claims):
        known = await User.find_one({"oidcSubject": subject})
        if known:
            return known
        try:
            return await User(display_name=name, email=_email(claims), oidc_subject=subject).insert()
        except DuplicateKeyError:
            # The name is taken, or the same person's other request was faster: look again, then try another name.
            continue
    raise Unauthenticated("No free display name was found for you; try again.", temporary=True)


def _names(claims: dict[str, Any]) -> Iterator[str]:
    """Display names to try: what the person is called, then the same with a random ending."""
    called = [claims.get(claim) for claim in ("name", "preferred_username", "nickname")]
    email = _email(claims)
    called.append(email.partition("@")[0] if email else None)
    cleaned = (_clean(name) for name in called if isinstance(name, str))
    name = next((name for name in cleaned if name), "user")
    yield name
    for _ in range(8):
        yield f"{name}-{secrets.token_hex(2)}"


def _clean(name: str) -> str:
    return " ".join("".join(sign if sign.isprintable() else " " for sign in name).split())[:LONGEST_NAME].strip()


def _email(claims: dict[str, Any]) -> str | None:
    email = claims.get("email")
    fits = isinstance(email, str) and email.isprintable() and "@" in email and len(email) <= LONGEST_EMAIL
    return email if fits and claims.get("email_verified") is not False else None


def _bearer(authorization: str) -> str:
    scheme, _, secret = authorization.strip().partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Unauthenticated("The Authorization header reads: Bearer, a space, and a token.")
    return secret.strip()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="replace"), other.encode(errors="replace"))
