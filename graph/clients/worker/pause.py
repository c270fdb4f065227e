"""Pauses of a worker that cannot run anything, so that others get the waiting activities."""

import time

from graph.clients.worker import log
from graph.clients.worker.retry import duration

MAX_PAUSE_SECONDS = 300.0


class Pause:
    """The time without claims after a failure of the worker's own, such as a full disk; it grows with each in a row.

    After a pause it claims one activity, and no second one before the command of the first has run.
    """

    def __init__(self, first: float) -> None:
        self._first = first
        self._failures = 0
        self._over_at = 0.0
        self._trying = False

    @property
    def seconds_left(self) -> float:
        """Seconds until the pause is over."""
        return max(0.0, self._over_at - time.monotonic())

    @property
    def forbids(self) -> bool:
        """Whether the worker must not claim now."""
        return self.seconds_left > 0 or self._trying

    @property
    def is_over(self) -> bool:
        """Whether the next claim is the first one after a pause."""
        return self._failures > 0 and not self.forbids

    def note_claim(self) -> None:
        """Note a claim, which after a pause shows whether the worker works again."""
        self._trying = self._failures > 0

    def begin(self, why: str) -> str:
        """Begin a pause; returns its length in words."""
        self._trying = False
        # Simultaneous failures count as one.
        if not self.seconds_left:
            self._failures += 1
            self._over_at = time.monotonic() + min(self._first * 2 ** min(self._failures - 1, 20), MAX_PAUSE_SECONDS)
        words = duration(self.seconds_left)
        log.error("This worker claims nothing for %s. %s", words, why.replace("\n", " | "))
        return words

    def end(self) -> None:
        """Note that the worker can run commands."""
        if self._failures and not self.seconds_left:
            log.info("This worker works again.")
            self._failures, self._trying = 0, False

    def give_up_trying(self) -> None:
        """Note that the activity claimed after a pause has ended without a result."""
        self._trying = False
