"""Nothing that a command has started outlives it, its lease, or its worker."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.patience import until, within
from tests.support.running import alive
from tests.support.working import RENEW_OFTEN, Lab, Worker

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only the process group is ended")

STRAYS = r"""
import os, signal, sys, time
out = os.environ["STRAYS"]

def stray(name, *, deaf=False, clean=False):
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    if deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for fd in range(256):
        try:
            os.close(fd)
        except OSError:
            pass
    with open(f"{out}/{name}.new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(f"{out}/{name}.new", f"{out}/{name}")
    if clean:
        os.execve("/bin/sleep", ["sleep", "1000"], {})
    time.sleep(1000)
    os._exit(0)

stray("daemon")
stray("deaf", deaf=True)
stray("without an environment", clean=True)
os.waitpid(-1, 0)
"""
"""Three descendants that have changed their session, lost their parent and closed all files."""


@pytest.fixture
def strays(lab: Lab, tmp_path: Path) -> "Strays":
    """The strays of one test."""
    return Strays(tmp_path)


class Strays:
    """A command that leaves strays, and their process ids."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "pids"
        self._folder.mkdir()
        self.program = folder / "strays.py"
        self.program.write_text(STRAYS, encoding="utf-8")
        self.command = f"STRAYS={self._folder} {sys.executable} {self.program}"

    def pids(self) -> list[int]:
        """All three, once they are there."""
        until(lambda: len([one for one in self._folder.iterdir() if not one.suffix]) == 3)
        return [int(one.read_text()) for one in self._folder.iterdir()]


def cancel(lab: Lab, execution: str, worker: Worker) -> None:
    lab.do("cancelExecution", "execution{status}", id=execution)


def stop_the_server(lab: Lab, execution: str, worker: Worker) -> None:
    lab.server.process.send_signal(signal.SIGSTOP)


def terminate(lab: Lab, execution: str, worker: Worker) -> None:
    worker.process.terminate()


def kill(lab: Lab, execution: str, worker: Worker) -> None:
    worker.process.kill()


@pytest.mark.parametrize(("end", "lease"), [(cancel, 60), (stop_the_server, 8), (terminate, 60), (kill, 60)])
def test_descendants_that_left_session_and_parent_are_ended_with_the_command(
    lab: Lab, strays: Strays, end: Callable[[Lab, str, Worker], None], lease: int
) -> None:
    id = lab.an_execution({"key": "strays"})
    with lab.working(f"{strays.command}; sleep 1000", "--lease", str(lease), **RENEW_OFTEN) as worker:
        pids = strays.pids()
        before = [alive(pid) for pid in pids]

        try:
            end(lab, id, worker)
            until(lambda: not any(alive(pid) for pid in pids), shown=lambda: worker.output)
        finally:
            lab.server.process.send_signal(signal.SIGCONT)
    assert before == [True, True, True]


def test_descendants_of_a_command_that_has_ended_are_ended_before_it_succeeds(lab: Lab, strays: Strays) -> None:
    id = lab.an_execution({"key": "strays"})

    lab.run(f"{strays.command}; sleep 1")

    assert lab.statuses(id) == {"strays": "SUCCEEDED"}
    assert [alive(pid) for pid in strays.pids()] == [False, False, False]


def test_one_command_at_a_time_ends_with_its_own_descendants(lab: Lab, strays: Strays) -> None:
    id = lab.an_execution({"key": "strays", "dependsOn": []}, {"key": "short", "dependsOn": []})
    command = f"[ $PROVENANCE_STEP_KEY = short ] || {{ {strays.command}; sleep 1000; }}"

    with lab.working(command, "--at-once", "2", **RENEW_OFTEN) as worker:
        until(lambda: lab.statuses(id)["short"] == "SUCCEEDED")
        pids = strays.pids()
        meanwhile = [alive(pid) for pid in pids]
        cancel(lab, id, worker)
        until(lambda: not any(alive(pid) for pid in pids), shown=lambda: worker.output)

    assert meanwhile == [True, True, True]


def test_the_folder_of_a_killed_worker_is_removed_after_its_commands_have_ended(lab: Lab) -> None:
    id = lab.an_execution({"key": "writes"})
    writes = "trap '' TERM; echo begun; n=0; while :; do n=$((n + 1)); mkdir -p deep/$n; : > deep/$n/file; done"
    with lab.working(f"setsid sh -c '{writes.replace(chr(39), chr(34))}'") as worker:
        until(lambda: lab.log(lab.execution(id)["by_key"]["writes"]["id"]))

        worker.process.kill()

        until(lambda: list(lab.folders.iterdir()) == [])


def test_a_command_whose_subreaper_was_killed_ends_and_is_tried_again(lab: Lab, tmp_path: Path) -> None:
    id = lab.an_execution({"key": "cut"})
    pid = tmp_path / "pid"

    said = lab.run(
        f"[ $PROVENANCE_ATTEMPT = 2 ] && exit 0; echo $$ > {pid}; sleep 1; kill -9 $PPID; sleep 1000", "--once"
    )

    (step,) = lab.execution(id)["by_key"].values()
    assert (step["status"], step["error"]["code"], step["error"]["retryable"]) == ("READY", "COMMAND_LOST", True), said
    until(lambda: not alive(int(pid.read_text())))


def test_a_command_that_has_stopped_its_subreaper_is_killed_before_it_is_handed_back(lab: Lab) -> None:
    id = lab.an_execution({"key": "a"})
    with lab.working("echo $$ $PPID; sleep 1; kill -STOP $PPID; exec sleep 1000") as worker:
        (step,) = lab.execution(id)["by_key"].values()
        pids = [int(pid) for pid in until(lambda: lab.log(step["id"]))[0][2].split()]

        worker.process.terminate()
        until(lambda: (lab.execution(id)["by_key"]["a"]["error"] or {}).get("code") == "HANDED_BACK")

        until(lambda: not any(alive(pid) for pid in pids), shown=lambda: worker.output)


def test_a_command_ended_together_with_its_worker_is_handed_back(lab: Lab) -> None:
    """As systemd does it: everything gets SIGTERM at once."""
    id = lab.an_execution({"key": "stopped"})
    with lab.working("echo $$; exec sleep 1000") as worker:
        (step,) = lab.execution(id)["by_key"].values()
        pid = int(until(lambda: lab.log(step["id"]))[0][2])

        # Stopped meanwhile, the worker meets both at once however slow this process is.
        worker.process.send_signal(signal.SIGSTOP)
        os.kill(pid, signal.SIGTERM)
        worker.process.terminate()
        worker.process.send_signal(signal.SIGCONT)
        code = worker.process.wait(within())

    (step,) = lab.execution(id)["by_key"].values()
    assert (code, step["status"], step["error"]["code"]) == (0, "READY", "HANDED_BACK"), worker.output
