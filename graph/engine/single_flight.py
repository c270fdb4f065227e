"""Single-flight: identical concurrent queries share one execution.

While one is executed, identical queries wait; the first of them is executed next, and its answer is shared by all that
arrived before it started. So an answer is never older than its request, and nothing is cached. A missing answer is
shared too, with all that wait, since they would get none either.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from hashlib import sha256
from typing import Generic, TypeVar

MAX_KEY_LENGTH = 1_000
"""Characters of a key's text. A longer one is hashed: 1 MB of values can be 16 MB of text."""

Answer = TypeVar("Answer")
IsWanted = Callable[[], bool]


def key_of(values: object) -> str | bytes:
    """A short key that is equal for equal values."""
    text = repr(values)
    return text if len(text) <= MAX_KEY_LENGTH else sha256(text.encode()).digest()


@dataclass
class Ticket(Generic[Answer]):
    """The outcome for a waiter: a shared answer, or the order to execute the query itself."""

    answer: Answer | None = None
    is_leader: bool = False


class SingleFlight(Generic[Answer]):
    """Executions in progress by key, with the waiters that arrived since each started."""

    def __init__(self) -> None:
        self._waiters: dict[Hashable, list[asyncio.Future[Ticket[Answer]]]] = {}

    async def answer(self, key: Hashable, make: Callable[[IsWanted], Awaitable[Answer | None]]) -> Answer | None:
        """The result of `make`, or of another caller's `make` with the same key that started after this call.

        None when there was no result, including that of a caller that started before.

        Errors reach only the caller whose `make` raised them; the others execute the query themselves. `make` receives
        a function that tells whether callers besides its own wait for the result.
        """
        followers: list[asyncio.Future[Ticket[Answer]]] = []
        if key in self._waiters:
            ticket = await self._wait(key)
            if not ticket.is_leader:
                return ticket.answer
            followers = self._waiters[key]
        self._waiters[key] = []
        try:
            answer = await make(lambda: not all(follower.done() for follower in followers))
            for waiter in followers if answer is not None else (*followers, *self._waiters[key]):
                if not waiter.done():
                    waiter.set_result(Ticket(answer))
        finally:
            # Waiters with a result are done; after an error all of them still wait.
            self._waiters[key] = [waiter for waiter in (*followers, *self._waiters[key]) if not waiter.done()]
            self._promote_next(key)
        return answer

    async def _wait(self, key: Hashable) -> Ticket[Answer]:
        waiter: asyncio.Future[Ticket[Answer]] = asyncio.get_running_loop().create_future()
        self._waiters[key].append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            # It became the leader at the very moment of its cancellation.
            if waiter.done() and not waiter.cancelled() and waiter.result().is_leader:
                self._promote_next(key)
            raise

    def _promote_next(self, key: Hashable) -> None:
        waiting = self._waiters[key]
        while waiting:
            waiter = waiting.pop(0)
            if not waiter.done():
                waiter.set_result(Ticket(is_leader=True))
                return
        del self._waiters[key]
