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
from resolvers.access.oidc import Issuer
from resolvers.access.roles import role_of_claims
from resolvers.access.token import find_token
from resolvers.access.token_secret import PREFIX
from resolvers.access.viewer import ADMIN, ANONYMOUS, Role, Unauthenticated, Viewer, invalid_token_error

MAX_NAME_LENGTH = 80
MAX_NAME_ATTEMPTS = 8
"""Display names with a random ending that are tried when the person's name is taken."""
# OpenID Connect Core 1.0, section 2: at most 255 ASCII characters.
SUBJECT = re.compile(r"[\x20-\x7e]{1,255}")
MAX_EMAIL_LENGTH = 254
FIRST_SIGN_IN = (
    "The server is in read-only mode, and nobody can sign in for the first time. Try again later, or ask without a "
    "token."
)


class Authenticator:
    """Finds the viewer by the Authorization header, which holds one of three kinds of bearer token.

    `admin_token` is accepted as an administrator's. JWTs are accepted when both `oidc_issuer` and `oidc_audience` are
    given. `clock` gives the time for API tokens, `timer` the seconds between two fetches of the issuer's keys. With
    `read_only` nothing is written: uses of tokens are not recorded, and nobody signs in for the first time.
    """

    def __init__(
        self,
        *,
        admin_token: str | None = None,
        oidc_issuer: str | None = None,
        oidc_audience: str | None = None,
        clock: Callable[[], datetime] = now,
        timer: Callable[[], float] = time.monotonic,
        read_only: bool = False,
    ) -> None:
        if oidc_issuer and not oidc_audience:
            raise ValueError("An OIDC issuer needs an audience: without one, tokens for others would be accepted.")
        self._admin_token = admin_token
        self._issuer = Issuer(oidc_issuer, oidc_audience, timer=timer) if oidc_issuer and oidc_audience else None
        self._clock = clock
        self._read_only = read_only

    def viewer_without_lookup(self, authorization: str | None) -> Viewer | None:
        """The viewer of this header, where neither database nor issuer must be asked; None where one must."""
        if authorization is None:
            return ANONYMOUS
        if not self._admin_token:
            return None
        secret = _bearer(authorization).encode(errors="replace")
        return ADMIN if hmac.compare_digest(secret, self._admin_token.encode(errors="replace")) else None

    async def viewer(self, authorization: str | None) -> Viewer:
        """The viewer of this header; anonymous without one. Raises Unauthenticated for invalid credentials."""
        viewer = self.viewer_without_lookup(authorization)
        if viewer is not None:
            return viewer
        secret = _bearer(authorization or "")
        if secret.startswith(PREFIX):
            token = await find_token(secret, self._clock(), read_only=self._read_only)
            if token is None:
                raise invalid_token_error()
            bound_to = token.organisation_ref or token.resource_ref
            return Viewer(Role(token.role), token.user_ref, token.id, bound_to=bound_to)
        if self._issuer:
            claims = await self._issuer.claims(secret)
            user = await (find_user(claims) if self._read_only else find_or_create_user(claims))
            return Viewer(role_of_claims(claims), user.id)
        raise invalid_token_error()


async def find_user(claims: dict[str, Any]) -> User:
    """The user whom verified claims are about. Raises Unauthenticated, also when they never signed in before."""
    user = await User.find_one({"oidcSubject": _subject(claims)})
    if user is None:
        raise Unauthenticated(FIRST_SIGN_IN, temporary=True)
    return user


async def find_or_create_user(claims: dict[str, Any]) -> User:
    """The user whom verified claims are about, created on first sign-in. Raises Unauthenticated."""
    subject = _subject(claims)
    for name in _candidate_display_names(claims):
        user = await User.find_one({"oidcSubject": subject})
        if user:
            return user
        try:
            return await User(display_name=name, email=_usable_email(claims), oidc_subject=subject).insert()
        except DuplicateKeyError:
            # The name is taken, or a concurrent request of the same person was faster: look again, then try another
            # name.
            continue
    raise Unauthenticated("No free display name was found; try again.", temporary=True)


def _subject(claims: dict[str, Any]) -> str:
    """The subject of verified claims. Raises Unauthenticated."""
    # By the subject only: an email address, which people can choose themselves, must not make them another user.
    subject = claims.get("sub")
    if not isinstance(subject, str) or not SUBJECT.fullmatch(subject):
        raise invalid_token_error()
    return subject


def _candidate_display_names(claims: dict[str, Any]) -> Iterator[str]:
    """Display names to try: the person's name, then the name with a random ending."""
    names = [claims.get(claim) for claim in ("name", "preferred_username", "nickname")]
    email = _usable_email(claims)
    names.append(email.partition("@")[0] if email else None)
    lines = (_single_line(name) for name in names if isinstance(name, str))
    name = next((line for line in lines if line), "user")
    yield name
    for _ in range(MAX_NAME_ATTEMPTS):
        yield f"{name}-{secrets.token_hex(2)}"


def _single_line(name: str) -> str:
    """The name on one line, without control characters, cut to a length that can be shown."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in name).split())[:MAX_NAME_LENGTH].strip()


def _usable_email(claims: dict[str, Any]) -> str | None:
    """The email address in the claims, unless it is malformed or known to be unverified."""
    email = claims.get("email")
    fits = isinstance(email, str) and email.isprintable() and "@" in email and len(email) <= MAX_EMAIL_LENGTH
    return email if fits and claims.get("email_verified") is not False else None


def _bearer(authorization: str) -> str:
    scheme, _, secret = authorization.strip().partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Unauthenticated("The Authorization header must be Bearer, a space, and a token.")
    return secret.strip()
