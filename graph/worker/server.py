"""Asking the server: GraphQL over HTTP, again and again while it cannot be reached."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx2
import orjson

from graph.worker import say
from graph.worker.options import Misused, NotTaken

ANSWER_WITHIN = 40.0
"""Seconds; the server itself gives up sooner."""
CONNECT_WITHIN = 5.0
FIRST_WAIT, LONGEST_WAIT = 0.2, 10.0
"""Seconds between tries, doubled with each."""
SAID_AFTER = 1.0
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP's ways to say: not now."""
IN_PROGRESS, INVALID_STATE, NOT_FOUND = "IN_PROGRESS", "INVALID_STATE", "NOT_FOUND"

T = TypeVar("T")
Json = dict[str, Any]


class Unreachable(Exception):
    """No answer, or none for now: the same may be asked again."""


class Refused(Exception):
    """The server refused a change. `state` is where the object stands, when that is the reason."""

    def __init__(self, errors: list[Json]) -> None:
        super().__init__(" ".join(error["message"] for error in errors))
        self.code: str = errors[0]["code"]
        self.state: str | None = errors[0].get("currentState")


class Server:
    """A server, as the bearer of a token. `files` is for signed URLs, which must not be sent the token."""

    def __init__(self, address: str, token: str) -> None:
        self.address = address
        timeout = httpx2.Timeout(ANSWER_WITHIN, connect=CONNECT_WITHIN)
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/graphql-response+json, application/json"}
        # Reading the certificates takes longer than to ask.
        trusted = httpx2.create_ssl_context()
        self._client = httpx2.AsyncClient(headers=headers, timeout=timeout, verify=trusted)
        self.files = httpx2.AsyncClient(timeout=timeout, verify=trusted)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()
        await self.files.aclose()

    async def ask(self, query: str, **variables: Any) -> Any:
        """The data of an answer, however long it takes to get one. Raises Misused."""
        return await until_answered(lambda: self.try_to_ask(query, **variables))

    async def change(self, query: str, **given: Any) -> Any:
        """The payload of a mutation, however long it takes: only for what may be repeated. Raises Refused, Misused."""
        return await until_answered(lambda: self.try_to_change(query, **given))

    async def try_to_change(self, query: str, **given: Any) -> Any:
        """The payload of a mutation. Raises Refused, Unreachable and Misused."""
        (payload,) = (await self.try_to_ask(query, input=given)).values()
        if not payload["userErrors"]:
            return payload
        refused = Refused(payload["userErrors"])
        if refused.code == IN_PROGRESS:
            raise Unreachable(str(refused))
        raise refused

    async def try_to_ask(self, query: str, **variables: Any) -> Any:
        """The data of an answer. Raises Unreachable and Misused."""
        body = orjson.dumps({"query": query, "variables": variables})
        try:
            response = await self._client.post(self.address, content=body, headers={"Content-Type": "application/json"})
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
            raise Misused(f"{self.address} is no address of a server: {error}.") from error
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
        if status == 404 or not (spoken or status in PASSING or status in (401, 403)):
            raise Misused(f"{self.address} answers {status}, and not as GraphQL does. Is the address right?")
        if not spoken:
            answer = {"errors": [{"message": f"HTTP {status}"}]}
        errors = answer.get("errors")
        if not errors:
            return answer["data"]
        said = " ".join(str(error.get("message")) for error in errors[:3])
        if status in (401, 403):
            raise Misused(f"{self.address} does not take the token: {said}")
        codes = {(error.get("extensions") or {}).get("code") for error in errors}
        if status in PASSING or codes & {"INTERNAL_SERVER_ERROR", "UNAVAILABLE"}:
            raise Unreachable(f"{self.address} fails: {said}")
        raise NotTaken(f"{self.address} does not take what this worker asks: {said}")


async def until_answered(ask: Callable[[], Awaitable[T]]) -> T:
    """What `ask` answers in the end: again, less and less often, while it is Unreachable."""
    wait = FIRST_WAIT
    while True:
        try:
            return await ask()
        except Unreachable as error:
            # A moment's trouble is nobody's business.
            if wait > SAID_AFTER:
                say.warning("%s Trying again.", error)
        await asyncio.sleep(wait * random.uniform(0.5, 1.5))
        wait = min(wait * 2, LONGEST_WAIT)


@asynccontextmanager
async def reached(address: str, token: str) -> AsyncIterator[Server]:
    """The server for the block."""
    server = Server(address, token)
    try:
        yield server
    finally:
        await server.close()
