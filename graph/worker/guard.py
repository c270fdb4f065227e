"""A process that outlives its worker by a moment, to end and remove what a worker that was killed has left."""

import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path

END = b"\0"
"""Ends what the guard is told: a group or a folder, with + when it comes and - when it goes."""


class Guard:
    """Knows which process groups and folders belong to the worker, and ends and removes them when the worker is gone.

    To be made before the worker has threads or an event loop, because it is forked.
    """

    def __init__(self) -> None:
        read, self._write = os.pipe()
        if os.fork() == 0:
            try:
                os.close(self._write)
                _guard(read)
            finally:
                os._exit(0)
        os.close(read)

    def watch_group(self, group: int) -> None:
        """From now on end this group when the worker is gone."""
        self._tell(b"+%d" % group)

    def forget_group(self, group: int) -> None:
        """This group has ended."""
        self._tell(b"-%d" % group)

    def watch_folder(self, folder: Path) -> None:
        """From now on remove this folder when the worker is gone."""
        self._tell(b"+" + os.fsencode(folder.absolute()))

    def forget_folder(self, folder: Path) -> None:
        """This folder is gone."""
        self._tell(b"-" + os.fsencode(folder.absolute()))

    def _tell(self, what: bytes) -> None:
        # A guard that somebody has killed keeps no worker from its work.
        with suppress(BrokenPipeError):
            os.write(self._write, what + END)


def _guard(read: int) -> None:
    # What ends the worker by the terminal must not end its guard before it.
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    watched = _watched_at_the_end(read)
    for group in (one for one in watched if one.isdigit()):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(int(group), signal.SIGKILL)
    for folder in (one for one in watched if not one.isdigit()):
        shutil.rmtree(os.fsdecode(folder), ignore_errors=True)


def _watched_at_the_end(read: int) -> set[bytes]:
    """What is watched still when nobody is left who could tell more."""
    watched: set[bytes] = set()
    rest = b""
    while chunk := os.read(read, 65_536):
        *told, rest = (rest + chunk).split(END)
        for one in told:
            (watched.add if one.startswith(b"+") else watched.discard)(one[1:])
    return watched
