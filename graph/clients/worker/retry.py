"""Retrying with exponential back-off, for a bounded time, and logged."""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from graph.clients.worker import log
from graph.clients.worker.metrics import metrics

MIN_RETRY_DELAY, MAX_RETRY_DELAY = 0.2, 10.0
"""Seconds between attempts, doubled with each."""
LOG_AFTER = 1.0
NOTE_AFTER, NOTE_INTERVAL = 2.0, 60.0
"""Seconds of waiting after which the activity's log mentions it, and mentions it again."""

T = TypeVar("T")
Note = Callable[[str], Awaitable[None]]
"""Writes a line into the log of the waiting activity."""


class TransientError(Exception):
    """No answer, or none for now: the request may be repeated, after `after` seconds at the earliest."""

    def __init__(self, message: str, *, after: float = 0.0) -> None:
        super().__init__(message)
        self.after = after


class RetryTimeout(Exception):
    """There was no answer within the time limit."""


class Retry:
    """A retry policy: the seconds during which to repeat, and where to log it."""

    def __init__(self, timeout: float = math.inf, note: Note | None = None) -> None:
        self._timeout, self._note = timeout, note
        self._noted: dict[str, float] = {}

    async def until_answered(self, request: Callable[[], Awaitable[T]]) -> T:
        """The result of `request`, repeated while it raises TransientError. Raises RetryTimeout."""
        began, wait = time.monotonic(), MIN_RETRY_DELAY
        while True:
            try:
                return await request()
            except TransientError as error:
                metrics.transport_failures.inc()
                waited = time.monotonic() - began
                # With jitter, so that clients do not return together, and never before the time that the server named.
                pause = max(wait * random.uniform(0.5, 1.5), min(error.after, MAX_RETRY_DELAY) * random.uniform(1, 1.5))
                await self._log_retry(error, waited, wait)
            await asyncio.sleep(min(pause, self._timeout - waited))
            wait = min(wait * 2, MAX_RETRY_DELAY)

    async def _log_retry(self, error: TransientError, waited: float, wait: float) -> None:
        """Log that the request will be repeated. Raises RetryTimeout when it will not."""
        if waited >= self._timeout:
            raise RetryTimeout(f"{error} It was tried again for {duration(waited)}.") from error
        again = f"{error} Trying again" + (
            "." if math.isinf(self._timeout) else f" for {duration(self._timeout - waited)}."
        )
        # A short interruption is not worth a line.
        if wait > LOG_AFTER:
            log.warning("%s", again)
        if self._note and waited > NOTE_AFTER and time.monotonic() > self._noted.get(str(error), 0.0):
            self._noted[str(error)] = time.monotonic() + NOTE_INTERVAL
            await self._note(again)


def duration(seconds: float) -> str:
    """A duration in words."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
