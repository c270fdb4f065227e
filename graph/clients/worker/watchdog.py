"""A process that outlives its worker for a moment, to remove the folders of a worker that was killed."""

import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path

END = b"\0"
"""The terminator of a message to the watchdog: a folder, with + to watch it and - to forget it."""


class Watchdog:
    """The watchdog of a worker's folders: removes them when the worker and its commands are gone.

    Create it before the worker has threads or an event loop, because it forks.
    """

    def __init__(self) -> None:
        read, self.descriptor = os.pipe()
        """The watchdog waits until no process holds this descriptor."""
        if os.fork() == 0:
            try:
                os.close(self.descriptor)
                _run_watchdog(read)
            finally:
                os._exit(0)
        os.close(read)

    def watch_folder(self, folder: Path) -> None:
        """Remove this folder when the worker is gone."""
        self._send(b"+" + os.fsencode(folder.absolute()))

    def forget_folder(self, folder: Path) -> None:
        """Forget a folder that has been removed."""
        self._send(b"-" + os.fsencode(folder.absolute()))

    def _send(self, message: bytes) -> None:
        # A worker goes on when its watchdog was killed.
        with suppress(BrokenPipeError):
            os.write(self.descriptor, message + END)


def _run_watchdog(read: int) -> None:
    # A signal from the terminal that ends the worker must not end the watchdog first.
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for folder in _read_watched_folders(read):
        shutil.rmtree(os.fsdecode(folder), ignore_errors=True)


def _read_watched_folders(read: int) -> set[bytes]:
    """The folders that are still watched when every writer of the pipe is gone."""
    watched: set[bytes] = set()
    rest = b""
    while chunk := os.read(read, 65_536):
        *messages, rest = (rest + chunk).split(END)
        for message in messages:
            (watched.add if message.startswith(b"+") else watched.discard)(message[1:])
    return watched
