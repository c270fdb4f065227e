"""Single-flight: identical concurrent queries share one execution.

While one is executed, identical ones gather; the first of them is executed next, and its answer is shared by all that
arrived before it began. So an answer is never older than its request, and nothing is cached. A missing answer is shared
too, with all who wait, since they would get none either.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from hashlib import sha256
from typing import Generic, TypeVar

MAX_KEY = 1_000
"""Characters of a key's text. A longer one is hashed: 1 MB of values can be 16 MB of text."""

Answer = TypeVar("Answer")
IsWanted = Callable[[], bool]


def key_of(values: object) -> str | bytes:
    """A short key that is equal for equal values."""
    text = repr(values)
    return text if len(text) <= MAX_KEY else sha256(text.encode()).digest()


@dataclass
class Turn(Generic[Answer]):
    """The outcome for a waiter: a shared answer, or its turn to execute."""

    answer: Answer | None = None
    yours: bool = False


class SingleFlight(Generic[Answer]):
    """Executions in progress by key, with the waiters that arrived since each began."""

    def __init__(self) -> None:
        self._asked: dict[Hashable, list[asyncio.Future[Turn[Answer]]]] = {}

    async def answer(self, key: Hashable, make: Callable[[IsWanted], Awaitable[Answer | None]]) -> Answer | None:
        """The result of `make`, or of another caller's `make` with the same key that began after this call.

        None when there was no result, including that of a caller who began before.

        Errors reach only the caller whose `make` raised them; others execute themselves. `make` receives a function
        that tells whether callers besides its own wait for the result.
        """
        gathered: list[asyncio.Future[Turn[Answer]]] = []
        if key in self._asked:
            turn = await self._turn(key)
            if not turn.yours:
                return turn.answer
            gathered = self._asked[key]
        self._asked[key] = []
        try:
            made = await make(lambda: not all(other.done() for other in gathered))
            for other in gathered if made is not None else (*gathered, *self._asked[key]):
                if not other.done():
                    other.set_result(Turn(made))
        finally:
            # Waiters with a result are done; after an error all of them still wait.
            self._asked[key] = [other for other in (*gathered, *self._asked[key]) if not other.done()]
            self._pass_on(key)
        return made

    async def _turn(self, key: Hashable) -> Turn[Answer]:
        turn: asyncio.Future[Turn[Answer]] = asyncio.get_running_loop().create_future()
        self._asked[key].append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            # It got its turn at the very moment of its cancellation.
            if turn.done() and not turn.cancelled() and turn.result().yours:
                self._pass_on(key)
            raise

    def _pass_on(self, key: Hashable) -> None:
        waiting = self._asked[key]
        while waiting:
            turn = waiting.pop(0)
            if not turn.done():
                turn.set_result(Turn(yours=True))
                return
        del self._asked[key]
