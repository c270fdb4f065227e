"""Clients that write and read without a pause, and note how each answer came."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.support.running import GRAPHQL_JSON, PLAIN, Running

WRITERS, READERS = 6, 6
PAUSE = 0.02
CREATE = """mutation($key: String!, $title: String!) {
  createInstance(input: {idempotencyKey: $key, url: "https://failover.example", title: $title, public: true}) {
    instance { id title } userErrors { code message }
  }
}"""
FLAT = """query($first: Int!) {
  instances(first: $first) { nodes { id title owners { id } archives(first: 5) { nodes { id } } } }
}"""
POINT = "query($id: ID!) { instance(id: $id) { id title } }"
OUTAGES = {"UNAVAILABLE", "TIMEOUT", "OVERLOADED"}
"""Codes of errors during an election: requests that wait for it occupy slots, so that others may be refused."""


@dataclass(frozen=True)
class Answered:
    """The outcome of one request."""

    kind: str
    at: float
    seconds: float
    status: int
    codes: frozenset[str]
    retry_after: str | None

    @property
    def well(self) -> bool:
        return self.status == 200 and not self.codes


@dataclass
class Traffic:
    """The requests to a server during the test, and its responses."""

    server: Running
    http: httpx2.AsyncClient
    answers: list[Answered] = field(default_factory=list)
    written: dict[str, str] = field(default_factory=dict)
    """The id that each title was answered with."""
    wrong: list[str] = field(default_factory=list)
    """Answers that nobody should have been given."""
    stopping: bool = False
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    async def ask(self, kind: str, query: str, **variables: Any) -> Any:
        """The data of one answer, None where an outage left it empty or incomplete."""
        began = time.monotonic()
        response = await self.http.post("/graphql", json={"query": query, "variables": variables})
        seconds = time.monotonic() - began
        answer = response.json()
        codes = frozenset(error["extensions"]["code"] for error in answer.get("errors", ()))
        retry_after = response.headers.get("retry-after")
        self.answers.append(Answered(kind, began, seconds, response.status_code, codes, retry_after))
        if codes - OUTAGES or (codes and (response.status_code, bool(retry_after)) != (503, True)):
            self.wrong.append(f"{kind} after {seconds:.1f} s: {response.status_code} {response.text[:300]}")
        return None if codes else answer["data"]

    async def write(self) -> None:
        """Make instances, each until it is made."""
        while not self.stopping:
            title = f"instance {next(self._numbers)}"
            while not await self._is_made(title):
                await asyncio.sleep(0.1)
            await asyncio.sleep(PAUSE)

    async def _is_made(self, title: str) -> bool:
        data = await self.ask("write", CREATE, key=title, title=title)
        if data is None:
            return False
        payload = data["createInstance"]
        # The first call with this key may be at work still.
        if [error["code"] for error in payload["userErrors"]] == ["IN_PROGRESS"]:
            return False
        if payload["userErrors"] or payload["instance"]["title"] != title:
            self.wrong.append(f"{title}: {payload}")
        else:
            self.written[title] = payload["instance"]["id"]
        return True

    async def read(self, number: int) -> None:
        """Read a page, or one of what was written."""
        while not self.stopping:
            if number % 2 and self.written:
                title, id = next(reversed(self.written.items()))
                data = await self.ask("point", POINT, id=id)
                if data is not None and data["instance"] != {"id": id, "title": title}:
                    self.wrong.append(f"{title} is gone: {data}")
            else:
                await self.ask("flat", FLAT, first=20)
            await asyncio.sleep(PAUSE)

    def since(self, at: float) -> list[Answered]:
        """The answers to what was asked since then."""
        return [one for one in self.answers if one.at >= at]

    def longest(self, *kinds: str) -> float:
        """The longest time that an answer of some kinds took."""
        return max(one.seconds for one in self.answers if one.kind in kinds)

    async def flows(self, within: float) -> float:
        """Wait until everything is answered well again; how long that took."""
        begun = time.monotonic()
        while True:
            recent = [one for one in self.since(begun) if one.well]
            if {one.kind for one in recent} >= {"write", "flat", "point"}:
                return time.monotonic() - begun
            assert time.monotonic() - begun < within, self.answers[-5:]
            await asyncio.sleep(0.05)


@asynccontextmanager
async def traffic(server: Running) -> AsyncIterator[Traffic]:
    """Writers and readers, at work for the block; what they began is finished after it."""
    headers = {"accept": GRAPHQL_JSON, "authorization": f"Bearer {server.token}"}
    async with httpx2.AsyncClient(base_url=server.url, headers=headers, timeout=30, **PLAIN) as http:
        made = Traffic(server, http)
        work: list[Callable[[], Awaitable[None]]] = [made.write] * WRITERS
        tasks = [asyncio.ensure_future(one()) for one in work]
        tasks += [asyncio.ensure_future(made.read(number)) for number in range(READERS)]
        try:
            yield made
        finally:
            made.stopping = True
            await asyncio.gather(*tasks)
