"""Tokens of an OpenID Connect issuer: the claims of a JWT, verified with the issuer's public keys."""

import time
from collections.abc import Callable
from typing import Any

from resolvers.access.jwks import ALGORITHMS, JwksCache, check_issuer_url
from resolvers.access.viewer import invalid_token_error

LEEWAY_SECONDS = 30.0


class Issuer:
    """An OpenID Connect issuer whose JWTs are accepted for one audience.

    `timer` counts seconds, as `time.monotonic` does. Raises ValueError for an address that is neither https nor local.
    """

    def __init__(self, url: str, audience: str, *, timer: Callable[[], float] = time.monotonic) -> None:
        check_issuer_url(url)
        self.url = url
        self.audience = audience
        self._keys = JwksCache(url, timer)

    async def claims(self, token: str) -> dict[str, Any]:
        """The issuer's claims about the bearer. Raises Unauthenticated, temporary when the issuer did not answer."""
        key = await self._keys.key(_key_id(token))
        # Servers without an issuer need neither this nor the cryptography that it imports, which takes 10 MB.
        import jwt

        try:
            return jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=self.audience,
                issuer=self.url,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"], "enforce_minimum_key_length": True},
            )
        # The token comes from a stranger: any error that it makes the library raise, even RecursionError, is a refusal.
        except Exception as error:
            raise invalid_token_error() from error


def _key_id(token: str) -> str:
    """The id of the key that the token names in its header."""
    import jwt

    try:
        header = jwt.get_unverified_header(token)
    except Exception as error:
        raise invalid_token_error() from error
    key_id = header.get("kid")
    if not isinstance(key_id, str) or header.get("alg") not in ALGORITHMS:
        raise invalid_token_error()
    return key_id
