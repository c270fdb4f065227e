"""Request bodies while they arrive, bounded for all connections together.

Beyond the bound, the slowest bodies are given up. Refusing the newest instead would let a few clients whose bodies
never end lock all others out, including those who only send the head of a request before its body.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.types import Message, Receive

from graph.errors import Overloaded


@dataclass(eq=False)
class Body:
    """A body that has arrived in part."""

    began: float
    end: asyncio.Timeout
    size: int = 0


class Bodies:
    """Counts the bytes of bodies that have arrived in part."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._coming: set[Body] = set()
        self._held = 0

    @asynccontextmanager
    async def receiving(self, receive: Receive) -> AsyncIterator[Receive]:
        """The messages of `receive`, counted in this block. Raises Overloaded when this body is the one given up."""
        body = Body(asyncio.get_running_loop().time(), asyncio.timeout(None))

        async def counted() -> Message:
            message = await receive()
            self._grow(body, len(message.get("body", b"")))
            return message

        self._coming.add(body)
        try:
            async with body.end:
                yield counted
        except TimeoutError:
            raise Overloaded from None
        finally:
            self._give_up(body)

    def _grow(self, body: Body, by: int) -> None:
        if body not in self._coming:
            # Given up already, but its task has yet to learn it.
            return
        body.size += by
        self._held += by
        now = asyncio.get_running_loop().time()
        while self._held > self._limit:
            slowest = max(self._coming, key=lambda one: one.size * (now - one.began))
            slowest.end.reschedule(now)
            self._give_up(slowest)

    def _give_up(self, body: Body) -> None:
        """Stop counting a body."""
        if body in self._coming:
            self._coming.remove(body)
            self._held -= body.size
