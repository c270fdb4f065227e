"""Several server processes on one address, one per core.

They are forked from the process that bound the address, which restarts them and forwards signals. When it is gone they
end too: each watches a pipe whose other end only that process holds.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import structlog

log = structlog.stdlib.get_logger("graph.workers")

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
MIN_LIFETIME = 1.0
"""Seconds; a process that ends sooner would do so again, so the server stops instead of restarting it for ever."""


class ProcessSupervisor:
    """Runs `work(number)` in several processes until told to stop, upon which it first calls `on_stop`.

    `on_death` is called with the id of each process that has ended by itself.
    """

    def __init__(
        self,
        work: Callable[[int], object],
        processes: int,
        on_stop: Callable[[], None] = lambda: None,
        on_death: Callable[[int], None] = lambda pid: None,
    ) -> None:
        self._work = work
        self._processes = processes
        self._on_stop, self._on_death = on_stop, on_death
        self._started: dict[int, tuple[int, float]] = {}
        self._stopping = False
        self._watched_pipe, self._held_pipe = os.pipe()

    def run(self) -> bool:
        """Run until all processes have ended; returns whether they were told to."""
        for signum in STOP_SIGNALS:
            signal.signal(signum, self._stop)
        for number in range(self._processes):
            self._start(number)
        was_told = True
        while self._started:
            # Of this process group alone: code that waits for other children needs their exit codes itself.
            pid, status = os.waitpid(0, 0)
            number, started = self._started.pop(pid)
            if self._stopping:
                continue
            log.error("a process ended", pid=pid, code=os.waitstatus_to_exitcode(status))
            self._on_death(pid)
            if time.monotonic() - started < MIN_LIFETIME:
                was_told = False
                self._stop(signal.SIGTERM, None)
            else:
                self._start(number)
        return was_told

    def _start(self, number: int) -> None:
        # A signal between the fork and its note would be forwarded to all processes but the new one, and in the new one
        # it would be taken for the supervisor's.
        with _stop_signals_blocked():
            if self._stopping:
                return
            pid = os.fork()
            if pid:
                self._started[pid] = (number, time.monotonic())
                return
            for signum in STOP_SIGNALS:
                signal.signal(signum, signal.SIG_DFL)
        code = 1
        try:
            os.close(self._held_pipe)
            threading.Thread(target=self._end_with_supervisor, daemon=True).start()
            self._work(number)
            code = 0
        except BaseException:
            log.exception("a process failed")
        finally:
            # Not sys.exit: the parent's resources, the embedded database above all, must not be closed by the child.
            os._exit(code)

    def _end_with_supervisor(self) -> None:
        os.read(self._watched_pipe, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True
        self._on_stop()
        for pid in self._started:
            # One that has just ended may have no number any more.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)


@contextmanager
def _stop_signals_blocked() -> Iterator[None]:
    """Hold signals to stop back until the end of this block."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
