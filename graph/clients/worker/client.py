"""GraphQL requests to the server over HTTP, repeated while it cannot be reached."""

import copy
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar

import httpx2
import orjson

from graph.clients.worker.options import ConfigurationError, IncompatibleServer
from graph.clients.worker.retry import Retry, TransientError

RESPONSE_TIMEOUT = 40.0
"""Seconds; the server's own timeout is shorter."""
CONNECT_TIMEOUT = 5.0
RETRYABLE_STATUSES = frozenset({408, 425, 429})
"""HTTP statuses that mean: not now. So do all 5xx, 507 above all: a bucket that is full."""
RETRYABLE_CODES = frozenset({"INTERNAL_SERVER_ERROR", "UNAVAILABLE", "OVERLOADED", "READ_ONLY", "TIMEOUT"})
"""GraphQL error codes that mean the same."""
IN_PROGRESS, INVALID_STATE, NOT_FOUND = "IN_PROGRESS", "INVALID_STATE", "NOT_FOUND"

T = TypeVar("T")
Json = dict[str, Any]


class MutationError(Exception):
    """The server refused a change. `state` is the object's current state, when that is the reason."""

    def __init__(self, errors: list[Json]) -> None:
        super().__init__(" ".join(error["message"] for error in errors))
        self.errors = errors
        self.code: str = errors[0]["code"]
        self.state: str | None = errors[0].get("currentState")


class GraphQLClient:
    """A client of a server, anonymous without a token. `files` is for signed URLs, to which the token must not go."""

    def __init__(self, address: str, token: str | None) -> None:
        self.address = address
        timeout = httpx2.Timeout(RESPONSE_TIMEOUT, connect=CONNECT_TIMEOUT)
        headers = {"Accept": "application/graphql-response+json, application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        # Loading the certificates takes longer than a request.
        certificates = httpx2.create_ssl_context()
        self._client = httpx2.AsyncClient(headers=headers, timeout=timeout, verify=certificates)
        self.files = httpx2.AsyncClient(timeout=timeout, verify=certificates)
        self._retry = Retry()

    def with_retry(self, retry: Retry) -> Self:
        """A client of the same server, with another retry policy."""
        client = copy.copy(self)
        client._retry = retry
        return client

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()
        await self.files.aclose()

    async def query(self, document: str, **variables: Any) -> Any:
        """The data of an answer, with as many attempts as it takes. Raises ConfigurationError and RetryTimeout."""
        return await self.retry_until_answered(lambda: self.query_once(document, **variables))

    async def mutate(self, document: str, **input: Any) -> Any:
        """The payload of a mutation, with as many attempts as it takes: only for mutations that may be repeated.

        Raises MutationError, ConfigurationError and RetryTimeout.
        """
        return await self.retry_until_answered(lambda: self.mutate_once(document, **input))

    async def retry_until_answered(self, request: Callable[[], Awaitable[T]]) -> T:
        """The result of `request`, which is repeated while it raises TransientError. Raises RetryTimeout."""
        return await self._retry.until_answered(request)

    async def mutate_once(self, document: str, **input: Any) -> Any:
        """The payload of a mutation, in one attempt. Raises MutationError, TransientError and ConfigurationError."""
        (payload,) = (await self.query_once(document, input=input)).values()
        if not payload["userErrors"]:
            return payload
        refused = MutationError(payload["userErrors"])
        if refused.code == IN_PROGRESS:
            raise TransientError(str(refused))
        raise refused

    async def query_once(self, document: str, **variables: Any) -> Any:
        """The data of an answer, in one attempt. Raises TransientError and ConfigurationError."""
        body = orjson.dumps({"query": document, "variables": variables})
        try:
            response = await self._client.post(self.address, content=body, headers={"Content-Type": "application/json"})
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
            raise ConfigurationError(f"{self.address} is not a server's address: {error}.") from error
        except httpx2.TransportError as error:
            raise TransientError(f"{self.address} does not answer: {error or type(error).__name__}.") from error
        return self._data(response)

    def _data(self, response: httpx2.Response) -> Any:
        status = response.status_code
        try:
            answer = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            answer = None
        is_graphql = isinstance(answer, dict) and bool(answer.keys() & {"data", "errors"})
        is_retryable = is_retryable_status(status)
        if status == 404 or not (is_graphql or is_retryable or status in (401, 403)):
            raise ConfigurationError(f"{self.address} answers {status}, but not with GraphQL. Is the address right?")
        if not is_graphql:
            answer = {"errors": [{"message": f"HTTP {status} {response.reason_phrase}."}]}
        errors = answer.get("errors")
        if not errors:
            return answer["data"]
        messages = " ".join(str(error.get("message")) for error in errors[:3])
        if status in (401, 403):
            raise ConfigurationError(f"{self.address} does not accept the token: {messages}")
        codes = {(error.get("extensions") or {}).get("code") for error in errors}
        if is_retryable or codes & RETRYABLE_CODES:
            raise TransientError(f"{self.address} fails: {messages}", after=retry_after(response))
        raise IncompatibleServer(f"{self.address} does not accept this request: {messages}")


def is_retryable_status(status: int) -> bool:
    """Whether the HTTP status says that the request may be repeated later."""
    return status in RETRYABLE_STATUSES or status >= 500


def retry_after(response: httpx2.Response) -> float:
    """The seconds that the server asks to wait before the next attempt."""
    seconds = response.headers.get("Retry-After", "")
    return float(seconds) if seconds.isascii() and seconds.isdigit() else 0.0


@asynccontextmanager
async def open_client(address: str, token: str | None) -> AsyncIterator[GraphQLClient]:
    """A client of the server, open for the block."""
    client = GraphQLClient(address, token)
    try:
        yield client
    finally:
        await client.close()
