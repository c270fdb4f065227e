"""A command that kills itself in the middle of its work: `python -m tests.journeys.killed_command EVENT PATH TIMES …`.

The rest is what is typed after `provenance-graph`. Python's audit events tell of what is about to be done with files:
the process is gone, as by `kill -9`, before it does EVENT for the first time after TIMES times to a path with PATH in
it. Whoever would kill it from outside has to be quick enough.
"""

import os
import signal
import subprocess
import sys
from typing import Any

from graph.commands import main as commands
from tests.support.running import completed


def run_until_killed(
    event: str, path: str, times: int, *words: str, env: dict[str, str]
) -> "subprocess.CompletedProcess[str]":
    """Run a command until it is killed; returns its output."""
    done = completed([sys.executable, "-m", __name__, event, path, str(times), *words], env)
    assert done.returncode == -signal.SIGKILL, done
    return done


def _kill_before(event: str, path: str, times: int) -> None:
    seen = 0

    def count(name: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if name == event and path in str(arguments[0]):
            seen += 1
            if seen > times:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def main() -> None:
    """Do as `provenance-graph` does, until killed."""
    _, event, path, times, *words = sys.argv
    _kill_before(event, path, int(times))
    sys.argv = ["provenance-graph", *words]
    commands.main()


if __name__ == "__main__":
    main()
