"""Several processes on one address: kept alive together, ended together."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from documents.embedded_mongod.server import EmbeddedMongo
from graph.server.web_processes import MIN_LIFETIME
from tests.support.forking import Forked
from tests.support.patience import until, within
from tests.support.running import COMMAND, ROOT, alive

TOKEN = "a-token-of-thirty-two-characters-or-more"


def children(pid: int) -> set[int]:
    """The processes that a process has forked."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return {int(one) for one in text.split()}


def age(pid: int) -> float:
    """Seconds since a process began, as the system tells it."""
    begun = int(Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - (begun + 1) / os.sysconf("SC_CLK_TCK")


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=within(10)) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture
def supervisor(mongod: EmbeddedMongo, unused_port: int, tmp_path: Path) -> Iterator[Forked]:
    environment = os.environ | {
        "PROVENANCE_DATABASE_URL": mongod.uri,
        "PROVENANCE_DATABASE_NAME": "workers",
        "PROVENANCE_ADMIN_TOKEN": TOKEN,
        "PORT": str(unused_port),
    }
    command = [*COMMAND, "serve", "--workers", "2"]
    process = Forked(command, cwd=ROOT, env=environment, stdout=tmp_path / "log")
    try:
        until(lambda: answers(unused_port))
        until(lambda: len(children(process.pid)) == 2)
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_a_process_that_dies_is_replaced_and_a_signal_ends_them_all(supervisor: Forked, unused_port: int) -> None:
    first, second = sorted(children(supervisor.pid))
    until(lambda: age(first) > MIN_LIFETIME)

    os.kill(first, signal.SIGKILL)
    until(lambda: len(children(supervisor.pid) - {first}) == 2)

    forked = children(supervisor.pid)
    assert second in forked
    assert answers(unused_port)

    supervisor.terminate()

    assert supervisor.wait(within()) == 0
    assert not any(alive(pid) for pid in forked)


def test_processes_end_with_a_supervisor_that_is_killed(supervisor: Forked) -> None:
    forked = children(supervisor.pid)

    supervisor.kill()

    until(lambda: not any(alive(pid) for pid in forked))


BETWEEN = """
import os, signal, time
from graph.server.web_processes import ProcessSupervisor

fork, who = os.fork, {who!r}

def interrupted():
    pid = fork()
    if who == "the supervisor" and pid:
        os.kill(os.getpid(), signal.SIGTERM)
    if who == "the process" and not pid:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getppid(), signal.SIGTERM)
    return pid

os.fork = interrupted
print(ProcessSupervisor(lambda number: time.sleep(3600), 2).run())
"""


@pytest.mark.parametrize("who", ["the supervisor", "the process"])
def test_a_signal_at_the_moment_of_a_start_ends_all_processes(who: str) -> None:
    command = [sys.executable, "-c", BETWEEN.format(who=who)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True) as supervisor:
        try:
            said, _ = supervisor.communicate(timeout=within(30))
        finally:
            with suppress(ProcessLookupError):
                os.killpg(supervisor.pid, signal.SIGKILL)

    assert (supervisor.returncode, said) == (0, b"True\n")
