"""Retrying with exponential back-off, for a bounded time, and logged."""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from graph.clients.worker import say

FIRST_WAIT, LONGEST_WAIT = 0.2, 10.0
"""Seconds between attempts, doubled with each."""
SAID_AFTER = 1.0
NOTED_AFTER, NOTED_EVERY = 2.0, 60.0
"""Seconds of waiting after which the activity's log mentions it, and mentions it again."""

T = TypeVar("T")
Note = Callable[[str], Awaitable[None]]
"""Writes a line into the log of the waiting activity."""


class Unreachable(Exception):
    """No answer, or none for now: the request may be repeated, after `after` seconds at the earliest."""

    def __init__(self, message: str, *, after: float = 0.0) -> None:
        super().__init__(message)
        self.after = after


class GaveUp(Exception):
    """There was no answer within the time limit."""


class Retry:
    """A retry policy: the seconds during which to repeat, and where to log it."""

    def __init__(self, within: float = math.inf, note: Note | None = None) -> None:
        self._within, self._note = within, note
        self._noted: dict[str, float] = {}

    async def until_answered(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The result of `ask`, repeated while it raises Unreachable. Raises GaveUp."""
        began, wait = time.monotonic(), FIRST_WAIT
        while True:
            try:
                return await ask()
            except Unreachable as error:
                waited = time.monotonic() - began
                # With jitter, so that clients do not return together, and never before the time that the server named.
                pause = max(wait * random.uniform(0.5, 1.5), min(error.after, LONGEST_WAIT) * random.uniform(1, 1.5))
                await self._tell(error, waited, wait)
            await asyncio.sleep(min(pause, self._within - waited))
            wait = min(wait * 2, LONGEST_WAIT)

    async def _tell(self, error: Unreachable, waited: float, wait: float) -> None:
        """Log that the request will be repeated. Raises GaveUp when it will not."""
        if waited >= self._within:
            raise GaveUp(f"{error} It was tried again for {duration(waited)}.") from error
        again = f"{error} Trying again" + (
            "." if math.isinf(self._within) else f" for {duration(self._within - waited)}."
        )
        # A short interruption is not worth a line.
        if wait > SAID_AFTER:
            say.warning("%s", again)
        if self._note and waited > NOTED_AFTER and time.monotonic() > self._noted.get(str(error), 0.0):
            self._noted[str(error)] = time.monotonic() + NOTED_EVERY
            await self._note(again)


def duration(seconds: float) -> str:
    """A duration in words."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
