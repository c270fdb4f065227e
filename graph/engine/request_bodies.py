"""Request bodies while they arrive, bounded for all connections together.

Beyond the bound, the slowest bodies are abandoned. Refusing the newest instead would let a few clients whose bodies
never end lock all others out, including those who only send the head of a request before its body.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.types import Message, Receive

from graph.errors import Overloaded, OverloadReason


@dataclass(eq=False)
class Body:
    """A body that has arrived in part."""

    started_at: float
    timeout: asyncio.Timeout
    size: int = 0


class RequestBodies:
    """Counts the bytes of bodies that have arrived in part."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._arriving: set[Body] = set()
        self._bytes = 0

    @asynccontextmanager
    async def count(self, receive: Receive) -> AsyncIterator[Receive]:
        """Count the messages of `receive` in this block. Raises Overloaded when this body is abandoned."""
        body = Body(asyncio.get_running_loop().time(), asyncio.timeout(None))

        async def receive_and_count() -> Message:
            message = await receive()
            self._grow(body, len(message.get("body", b"")))
            return message

        self._arriving.add(body)
        try:
            async with body.timeout:
                yield receive_and_count
        except TimeoutError:
            raise Overloaded(OverloadReason.BODIES) from None
        finally:
            self._remove(body)

    def _grow(self, body: Body, by: int) -> None:
        if body not in self._arriving:
            # Abandoned already, but its task has yet to learn it.
            return
        body.size += by
        self._bytes += by
        now = asyncio.get_running_loop().time()
        while self._bytes > self._limit:
            slowest = max(self._arriving, key=lambda arriving: arriving.size * (now - arriving.started_at))
            slowest.timeout.reschedule(now)
            self._remove(slowest)

    def _remove(self, body: Body) -> None:
        """Stop counting a body."""
        if body in self._arriving:
            self._arriving.remove(body)
            self._bytes -= body.size
