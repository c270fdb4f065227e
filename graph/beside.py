"""Ingest workers beside a server: processes of its own that end with it, and are started again when they die.

Such a process is `python -m graph.beside`. It reads its standard input, whose other end only the server holds, and is
told to stop by the end of that when the server is gone without a word.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from pymongo.errors import PyMongoError

from graph.settings import Settings, SettingsError, variable_of
from graph.starting import database_problem

ENDED_WITHIN = 6.0
"""Seconds that a worker has to hand back what it is at, from when the server is told to stop."""
SOON, LATE = 1.0, 30.0
"""Seconds until a worker that died is started again, the first time and after it has died often."""

log = structlog.stdlib.get_logger("graph.beside")


class Beside:
    """The workers of one server."""

    def __init__(self, settings: Settings, url: str, *, quiet: bool = False) -> None:
        environment = os.environ | {variable_of("database_url"): url}
        if quiet:
            environment.setdefault(variable_of("log_level"), "warning")
        self._workers = [_Kept(environment) for _ in range(settings.workers)]

    def stop(self) -> None:
        """Tell them to stop; safe within a signal handler, and when they have stopped."""
        for worker in self._workers:
            worker.stop()

    def wait(self) -> None:
        """Return when they are gone, by force if it has to be."""
        for worker in self._workers:
            worker.wait()


@contextmanager
def ingesting(settings: Settings, url: str, *, quiet: bool = False) -> Iterator[Beside]:
    """So many workers as the settings say, on the database at `url`, as long as the block lasts.

    Quiet ones tell of nothing that goes well, unless PROVENANCE_LOG_LEVEL says otherwise.
    """
    beside = Beside(settings, url, quiet=quiet)
    try:
        yield beside
    finally:
        beside.stop()
        beside.wait()


class _Kept:
    """One worker, and the thread that keeps it alive."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._stopping = threading.Event()
        self._deadline = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name="ingest-worker", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if self._stopping.is_set():
            return
        self._deadline = time.monotonic() + ENDED_WITHIN
        self._stopping.set()
        if self._process is not None:
            self._process.terminate()

    def wait(self) -> None:
        self._thread.join(max(0.0, self._deadline - time.monotonic()))
        if self._process is not None and self._thread.is_alive():
            self._process.kill()
            self._thread.join()

    def _keep(self) -> None:
        delay = SOON
        while not self._stopping.is_set():
            code = self._run()
            if self._stopping.wait(delay):
                return
            log.error("an ingest worker ended, and is started again", code=code)
            delay = min(2 * delay, LATE)

    def _run(self) -> int:
        """Start the worker, and return its exit code when it has ended."""
        # In a session of its own, Ctrl-C reaches the server alone, which passes it on.
        command = [sys.executable, "-m", "graph.beside"]
        with subprocess.Popen(
            command, env=self._environment, stdin=subprocess.PIPE, stdout=sys.stderr, start_new_session=True
        ) as process:
            self._process = process
            if self._stopping.is_set():
                process.terminate()
            return process.wait()


def main() -> None:
    """Be such a worker."""
    from graph.ingesting import Ingesting, run

    threading.Thread(target=_end_with_server, daemon=True).start()
    try:
        run(Ingesting())
    except SettingsError as error:
        sys.exit(str(error))
    except PyMongoError as error:
        sys.exit(database_problem(error))


def _end_with_server() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
