"""GraphQL requests to the server over HTTP, repeated while it cannot be reached."""

import copy
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar

import httpx2
import orjson

from graph.clients.worker.options import Misused, NotTaken
from graph.clients.worker.retry import Retry, Unreachable

ANSWER_WITHIN = 40.0
"""Seconds; the server's own timeout is shorter."""
CONNECT_WITHIN = 5.0
PASSING = frozenset({408, 425, 429})
"""HTTP statuses that mean: not now. So do all 5xx, 507 above all: a bucket that is full."""
PASSING_CODES = frozenset({"INTERNAL_SERVER_ERROR", "UNAVAILABLE", "OVERLOADED", "TIMEOUT"})
"""GraphQL error codes that mean the same."""
IN_PROGRESS, INVALID_STATE, NOT_FOUND = "IN_PROGRESS", "INVALID_STATE", "NOT_FOUND"

T = TypeVar("T")
Json = dict[str, Any]


class MutationError(Exception):
    """The server refused a change. `state` is the object's current state, when that is the reason."""

    def __init__(self, errors: list[Json]) -> None:
        super().__init__(" ".join(error["message"] for error in errors))
        self.code: str = errors[0]["code"]
        self.state: str | None = errors[0].get("currentState")


class Server:
    """A client of a server with a token. `files` is for signed URLs, to which the token must not be sent."""

    def __init__(self, address: str, token: str) -> None:
        self.address = address
        timeout = httpx2.Timeout(ANSWER_WITHIN, connect=CONNECT_WITHIN)
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/graphql-response+json, application/json"}
        # Loading the certificates takes longer than a request.
        trusted = httpx2.create_ssl_context()
        self._client = httpx2.AsyncClient(headers=headers, timeout=timeout, verify=trusted)
        self.files = httpx2.AsyncClient(timeout=timeout, verify=trusted)
        self._retry = Retry()

    def retrying(self, retry: Retry) -> Self:
        """A client of the same server, with another retry policy."""
        other = copy.copy(self)
        other._retry = retry
        return other

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()
        await self.files.aclose()

    async def ask(self, query: str, **variables: Any) -> Any:
        """The data of an answer, with as many attempts as it takes. Raises Misused and GaveUp."""
        return await self.until_answered(lambda: self.try_to_ask(query, **variables))

    async def change(self, query: str, **given: Any) -> Any:
        """The payload of a mutation, with as many attempts as it takes: only for mutations that may be repeated.

        Raises MutationError, Misused and GaveUp.
        """
        return await self.until_answered(lambda: self.try_to_change(query, **given))

    async def until_answered(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The result of `ask`, which is repeated while it raises Unreachable. Raises GaveUp."""
        return await self._retry.until_answered(ask)

    async def try_to_change(self, query: str, **given: Any) -> Any:
        """The payload of a mutation, in one attempt. Raises MutationError, Unreachable and Misused."""
        (payload,) = (await self.try_to_ask(query, input=given)).values()
        if not payload["userErrors"]:
            return payload
        refused = MutationError(payload["userErrors"])
        if refused.code == IN_PROGRESS:
            raise Unreachable(str(refused))
        raise refused

    async def try_to_ask(self, query: str, **variables: Any) -> Any:
        """The data of an answer, in one attempt. Raises Unreachable and Misused."""
        body = orjson.dumps({"query": query, "variables": variables})
        try:
            response = await self._client.post(self.address, content=body, headers={"Content-Type": "application/json"})
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
            raise Misused(f"{self.address} is not a server's address: {error}.") from error
        except httpx2.TransportError as error:
            raise Unreachable(f"{self.address} does not answer: {error or type(error).__name__}.") from error
        return self._data(response)

    def _data(self, response: httpx2.Response) -> Any:
        status = response.status_code
        try:
            answer = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            answer = None
        spoken = isinstance(answer, dict) and bool(answer.keys() & {"data", "errors"})
        passing = is_passing(status)
        if status == 404 or not (spoken or passing or status in (401, 403)):
            raise Misused(f"{self.address} answers {status}, but not with GraphQL. Is the address right?")
        if not spoken:
            answer = {"errors": [{"message": f"HTTP {status} {response.reason_phrase}."}]}
        errors = answer.get("errors")
        if not errors:
            return answer["data"]
        said = " ".join(str(error.get("message")) for error in errors[:3])
        if status in (401, 403):
            raise Misused(f"{self.address} does not accept the token: {said}")
        codes = {(error.get("extensions") or {}).get("code") for error in errors}
        if passing or codes & PASSING_CODES:
            raise Unreachable(f"{self.address} fails: {said}", after=retry_after(response))
        raise NotTaken(f"{self.address} does not accept this worker's request: {said}")


def is_passing(status: int) -> bool:
    """Whether the HTTP status says that the request may be repeated later."""
    return status in PASSING or status >= 500


def retry_after(response: httpx2.Response) -> float:
    """The seconds that the server asks to wait before the next attempt."""
    said = response.headers.get("Retry-After", "")
    return float(said) if said.isascii() and said.isdigit() else 0.0


@asynccontextmanager
async def open_client(address: str, token: str) -> AsyncIterator[Server]:
    """A client of the server, open for the block."""
    server = Server(address, token)
    try:
        yield server
    finally:
        await server.close()
