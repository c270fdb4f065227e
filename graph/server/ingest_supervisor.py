"""The server's ingest workers: child processes that end with the server and are restarted when they die.

Each is `python -m graph.server.ingest_supervisor`. It reads its standard input, whose other end only the server holds,
so that end-of-file stops it even when the server was killed.
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

from documents.backoff import backoff_delays
from documents.migrations import SchemaError
from graph.server.database_errors import explain_database_error
from graph.settings import Settings, SettingsError, load_settings, variable_of

STOP_TIMEOUT = 6.0
"""Seconds that a worker has to release its ingestions, from when the server is told to stop."""
MIN_RESTART_DELAY, MAX_RESTART_DELAY = 1.0, 30.0
"""Seconds before a worker that died is restarted: the first time, and after repeated deaths."""

log = structlog.stdlib.get_logger("graph.beside")


class IngestProcesses:
    """The ingest workers of one server."""

    def __init__(self, settings: Settings, url: str, *, quiet: bool = False) -> None:
        environment = os.environ | {variable_of("database_url"): url}
        if quiet:
            environment.setdefault(variable_of("log_level"), "warning")
        self._workers = [_SupervisedProcess(environment) for _ in range(settings.workers)]

    def stop(self) -> None:
        """Tell them to stop; safe within a signal handler, and when they have already stopped."""
        for worker in self._workers:
            worker.stop()

    def wait(self) -> None:
        """Return when they have exited, by force if necessary."""
        for worker in self._workers:
            worker.wait()


@contextmanager
def run_ingest_processes(settings: Settings, url: str, *, quiet: bool = False) -> Iterator[IngestProcesses]:
    """Run the number of workers in the settings, on the database at `url`, for as long as the block lasts.

    Quiet ones log only warnings and errors, unless PROVENANCE_LOG_LEVEL says otherwise.
    """
    processes = IngestProcesses(settings, url, quiet=quiet)
    try:
        yield processes
    finally:
        processes.stop()
        processes.wait()


class _SupervisedProcess:
    """One worker, and the thread that restarts it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._stopping = threading.Event()
        self._deadline = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._supervise, name="ingest-worker", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if self._stopping.is_set():
            return
        self._deadline = time.monotonic() + STOP_TIMEOUT
        self._stopping.set()
        if self._process is not None:
            self._process.terminate()

    def wait(self) -> None:
        self._thread.join(max(0.0, self._deadline - time.monotonic()))
        if self._process is not None and self._thread.is_alive():
            self._process.kill()
            self._thread.join()

    def _supervise(self) -> None:
        delays = backoff_delays(MIN_RESTART_DELAY, MAX_RESTART_DELAY, factor=2.0)
        while not self._stopping.is_set():
            code = self._run()
            if self._stopping.wait(next(delays)):
                return
            log.error("an ingest worker ended and is being restarted", code=code)

    def _run(self) -> int:
        """Start the worker, and return its exit code when it has ended."""
        # In a session of its own, so that Ctrl-C reaches the server alone, which passes it on.
        command = [sys.executable, "-m", "graph.server.ingest_supervisor"]
        with subprocess.Popen(
            command, env=self._environment, stdin=subprocess.PIPE, stdout=sys.stderr, start_new_session=True
        ) as process:
            self._process = process
            if self._stopping.is_set():
                process.terminate()
            return process.wait()


def main() -> None:
    """Run as such a worker."""
    from graph.server.ingest_process import IngestOptions, run

    threading.Thread(target=_end_with_server, daemon=True).start()
    try:
        run(IngestOptions())
    except (SettingsError, SchemaError) as error:
        sys.exit(str(error))
    except PyMongoError as error:
        sys.exit(explain_database_error(error, load_settings()))


def _end_with_server() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
