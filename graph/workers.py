"""Several processes on one address, one a core.

The processes are forked from the one that bound the address, which keeps them alive and passes signals on. When it is
gone they end too: each watches a pipe whose other end only it holds.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

import structlog

log = structlog.stdlib.get_logger("graph.workers")

SHORTEST_LIFE = 1.0
"""Seconds; a process that ends sooner would end again, so the server stops instead of trying for ever."""


class Supervisor:
    """Runs `work(number)` in some processes until it is told to stop, which it tells `stopping` first."""

    def __init__(
        self, work: Callable[[int], object], processes: int, stopping: Callable[[], None] = lambda: None
    ) -> None:
        self._work = work
        self._processes = processes
        self._tell = stopping
        self._started: dict[int, tuple[int, float]] = {}
        self._stopping = False
        self._watched, self._held = os.pipe()

    def run(self) -> bool:
        """Return when all processes have ended: whether that was wanted."""
        for told in (signal.SIGTERM, signal.SIGINT):
            signal.signal(told, self._stop)
        for number in range(self._processes):
            self._start(number)
        wanted = True
        while self._started:
            pid, status = os.wait()
            number, started = self._started.pop(pid, (-1, 0.0))
            if self._stopping or number < 0:
                continue
            log.error("a process ended", pid=pid, code=os.waitstatus_to_exitcode(status))
            if time.monotonic() - started < SHORTEST_LIFE:
                wanted = False
                self._stop(signal.SIGTERM, None)
            else:
                self._start(number)
        return wanted

    def _start(self, number: int) -> None:
        pid = os.fork()
        if pid:
            self._started[pid] = (number, time.monotonic())
            return
        code = 1
        try:
            os.close(self._held)
            for told in (signal.SIGTERM, signal.SIGINT):
                signal.signal(told, signal.SIG_DFL)
            threading.Thread(target=self._end_with_supervisor, daemon=True).start()
            self._work(number)
            code = 0
        except BaseException:
            log.exception("a process failed")
        finally:
            # Not sys.exit: what the supervisor has open, the embedded database above all, is not the child's to close.
            os._exit(code)

    def _end_with_supervisor(self) -> None:
        os.read(self._watched, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True
        self._tell()
        for pid in self._started:
            os.kill(pid, signal.SIGTERM)
