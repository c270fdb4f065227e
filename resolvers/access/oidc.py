"""Tokens of an OpenID Connect issuer: its public keys, and the claims of a JWT that they verify."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPResponse
from threading import Thread
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import jwt
import structlog

from resolvers.access.viewer import Unauthenticated

T = TypeVar("T")

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Asymmetric ones only: with HS256 anybody who knows the public key could sign."""

LEEWAY_SECONDS = 30.0
REQUEST_WAITS_SECONDS = 3.0
ISSUER_MAY_TAKE_SECONDS = 5.0
FETCH_MAY_TAKE_SECONDS = 20.0
KEYS_ARE_FRESH_SECONDS = 300.0
KEYS_ARE_USABLE_SECONDS = 3600.0
ASK_AGAIN_AFTER_SECONDS = 30.0
ASK_AGAIN_AFTER_FAILURE_SECONDS = 5.0
LARGEST_ANSWER = 1_000_000

log = structlog.stdlib.get_logger("resolvers.oidc")


class Issuer:
    """An OpenID Connect issuer whose JWTs are accepted for one audience.

    `timer` counts seconds, as `time.monotonic` does. Raises ValueError for an address that is neither https nor local.
    """

    def __init__(self, url: str, audience: str, *, timer: Callable[[], float] = time.monotonic) -> None:
        _check_address(url)
        self.url = url
        self.audience = audience
        self._keys = KeyRing(url, timer)

    async def claims(self, token: str) -> dict[str, Any]:
        """The issuer's claims about the bearer. Raises Unauthenticated, temporary when the issuer did not answer."""
        key = await self._keys.key(_key_id(token))
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


class KeyRing:
    """The public keys of an issuer, fetched in a thread, once for all callers that wait, at limited intervals.

    Keys are fetched again after 5 minutes, or when a token names an unknown key and the last attempt is 30 seconds old
    (5 when it failed). While the issuer is away, the last keys stay valid for an hour.
    """

    def __init__(self, issuer: str, timer: Callable[[], float]) -> None:
        self._issuer = issuer
        self._timer = timer
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at: float | None = None
        self._next_attempt_at = timer()
        self._fetch: asyncio.Task[None] | None = None

    async def key(self, key_id: str) -> jwt.PyJWK:
        """The key with this id. Raises Unauthenticated, temporary when the issuer could not be asked."""
        if key_id not in self._keys or self._age() >= KEYS_ARE_FRESH_SECONDS:
            await self._refresh()
        if key_id in self._keys and self._age() < KEYS_ARE_USABLE_SECONDS:
            return self._keys[key_id]
        if self._age() >= KEYS_ARE_FRESH_SECONDS:
            raise Unauthenticated("The token's issuer does not answer at the moment.", temporary=True)
        raise invalid_token_error()

    def _age(self) -> float:
        return float("inf") if self._fetched_at is None else self._timer() - self._fetched_at

    async def _refresh(self) -> None:
        """Wait for a fetch, which is started unless one runs or the last attempt is too recent."""
        if self._fetch is None:
            if self._timer() < self._next_attempt_at:
                return
            self._fetch = asyncio.create_task(self._fetch_keys())
        # Not wait_for, which would cancel the fetch that other callers wait for too.
        await asyncio.wait([self._fetch], timeout=REQUEST_WAITS_SECONDS)

    async def _fetch_keys(self) -> None:
        try:
            self._keys = await asyncio.wait_for(_in_thread(fetch_keys, self._issuer), FETCH_MAY_TAKE_SECONDS)
            self._fetched_at = self._timer()
            self._next_attempt_at = self._timer() + ASK_AGAIN_AFTER_SECONDS
        except Exception as error:
            self._next_attempt_at = self._timer() + ASK_AGAIN_AFTER_FAILURE_SECONDS
            log.warning("the OIDC issuer gave no keys", issuer=self._issuer, reason=str(error) or type(error).__name__)
        finally:
            self._fetch = None


def invalid_token_error() -> Unauthenticated:
    """The error for any invalid token; it does not tell which check failed."""
    return Unauthenticated("The token is invalid, has expired or was revoked.")


async def _in_thread(work: Callable[[str], T], argument: str) -> T:
    """Run `work` in a thread that blocks neither the event loop nor the end of the process; returns its result."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if answer.done():
            return
        answer.set_exception(error) if error else answer.set_result(cast(T, result))

    def run() -> None:
        result, error = None, None
        try:
            result = work(argument)
        except Exception as raised:
            error = raised
        # The event loop is closed when the server has stopped meanwhile.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, error)

    Thread(target=run, name="oidc", daemon=True).start()
    return await answer


def fetch_keys(issuer: str) -> dict[str, jwt.PyJWK]:
    """The issuer's signing keys by their ids, found as OpenID Connect Discovery 1.0 says. Blocks for some seconds."""
    configuration = _get_json(issuer.rstrip("/") + "/.well-known/openid-configuration")
    if configuration.get("issuer") != issuer:
        raise ValueError(f"Its configuration gives the issuer {configuration.get('issuer')!r}.")
    address = configuration.get("jwks_uri")
    if not isinstance(address, str):
        raise ValueError("Its configuration has no jwks_uri.")
    _check_address(address)
    keys = jwt.PyJWKSet.from_dict(_get_json(address)).keys
    return {key.key_id: key for key in keys if key.key_id and _signs(key)}


def _signs(key: jwt.PyJWK) -> bool:
    return key.public_key_use in ("sig", None) and key.algorithm_name in ALGORITHMS


def _key_id(token: str) -> str:
    try:
        header = jwt.get_unverified_header(token)
    except Exception as error:
        raise invalid_token_error() from error
    key_id = header.get("kid")
    if not isinstance(key_id, str) or header.get("alg") not in ALGORITHMS:
        raise invalid_token_error()
    return key_id


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def _open(address: str) -> HTTPResponse:
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        answer: HTTPResponse = opener.open(address, timeout=ISSUER_MAY_TAKE_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        raise ValueError(f"{address} answers with status {error.code}.") from error
    return answer


def _get_json(address: str) -> dict[str, Any]:
    give_up_at = time.monotonic() + ISSUER_MAY_TAKE_SECONDS
    body = b""
    with _open(address) as answer:
        while chunk := answer.read1(65536):
            body += chunk
            if len(body) > LARGEST_ANSWER or time.monotonic() > give_up_at:
                raise ValueError(f"{address} answers too slowly, or with too many bytes.")
    value = json.loads(body)
    if not isinstance(value, dict):
        raise ValueError(f"{address} does not answer with a JSON object.")
    return value


def _check_address(address: str) -> None:
    parts = urlsplit(address)
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if not (parts.hostname and (parts.scheme == "https" or (parts.scheme == "http" and local))):
        raise ValueError(f"{address} is neither an https:// address nor a local one.")
