"""Several processes on one address: kept alive together, ended together."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from documents.embedded import Embedded

TOKEN = "a-token-of-thirty-two-characters-or-more"


def children(pid: int) -> set[int]:
    """The processes that a process has forked."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return {int(one) for one in text.split()}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").split(") ")[1][0] != "Z"
    except FileNotFoundError:
        return False


def until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.05)


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture
def supervisor(mongod: Embedded, unused_port: int) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {
        "PROVENANCE_DATABASE_URL": mongod.uri,
        "PROVENANCE_DATABASE_NAME": "workers",
        "PROVENANCE_ADMIN_TOKEN": TOKEN,
        "PORT": str(unused_port),
    }
    command = [sys.executable, "-c", "from graph.cli import main; main()", "serve", "--workers", "2"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: answers(unused_port))
    until(lambda: len(children(process.pid)) == 2)
    yield process
    if process.poll() is None:
        process.kill()
        process.wait()


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_a_process_that_dies_is_replaced(supervisor: subprocess.Popen[bytes], unused_port: int) -> None:
    time.sleep(1.1)
    first, second = sorted(children(supervisor.pid))

    os.kill(first, signal.SIGKILL)
    until(lambda: len(children(supervisor.pid) - {first}) == 2)

    assert second in children(supervisor.pid)
    assert answers(unused_port)


def test_a_signal_ends_them_all(supervisor: subprocess.Popen[bytes]) -> None:
    forked = children(supervisor.pid)

    supervisor.terminate()

    assert supervisor.wait(timeout=8.5) == 0
    assert not any(alive(pid) for pid in forked)


def test_processes_end_with_a_supervisor_that_is_killed(supervisor: subprocess.Popen[bytes]) -> None:
    forked = children(supervisor.pid)

    supervisor.kill()

    until(lambda: not any(alive(pid) for pid in forked))
