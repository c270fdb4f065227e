"""Processes that are suspended: they hold their connections and say nothing."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.patience import until


@contextmanager
def suspended(pid: int) -> Iterator[None]:
    """Suspend a process until the end of the block.

    A signal to stop reaches the threads of a process one after the other, and one that has not got it yet may answer.
    """
    os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: set(_thread_states(pid)) == {"T"})
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _thread_states(pid: int) -> list[str]:
    """The states of the threads of a process, as proc(5) spells them."""
    stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return [stat.rpartition(")")[2].split()[0] for stat in stats]
