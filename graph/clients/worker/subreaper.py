"""Runs one command and ends all of its descendants. A program of its own: `python -I -S subreaper.py FD COMMAND`.

On Linux a process that loses its parent becomes a child of its nearest ancestor that is a "child subreaper", whatever
session or group it has moved to. This program is one for a single command, so every descendant of the command stays
below it in the process tree, and none is left when it has no children. Elsewhere it ends the command's process group.

It must outlive its worker, and starts for each command, so it imports nothing of the package and little else. FD is a
stream socket to the worker:

    to the worker     started PID | refused ERRNO | ended STATUS LEFT
    from the worker   end, to end the command; the end of the stream says that the worker is gone

STATUS is that of the command, negative for a signal; LEFT is how many processes could not be ended.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import suppress

SHELL = "/bin/sh"
TERM_GRACE, ORPHAN_GRACE = 5.0, 1.0
"""Seconds between SIGTERM and SIGKILL; the shorter when the worker is gone, since nobody renews its lease."""
KILL_TIMEOUT = 1.0
"""Seconds until all processes are gone after SIGKILL: only the kernel, or another user's rights, can prevent it."""
POLL_INTERVAL = 0.03
"""Seconds; polling is needed, since no signal reports the end of a grandchild."""
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
LINUX = sys.platform == "linux"
LIBC = ctypes.CDLL(None) if LINUX else None


class Subreaper:
    """A running command and every process that it has started."""

    def __init__(self, control: int, command: str) -> None:
        self._control: int | None = control
        self._wakeup = _wake_on_signals()
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
        self._shell = subprocess.Popen(
            [SHELL, "-c", command],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: _prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
        )
        self._status = -signal.SIGKILL
        self._has_children = True
        self._kill_at = float("inf")

    def run(self) -> None:
        """Return when the command and all its descendants are gone, or cannot be ended."""
        self._report(f"started {self._shell.pid}")
        while self._is_left() and time.monotonic() < self._kill_at:
            self._wait()
            self._reap()
        self._kill()
        self._report(f"ended {self._status} {len(descendants(os.getpid()))}")

    def _wait(self) -> None:
        """Wait for a signal or a message of the worker; only shortly, once the command is being ended."""
        poll = select.poll()
        for fd in (self._wakeup, self._control):
            if fd is not None:
                poll.register(fd, select.POLLIN)
        ready = [fd for fd, _ in poll.poll(None if self._kill_at == float("inf") else POLL_INTERVAL * 1_000)]
        if self._wakeup in ready:
            os.read(self._wakeup, 4_096)
        if self._control in ready:
            self._hear(self._control)

    def _hear(self, control: int) -> None:
        word = b""
        with suppress(ConnectionError):
            word = os.read(control, 4_096)
        if word:
            self._end(TERM_GRACE)
        else:
            self._control = None
            self._end(ORPHAN_GRACE)

    def _end(self, grace: float) -> None:
        """Send SIGTERM to all descendants, once; SIGKILL follows after the grace period."""
        if self._kill_at == float("inf"):
            self._signal(signal.SIGTERM)
        self._kill_at = min(self._kill_at, time.monotonic() + grace)

    def _kill(self) -> None:
        """Send SIGKILL to all descendants, repeatedly: each may just have started another process."""
        until = time.monotonic() + KILL_TIMEOUT
        while self._is_left() and time.monotonic() < until:
            self._signal(signal.SIGKILL)
            time.sleep(0.001)
            self._reap()

    def _reap(self) -> None:
        """Reap the children that have ended: the command, which ends the rest, and adopted orphans."""
        with suppress(ChildProcessError):
            while (child := os.waitpid(-1, os.WNOHANG))[0]:
                if child[0] == self._shell.pid:
                    self._status = os.waitstatus_to_exitcode(child[1])
                    self._end(TERM_GRACE)
            return
        self._has_children = False

    def _is_left(self) -> bool:
        return self._has_children or (not LINUX and _signal_group(self._shell.pid, 0))

    def _signal(self, number: int) -> None:
        # The whole group at once, so that no member can start another process in between.
        _signal_group(self._shell.pid, number)
        for pid, group in descendants(os.getpid()).items():
            if group != self._shell.pid:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)

    def _report(self, word: str) -> None:
        if self._control is not None:
            with suppress(OSError):
                os.write(self._control, f"{word}\n".encode())


def _wake_on_signals() -> int:
    """A descriptor that is readable after a signal. No signal but SIGKILL ends this process: the worker decides."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    # Handlers, since the command would inherit SIG_IGN.
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return woken


def _prctl(option: int, value: int) -> None:
    if LIBC is not None:
        LIBC.prctl(option, value, 0, 0, 0)


def _signal_group(group: int, number: int) -> bool:
    """Whether a member of the group can receive signals."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def descendants(root: int) -> dict[int, int]:
    """The process groups of all descendants, by process id. Empty where there is no /proc."""
    children: dict[int, list[tuple[int, int]]] = defaultdict(list)
    names: list[str] = []
    # Without free descriptors nothing can be listed; the next look may succeed.
    with suppress(OSError):
        names = os.listdir("/proc") if LINUX else []  # noqa: PTH208
    for name in names:
        if name.isdigit():
            with suppress(OSError), open(f"/proc/{name}/stat", "rb") as stat:  # noqa: PTH123
                # The text before the last parenthesis is the program's name, which may hold any character.
                _, parent, group, *_ = stat.read().rpartition(b")")[2].split()
                children[int(parent)].append((int(name), int(group)))
    groups: dict[int, int] = {}
    ahead = [root]
    while ahead:
        own = children[ahead.pop()]
        groups |= own
        ahead += [pid for pid, _ in own]
    return groups


def main() -> None:
    """Run as the subreaper of a command."""
    control, command = int(sys.argv[1]), sys.argv[2]
    try:
        subreaper = Subreaper(control, command)
    except OSError as error:
        os.write(control, f"refused {error.errno}\n".encode())
        return
    # The worker reads both streams to their end, so only the command may hold them open.
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nothing, stream)
    subreaper.run()


if __name__ == "__main__":
    main()
