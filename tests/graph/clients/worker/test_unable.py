"""A worker that cannot run anything costs no attempts, leaves the work to others, says so, and recovers by itself."""

import shutil
import threading
from pathlib import Path

import pytest

from graph.clients.worker import exit_codes
from graph.clients.worker.pause import Pause
from tests.graph.clients.worker.front import Front, Verdict
from tests.support.patience import BOUND, until, within
from tests.support.working import PATIENT_WORKER, Lab

MIB = 1_048_576
NARROW = ("/bin/sh", "-c", f'ulimit -f {4 * MIB // 512}; exec "$@"', "sh", *PATIENT_WORKER)
"""A worker that cannot write more than 4 MiB: as on a disk that is almost full, files open but are not written."""


@pytest.mark.timeout(within(240))
def test_a_worker_without_room_hands_back_and_a_healthy_one_does_the_work(lab: Lab) -> None:
    steps = [{"key": f"s{n}", "dependsOn": ["large"]} for n in range(20)]
    id = lab.an_execution({"key": "large"}, *steps)
    lab.run(f"head -c {5 * MIB} /dev/zero > $PROVENANCE_OUTPUT_DIR/zeros", "--once")

    command = 'cat "$PROVENANCE_INPUT_DIR"/large/* | wc -c'
    with lab.working(command, "--pause", "0.5", "--name", "full", program=NARROW) as full:
        until(lambda: "cannot run" in full.output or "claims nothing" in full.output)
        with lab.working(command, "--name", "healthy"):
            until(lambda: set(lab.statuses(id).values()) == {"SUCCEEDED"}, 2 * BOUND)

    done = [step for key, step in lab.execution(id)["by_key"].items() if key != "large"]
    logs = [lab.log(step["id"]) for step in done]
    assert {step["worker"] for step in done} == {"healthy"}
    assert all(log[-1][1:] == ("INFO", str(5 * MIB)) for log in logs)
    handed_back = [line for log in logs for line in log if "File too large" in line[2]]
    assert handed_back, full.output
    assert {line[1] for line in handed_back} == {"WARNING"}
    assert "This worker claims nothing for" in full.output


@pytest.mark.timeout(within(240))
def test_a_worker_without_docker_beside_a_healthy_one_ends_nothing_as_failed(lab: Lab, front: Front) -> None:
    id = lab.an_execution(*({"key": f"s{n}", "dependsOn": []} for n in range(12)))
    has_failed = threading.Event()

    def judge(method: str, body: bytes) -> Verdict:
        if b"claimActivity(" in body:
            front.judged.append(method)
            has_failed.wait(within())
        return None

    front.judge = judge
    with lab.working("true", "--name", "healthy", "--at-once", "12", PROVENANCE_URL=front.url):
        # It is there before the other has failed, however long it takes to start.
        until(lambda: front.judged)
        with lab.working("exit 125", "--pause", "3", "--name", "broken", "--at-once", "4") as broken:
            until(lambda: "This worker claims nothing for" in broken.output)
            has_failed.set()
            until(lambda: set(lab.statuses(id).values()) == {"SUCCEEDED"}, 2 * BOUND)

    steps = lab.execution(id)["by_key"].values()
    assert {step["worker"] for step in steps} == {"healthy"}
    assert max(step["attempt"] for step in steps) <= 3


def test_a_worker_whose_folder_is_gone_claims_nothing_until_it_is_there_again(lab: Lab, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with lab.working("echo ran", "--directory", str(folder), "--pause", "0.3", "--name", "homeless") as worker:
        until(lambda: "claims steps" in worker.output)
        folder.rmdir()
        id = lab.an_execution({"key": "a"})
        until(lambda: worker.output.count("This worker claims nothing for") >= 3)
        (before,) = lab.execution(id)["by_key"].values()
        said = worker.output

        folder.mkdir()
        until(lambda: lab.statuses(id) == {"a": "SUCCEEDED"})
        until(lambda: "This worker works again." in worker.output)

    assert (before["status"], before["error"]["code"], before["attempt"]) == ("READY", "HANDED_BACK", 1)
    assert "No such file or directory" in said
    assert said.count("claimed,") == 1
    (after,) = lab.execution(id)["by_key"].values()
    assert after["attempt"] == 2


@pytest.mark.parametrize(
    ("end", "code", "retryable", "pauses"),
    [
        ("exit 125", "EXIT_CODE_125", True, True),
        ("/", "EXIT_CODE_126", True, True),
        ("no-such-program", "EXIT_CODE_127", True, True),
        ("sh -c 'kill -9 $$'; exit $?", "EXIT_CODE_137", True, False),
        ("exit 143", "EXIT_CODE_143", True, False),
        ("kill -9 $$", "SIGNAL_9", True, False),
        ("kill -HUP $$", "SIGNAL_1", True, False),
        ("kill -SEGV $$", "SIGNAL_11", False, False),
        ("exit 139", "EXIT_CODE_139", False, False),
        ("exit 1", "EXIT_CODE_1", False, False),
        ("exit 128", "EXIT_CODE_128", False, False),
    ],
)
def test_what_does_not_come_from_the_command_is_tried_again(
    lab: Lab, end: str, code: str, retryable: bool, pauses: bool
) -> None:
    id = lab.an_execution({"key": "a"})

    said = lab.run(f"echo why >&2; {end}", "--once")

    (step,) = lab.execution(id)["by_key"].values()
    assert (step["error"]["code"], step["error"]["retryable"]) == (code, retryable)
    assert step["error"]["message"].startswith("The command ")
    assert "why" in step["error"]["message"]
    assert step["status"] == ("READY" if retryable else "FAILED")
    assert ("This worker claims nothing for 5 s." in said) == pauses


@pytest.mark.skipif(shutil.which("docker") is None, reason="needs docker")
def test_docker_without_a_daemon_costs_one_attempt_and_the_worker_pauses(lab: Lab) -> None:
    id = lab.an_execution({"key": "a"})

    said = lab.run("docker --host unix:///nowhere run --rm image", "--once")

    (step,) = lab.execution(id)["by_key"].values()
    assert (step["status"], step["error"]["code"]) == ("READY", "EXIT_CODE_125")
    assert "docker or podman could not run the container" in step["error"]["message"]
    assert "This worker claims nothing for 5 s." in said


def test_a_pause_grows_with_each_failure_in_a_row_and_ends_when_a_command_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1_000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    pause = Pause(5.0)
    waits = []

    for _ in range(9):
        pause.begin("The disk is full.")
        pause.begin("The disk is full, says another.")
        waits.append(pause.seconds_left)
        now[0] += pause.seconds_left
    pause.note_claim()
    held = pause.forbids
    pause.end()
    pause.begin("Full again.")

    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    assert held
    assert pause.seconds_left == 5


def test_after_a_pause_one_activity_is_claimed_until_its_command_has_run(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    pause = Pause(5.0)
    pause.begin("The disk is full.")
    seen = [(pause.forbids, pause.is_over)]

    now[0] += 5
    seen.append((pause.forbids, pause.is_over))
    pause.note_claim()
    seen.append((pause.forbids, pause.is_over))
    pause.end()
    seen.append((pause.forbids, pause.is_over))

    assert seen == [(True, False), (False, True), (True, False), (False, False)]


def test_a_signal_without_a_name_is_told_by_its_number() -> None:
    assert exit_codes.explain(-40) == "The command was killed by signal 40."
    assert exit_codes.name_of(-40) == "SIGNAL_40"
