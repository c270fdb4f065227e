"""The installed command, or a program of the tests, as a fork of one process that has loaded it: 2 s of CPU less for
each server, half a second for each worker.

A fork is a process of its own like any other: with its own environment, output and exit code, and signals reach it.
Only the start of Python and the entry point that pip writes are left out: tests/journeys/test_starting.py has those.
"""

import atexit
import gc
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

Limits = Mapping[int, tuple[int, int]]
"""Soft and hard limits of a process, by their number in `resource`."""

PROGRAMS = (
    "tests.support.faulty_server",
    "tests.graph.clients.worker.hurried",
    "tests.graph.clients.worker.patient",
    "tests.graph.server.without_uvloop",
    "tests.journeys.killed_command",
    "tests.resolvers.galaxy.ingest.a_worker",
)
"""Modules that run by `python -m`, and have a `main` that does the same."""

forks = multiprocessing.get_context("forkserver")
# All that commands load by themselves. Arrow starts threads, which a fork would lack.
forks.set_forkserver_preload(
    [
        "__main__",
        "graph.commands.main",
        "graph.server.assemble",
        "graph.commands.migrate",
        "graph.commands.parquet_export",
        "graph.server.ingest_process",
        "tests.graph.clients.worker.patient",
        __name__,
    ]
)


def program_of(words: Sequence[str]) -> str | None:
    """The program of the tests that the command runs."""
    return words[2] if tuple(words[:2]) == (sys.executable, "-m") and words[2] in PROGRAMS else None


class Forked:
    """A process that runs a command, to be asked and told what a `subprocess.Popen` is."""

    def __init__(
        self,
        words: Sequence[str],
        *,
        cwd: Path,
        env: dict[str, str],
        stdout: Path,
        stderr: Path | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.args = words
        self._process = forks.Process(
            target=_run,
            args=([*words], str(cwd), env, str(stdout), str(stderr or stdout), dict(limits or {})),
            daemon=True,
        )
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended. Raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _run(words: list[str], cwd: str, env: dict[str, str], stdout: str, stderr: str, limits: Limits) -> None:
    """Be the command, and end as it would."""
    # The first collection would search all that was loaded before the fork, and copy its pages: 0.13 s of CPU.
    gc.freeze()
    # The server of forks has both ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for descriptor, path in ((1, stdout), (2, stderr)):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for number, limit in limits.items():
        resource.setrlimit(number, limit)
    program = program_of(words)
    sys.argv = words[2:] if program else words
    entry = import_module(program or "graph.commands.main")

    # Python itself would add a line of its own to the traceback, which begins with the name of the process.
    try:
        entry.main()
    except Exception:
        traceback.print_exc()
        sys.exit(1)
    finally:
        # Which the module of forks leaves out.
        atexit._run_exitfuncs()
