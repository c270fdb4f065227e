"""The public keys of an OpenID Connect issuer: its JSON Web Key Set (JWKS), fetched and cached."""

import asyncio
import json
import ssl
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog

from resolvers.access.viewer import Unauthenticated, invalid_token_error

if TYPE_CHECKING:
    import httpx2
    import jwt

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Asymmetric ones only: with HS256 anybody who knows the public key could sign."""

JWKS_TTL = 300.0
"""Seconds after which the keys are fetched again."""
JWKS_STALE_IF_ERROR = 3600.0
"""Seconds for which fetched keys stay valid while the issuer is away, as RFC 5861 calls it."""
JWKS_COOLDOWN = 30.0
FAILURE_COOLDOWN = 5.0
"""Seconds between two fetches, and after one that failed."""
KEY_TIMEOUT = 3.0
"""Seconds that a request waits for a fetch, which then goes on without it."""
RESPONSE_TIMEOUT = 5.0
"""Seconds for each of the two responses of a fetch."""
FETCH_TIMEOUT = 20.0
MAX_RESPONSE_BYTES = 1_000_000

log = structlog.stdlib.get_logger("resolvers.oidc")


class JwksCache:
    """The public keys of an issuer, fetched once for all callers that wait, at limited intervals.

    Keys are fetched again after 5 minutes, or when a token names an unknown key and the last fetch is 30 seconds old
    (5 when it failed). While the issuer is away, the last keys stay valid for an hour.
    """

    def __init__(self, issuer: str, timer: Callable[[], float]) -> None:
        self._issuer = issuer
        self._timer = timer
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at: float | None = None
        self._next_fetch_at = timer()
        self._fetch: asyncio.Task[None] | None = None

    async def key(self, key_id: str) -> "jwt.PyJWK":
        """The key with this id. Raises Unauthenticated, temporary when the issuer did not answer."""
        if key_id not in self._keys or self._age() >= JWKS_TTL:
            await self._refresh()
        if key_id in self._keys and self._age() < JWKS_STALE_IF_ERROR:
            return self._keys[key_id]
        if self._age() >= JWKS_TTL:
            raise Unauthenticated("The token's issuer does not answer at the moment.", temporary=True)
        raise invalid_token_error()

    def _age(self) -> float:
        return float("inf") if self._fetched_at is None else self._timer() - self._fetched_at

    async def _refresh(self) -> None:
        """Wait for a fetch, which is started unless one runs or the last one is too recent."""
        if self._fetch is None:
            if self._timer() < self._next_fetch_at:
                return
            self._fetch = asyncio.create_task(self._fetch_keys())
        # Not wait_for, which would cancel the fetch that other callers wait for too.
        await asyncio.wait([self._fetch], timeout=KEY_TIMEOUT)

    async def _fetch_keys(self) -> None:
        try:
            async with asyncio.timeout(FETCH_TIMEOUT):
                self._keys = await fetch_signing_keys(self._issuer)
            self._fetched_at = self._timer()
            self._next_fetch_at = self._timer() + JWKS_COOLDOWN
        except Exception as error:
            self._next_fetch_at = self._timer() + FAILURE_COOLDOWN
            log.warning(
                "the OIDC issuer returned no keys", issuer=self._issuer, reason=str(error) or type(error).__name__
            )
        finally:
            self._fetch = None


async def fetch_signing_keys(issuer: str) -> dict[str, "jwt.PyJWK"]:
    """The issuer's signing keys by their ids, found as OpenID Connect Discovery 1.0 says. Follows no redirects."""
    import jwt

    async with await asyncio.to_thread(_make_client) as client:

        async def get_json(url: str) -> dict[str, Any]:
            deadline = time.monotonic() + RESPONSE_TIMEOUT
            body = b""
            async with client.stream("GET", url) as response:
                if not response.is_success:
                    raise ValueError(f"{url} answers with status {response.status_code}.")
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > MAX_RESPONSE_BYTES or time.monotonic() > deadline:
                        raise ValueError(f"{url} answers too slowly, or with too many bytes.")
            value = json.loads(body)
            if not isinstance(value, dict):
                raise ValueError(f"{url} does not answer with a JSON object.")
            return value

        configuration = await get_json(issuer.rstrip("/") + "/.well-known/openid-configuration")
        if configuration.get("issuer") != issuer:
            raise ValueError(f"Its configuration gives the issuer {configuration.get('issuer')!r}.")
        jwks_uri = configuration.get("jwks_uri")
        if not isinstance(jwks_uri, str):
            raise ValueError("Its configuration has no jwks_uri.")
        check_issuer_url(jwks_uri)
        keys = jwt.PyJWKSet.from_dict(await get_json(jwks_uri)).keys
    return {key.key_id: key for key in keys if key.key_id and _is_signing_key(key)}


def _make_client() -> "httpx2.AsyncClient":
    """A client that trusts the certificates that the system has now. Takes 0.1 s, so call it in a thread."""
    # Servers without an issuer need no HTTP client.
    import httpx2

    # Responses of any encoding but `identity` are refused, so that MAX_RESPONSE_BYTES bounds the decoded text as well.
    headers = {"Accept-Encoding": "identity"}
    return httpx2.AsyncClient(verify=ssl.create_default_context(), timeout=RESPONSE_TIMEOUT, headers=headers)


def check_issuer_url(url: str) -> None:
    """Raise ValueError unless the URL is an https:// or a local one."""
    parts = urlsplit(url)
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if not (parts.hostname and (parts.scheme == "https" or (parts.scheme == "http" and local))):
        raise ValueError(f"{url} is neither an https:// address nor a local one.")


def _is_signing_key(key: "jwt.PyJWK") -> bool:
    return key.public_key_use in ("sig", None) and key.algorithm_name in ALGORITHMS
