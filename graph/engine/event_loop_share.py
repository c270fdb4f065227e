"""A share of the event loop's time, for a kind of work that must not take all of it."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager


class TimeShare:
    """Counts the time that a kind of work takes, against a share of all time."""

    def __init__(self, share: float, burst: float) -> None:
        """`share` is between 0 and 1; `burst` is the seconds of work that may be done at once after a rest."""
        self._share = share
        self._rest = burst / share
        self._paid_until = 0.0
        """The time at which the work done so far will no longer exceed the share."""

    @property
    def is_used_up(self) -> bool:
        """Whether no more work may be done now."""
        return self._seconds_to_wait() > 0

    @property
    def is_rested(self) -> bool:
        """Whether the whole burst is available."""
        return self._paid_until <= time.monotonic()

    def add(self, seconds: float) -> None:
        """Count some seconds of work."""
        self._paid_until = max(time.monotonic(), self._paid_until) + seconds / self._share

    @contextmanager
    def measure(self) -> Iterator[None]:
        """Count the time of this block."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(time.perf_counter() - started)

    async def wait_for_turn(self, seconds: float) -> None:
        """Count some seconds of work, and return when it may be done."""
        wait = self._seconds_to_wait()
        self.add(seconds)
        if wait > 0:
            try:
                await asyncio.sleep(wait)
            except asyncio.CancelledError:
                self._paid_until -= seconds / self._share
                raise

    def _seconds_to_wait(self) -> float:
        return self._paid_until - time.monotonic() - self._rest
