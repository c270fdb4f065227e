"""Authentication: the viewer that a request's credentials stand for."""

import hmac
import re
import secrets
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from pymongo.errors import DuplicateKeyError

from documents.base import now
from documents.twins.user import User
from resolvers.access.oidc import Issuer, invalid_token_error
from resolvers.access.tokens import PREFIX, find_token
from resolvers.access.viewer import ADMIN, ANONYMOUS, Role, Unauthenticated, Viewer

ROLE_CLAIM = "provenance_role"
MAX_NAME_LENGTH = 80
# OpenID Connect Core 1.0, section 2: at most 255 ASCII characters.
SUBJECT = re.compile(r"[\x20-\x7e]{1,255}")
MAX_EMAIL_LENGTH = 254


class Authenticator:
    """Finds the viewer by the Authorization header, which holds one of three kinds of bearer token.

    `admin_token` is accepted as an administrator's. JWTs are accepted when both `oidc_issuer` and `oidc_audience` are
    given. `clock` gives the time for API tokens, `timer` the seconds between two fetches of the issuer's keys.
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
            raise ValueError("An OIDC issuer needs an audience: without one, tokens for others would be accepted.")
        self._admin_token = admin_token
        self._issuer = Issuer(oidc_issuer, oidc_audience, timer=timer) if oidc_issuer and oidc_audience else None
        self._clock = clock

    def at_once(self, authorization: str | None) -> Viewer | None:
        """The viewer of this header, where neither database nor issuer must be asked; None where one must."""
        if authorization is None:
            return ANONYMOUS
        return ADMIN if self._admin_token and _constant_time_equal(_bearer(authorization), self._admin_token) else None

    async def viewer(self, authorization: str | None) -> Viewer:
        """The viewer of this header; anonymous without one. Raises Unauthenticated for invalid credentials."""
        known = self.at_once(authorization)
        if known is not None:
            return known
        secret = _bearer(authorization or "")
        if secret.startswith(PREFIX):
            return await self._viewer_of_token(secret)
        if self._issuer:
            return await viewer_of_claims(await self._issuer.claims(secret))
        raise invalid_token_error()

    async def _viewer_of_token(self, secret: str) -> Viewer:
        token = await find_token(secret, self._clock())
        if token is None:
            raise invalid_token_error()
        return Viewer(Role(token.role), token.user_ref, token.id)


async def viewer_of_claims(claims: dict[str, Any]) -> Viewer:
    """The viewer for verified claims: the user, created on first sign-in, and the role.

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
        raise invalid_token_error()
    for name in _candidate_display_names(claims):
        known = await User.find_one({"oidcSubject": subject})
        if known:
            return known
        try:
            return await User(display_name=name, email=_usable_email(claims), oidc_subject=subject).insert()
        except DuplicateKeyError:
            # The name is taken, or a concurrent request of the same person was faster: look again, then try another
            # name.
            continue
    raise Unauthenticated("No free display name was found; try again.", temporary=True)


def _candidate_display_names(claims: dict[str, Any]) -> Iterator[str]:
    """Display names to try: the person's name, then the name with a random ending."""
    called = [claims.get(claim) for claim in ("name", "preferred_username", "nickname")]
    email = _usable_email(claims)
    called.append(email.partition("@")[0] if email else None)
    cleaned = (_clean_name(name) for name in called if isinstance(name, str))
    name = next((name for name in cleaned if name), "user")
    yield name
    for _ in range(8):
        yield f"{name}-{secrets.token_hex(2)}"


def _clean_name(name: str) -> str:
    return " ".join("".join(sign if sign.isprintable() else " " for sign in name).split())[:MAX_NAME_LENGTH].strip()


def _usable_email(claims: dict[str, Any]) -> str | None:
    email = claims.get("email")
    fits = isinstance(email, str) and email.isprintable() and "@" in email and len(email) <= MAX_EMAIL_LENGTH
    return email if fits and claims.get("email_verified") is not False else None


def _bearer(authorization: str) -> str:
    scheme, _, secret = authorization.strip().partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Unauthenticated("The Authorization header must be Bearer, a space, and a token.")
    return secret.strip()


def _constant_time_equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="replace"), other.encode(errors="replace"))
