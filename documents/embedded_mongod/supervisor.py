"""Restarting an embedded `mongod` that ended by itself, as when the system killed it for using too much memory."""

import threading
import time
from collections import deque
from collections.abc import Callable

import structlog

from documents.embedded_mongod import errors
from documents.embedded_mongod.errors import EmbeddedError
from documents.embedded_mongod.process import Process

MAX_RESTARTS = 5
RESTART_WINDOW = 600.0
"""Seconds within which at most MAX_RESTARTS are tried: a server that always ends would be restarted for ever."""
MIN_RESTART_DELAY = 0.2
"""Seconds before the first restart of a window; each further one waits twice as long."""

log = structlog.stdlib.get_logger("documents.embedded")


class EmbeddedSupervisor:
    """The thread that waits for a server to end.

    `start_again` returns the new process, or raises EmbeddedError. `lost` is called with the error that ended the
    attempts.
    """

    def __init__(
        self, process: Process, start_again: Callable[[], Process], lost: Callable[[EmbeddedError], None]
    ) -> None:
        self._process = process
        self._start_again = start_again
        self._lost = lost
        self._dismissed = threading.Event()
        self._restarts: deque[float] = deque()
        self._thread = threading.Thread(target=self._supervise, name="embedded-supervisor", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def dismiss(self, seconds: float) -> None:
        """Stop restarting the server; returns when no start is under way, or after so many seconds."""
        self._dismissed.set()
        deadline = time.monotonic() + seconds
        # The thread itself ends with the server, which is for the caller to stop.
        while self._thread.is_alive() and self._process.exit_code is not None and time.monotonic() < deadline:
            self._thread.join(0.1)

    def _supervise(self) -> None:
        try:
            while True:
                code = self._process.wait()
                restarted = None if self._dismissed.is_set() else self._restart(code)
                if restarted is None:
                    return
                self._process = restarted
        except EmbeddedError as error:
            self._lost(error)

    def _restart(self, code: int) -> Process | None:
        """Restart the server, and return its new process; None when the supervisor was dismissed meanwhile."""
        failure = None
        while not self._dismissed.wait(self._next_delay(code, failure)):
            log.error("the embedded database ended and is being restarted", code=code)
            try:
                process = self._start_again()
            except EmbeddedError as error:
                failure = error
            else:
                log.info("the embedded database accepts writes again")
                return process
        return None

    def _next_delay(self, code: int, failure: EmbeddedError | None) -> float:
        """Seconds until the next restart. Raises EmbeddedError when there were too many."""
        now = time.monotonic()
        while self._restarts and now - self._restarts[0] > RESTART_WINDOW:
            self._restarts.popleft()
        if len(self._restarts) == MAX_RESTARTS:
            raise failure or EmbeddedError(
                f"The embedded database ended {MAX_RESTARTS + 1} times within {RESTART_WINDOW / 60:.0f} minutes, "
                f"the last time with code {code}. See mongod.log in its data directory, {errors.ELSEWHERE}."
            )
        self._restarts.append(now)
        return MIN_RESTART_DELAY * 2.0 ** (len(self._restarts) - 1)
