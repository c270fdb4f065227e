"""Stopping within a bounded time: a service manager kills a process that does not end soon after SIGTERM."""

import asyncio
import os
import threading
import time

STOP_TIMEOUT = 8.5
"""Seconds from SIGTERM to the end of the process; Cloud Run kills after 10."""
RELEASE_TIMEOUT = 2.0
"""Seconds for handing back; without an answer the lease expires."""
FINISH_TIMEOUT = STOP_TIMEOUT - RELEASE_TIMEOUT - 0.5
"""Seconds for an activity whose command has ended to finish, before it is handed back."""
LATE_EXIT_CODE = 70
"""Exit code of a worker that did not stop in time."""


class Stop:
    """The request to stop, and the time left for it."""

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self._at = 0.0

    def request(self) -> None:
        """Request the stop. A process that does not end in time is ended, and leaves its folders to the watchdog."""
        if self.requested.is_set():
            return
        self._at = time.monotonic()
        self.requested.set()
        timer = threading.Timer(STOP_TIMEOUT, os._exit, (LATE_EXIT_CODE,))
        timer.daemon = True
        timer.start()

    def seconds_until(self, seconds: float) -> float:
        """The rest of so many seconds since the request."""
        return max(0.0, self._at + seconds - time.monotonic())
