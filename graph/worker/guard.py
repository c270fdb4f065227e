"""A process that outlives its worker by a moment, to end what a worker that was killed has left running."""

import os
import signal
from contextlib import suppress


class Guard:
    """Knows which process groups belong to the worker, and ends them when the worker is gone.

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

    def watch(self, group: int) -> None:
        """From now on end this group when the worker is gone."""
        os.write(self._write, b"+%d\n" % group)

    def forget(self, group: int) -> None:
        """This group has ended."""
        os.write(self._write, b"-%d\n" % group)


def _guard(read: int) -> None:
    # What ends the worker by the terminal must not end its guard before it.
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    with os.fdopen(read) as told:
        for line in told:
            group = int(line[1:])
            if line[0] == "+":
                groups.add(group)
            else:
                groups.discard(group)
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
