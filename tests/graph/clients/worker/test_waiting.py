"""A worker waits for a server or bucket that fails, for a bounded time and not unseen; told to stop, it hurries."""

import re
import sys
import threading
import time

import pytest

from graph.clients.worker.stop import FINISH_TIMEOUT, LATE_EXIT_CODE, RELEASE_TIMEOUT, STOP_TIMEOUT
from graph.clients.worker.subreaper import KILL_TIMEOUT, TERM_GRACE
from tests.graph.clients.worker.conftest import ExpireLeases
from tests.graph.clients.worker.front import LOST, Front, Verdict, answers
from tests.support.patience import until, within
from tests.support.working import WORK, Lab

LEAVE_A_FILE = "echo made > $PROVENANCE_OUTPUT_DIR/made"
TIMEOUT = 3
SHORT = ("--retry-within", str(TIMEOUT), "--once")
FINISHES_NOTHING = """import typer
from graph.clients.worker import stop
stop.STOP_TIMEOUT, stop.FINISH_TIMEOUT, stop.RELEASE_TIMEOUT = 180.0, 1.0, 60.0
from graph.commands.work import work
typer.run(work)"""
"""A worker that hands back after a second what is not uploaded by then, and has all the time for that."""
NEVER = 10_000.0


@pytest.mark.parametrize(
    ("word", "status", "why"),
    [
        ("PUT", 507, "127.0.0.1 answers 507 Insufficient Storage. The bucket is full."),
        ("PUT", 500, "127.0.0.1 answers 500 Internal Server Error."),
        ("createUpload", 503, "fails: HTTP 503 Service Unavailable."),
        ("registerOutput", 507, "fails: HTTP 507 Insufficient Storage."),
    ],
)
def test_what_fails_for_long_is_told_in_the_log_and_ends_the_attempt_which_is_tried_again(
    lab: Lab, front: Front, word: str, status: int, why: str
) -> None:
    id = lab.an_execution({"key": "a"})
    front.judge = answers(word, status)

    said = lab.run(LEAVE_A_FILE, *SHORT, PROVENANCE_URL=front.url)

    (step,) = lab.execution(id)["by_key"].values()
    (line,) = lab.log(step["id"])
    assert line[1] == "WARNING"
    assert line[2].startswith("worker: ")
    assert f"{why} Trying again for " in line[2]
    assert (step["status"], step["error"]["code"], step["error"]["retryable"]) == (
        "READY",
        "OUTPUTS_NOT_UPLOADED",
        True,
    )
    tried = re.search(re.escape(f"{why} It was tried again for ") + r"(\d+) s\.", step["error"]["message"])
    assert tried is not None, step["error"]
    assert int(tried[1]) >= TIMEOUT
    assert "This worker claims nothing for 5 s." in said
    assert step["outputs"]["nodes"] == []


def test_what_fails_for_a_while_costs_nothing(lab: Lab, front: Front) -> None:
    id = lab.an_execution({"key": "a"})
    front.judge = lambda method, body: 507 if method == "PUT" and len(front.judged) < 4 else None

    lab.run(LEAVE_A_FILE, "--once", PROVENANCE_URL=front.url)

    (step,) = lab.execution(id)["by_key"].values()
    assert (step["status"], step["attempt"], len(step["outputs"]["nodes"])) == ("SUCCEEDED", 1, 1)
    assert len(front.judged) == 4


@pytest.mark.parametrize("mutation", ["claimActivity", "createUpload", "registerOutput", "completeActivity"])
def test_answers_that_are_lost_cost_no_attempt(lab: Lab, front: Front, mutation: str) -> None:
    id = lab.an_execution({"key": "a"})
    front.judge = lambda method, body: LOST if f"{mutation}(".encode() in body and len(front.judged) < 3 else None

    lab.run(LEAVE_A_FILE, "--once", PROVENANCE_URL=front.url)

    (step,) = lab.execution(id)["by_key"].values()
    assert (step["status"], step["attempt"], len(step["outputs"]["nodes"])) == ("SUCCEEDED", 1, 1)
    assert len(front.judged) == 3


def test_a_claim_that_was_cancelled_before_its_answer_came_is_let_go(lab: Lab, front: Front) -> None:
    cancelled, id = lab.an_execution({"key": "a"}), lab.an_execution({"key": "b"})

    def judge(method: str, body: bytes) -> Verdict:
        if b"claimActivity(" not in body:
            return None
        if front.judged and lab.statuses(cancelled) == {"a": "RUNNING"}:
            lab.do("cancelExecution", "execution{status}", id=cancelled)
        return None if front.judged else LOST

    front.judge = judge
    said = lab.run("true", "--once", "--poll", "0.1", PROVENANCE_URL=front.url)

    assert (lab.statuses(cancelled), lab.statuses(id)) == ({"a": "CANCELLED"}, {"b": "SUCCEEDED"})
    assert "Claim with a new idempotencyKey." in said


def test_a_claim_whose_lease_expired_before_its_answer_came_is_made_anew(
    lab: Lab, front: Front, expire_leases: ExpireLeases
) -> None:
    id = lab.an_execution({"key": "a"})

    def judge(method: str, body: bytes) -> Verdict:
        if b"claimActivity(" not in body:
            return None
        expire_leases("late")
        return None if front.judged else LOST

    front.judge = judge

    said = lab.run("true", "--once", "--name", "late", PROVENANCE_URL=front.url)

    (step,) = lab.execution(id)["by_key"].values()
    assert (step["status"], step["attempt"]) == ("SUCCEEDED", 2), said
    assert "Claim with a new idempotencyKey." in said


def test_inputs_that_cannot_be_fetched_for_long_are_left_to_another_worker(lab: Lab, front: Front) -> None:
    id = lab.an_execution({"key": "a"}, {"key": "b"})
    lab.run(LEAVE_A_FILE, "--once")
    front.judge = answers("GET", 502)

    said = lab.run("echo ran", *SHORT, PROVENANCE_URL=front.url)

    step = lab.execution(id)["by_key"]["b"]
    assert (step["status"], step["error"]["code"]) == ("READY", "HANDED_BACK"), said
    assert any("answers 502 Bad Gateway. Trying again for" in line[2] for line in lab.log(step["id"]))
    assert "This worker claims nothing for 5 s." in said


def test_a_log_that_cannot_be_sent_ends_the_command(lab: Lab, front: Front) -> None:
    id = lab.an_execution({"key": "a"})
    front.judge = answers("appendLogs", 500)

    said = lab.run("echo unheard; sleep 1000", *SHORT, PROVENANCE_URL=front.url)

    (step,) = lab.execution(id)["by_key"].values()
    assert (step["status"], step["error"]["code"], step["error"]["retryable"]) == ("READY", "LOG_NOT_SENT", True), said


def test_a_server_that_says_when_to_come_again_is_not_asked_before(lab: Lab, front: Front) -> None:
    id = lab.an_execution({"key": "a"})
    front.headers = {"Retry-After": "2"}
    asked: list[float] = []

    def judge(method: str, body: bytes) -> Verdict:
        if b"registerOutput" not in body:
            return None
        asked.append(time.monotonic())
        return 503 if len(asked) == 1 else None

    front.judge = judge

    lab.run(LEAVE_A_FILE, "--once", PROVENANCE_URL=front.url)

    assert lab.statuses(id) == {"a": "SUCCEEDED"}
    assert asked[1] - asked[0] >= 1.5


@pytest.mark.parametrize("word", ["createUpload", "PUT", "registerOutput", "completeActivity"])
def test_a_worker_that_is_told_to_stop_finishes_what_is_being_uploaded(lab: Lab, front: Front, word: str) -> None:
    id = lab.an_execution({"key": "a"}, {"key": "b"})
    passed_on = threading.Event()

    def judge(method: str, body: bytes) -> Verdict:
        if method == word or f"{word}(".encode() in body:
            front.judged.append(word)
            passed_on.wait(within())
        return None

    front.judge = judge
    with lab.working(LEAVE_A_FILE, PROVENANCE_URL=front.url) as worker:
        until(lambda: front.judged)

        worker.process.terminate()
        until(lambda: "stopping" in worker.output)
        passed_on.set()
        code = worker.process.wait(within())

    steps = lab.execution(id)["by_key"]
    assert (code, lab.statuses(id)) == (0, {"a": "SUCCEEDED", "b": "READY"}), worker.output
    assert len(steps["a"]["outputs"]["nodes"]) == 1
    assert steps["b"]["attempt"] == 0


def test_a_worker_with_nothing_to_claim_ends_nothing_that_it_runs_and_goes_on_after_it(lab: Lab, front: Front) -> None:
    id = lab.an_execution({"key": "a"}, {"key": "b"})
    go_on, claims = lab.directory / f"{id}-goes-on", []

    def judge(method: str, body: bytes) -> Verdict:
        if b"claimActivity(" in body:
            claims.append(method)
        return None

    front.judge = judge
    command = f"until [ -e {go_on} ]; do sleep 0.05; done"
    with lab.working(command, "--at-once", "2", "--until-idle", PROVENANCE_URL=front.url) as worker:
        # The first is for the step, and those after it find nothing.
        until(lambda: len(claims) > 3)
        go_on.touch()
        code = worker.process.wait(within())

    steps = lab.execution(id)["by_key"]
    ends = {key: (step["status"], step["attempt"]) for key, step in steps.items()}
    assert (code, ends) == (0, dict.fromkeys("ab", ("SUCCEEDED", 1))), worker.output


def test_what_cannot_be_finished_in_time_is_handed_back(lab: Lab, front: Front) -> None:
    id = lab.an_execution({"key": "a"})
    front.judge = answers("PUT", NEVER)
    program = (sys.executable, "-c", FINISHES_NOTHING)
    with lab.working(LEAVE_A_FILE, program=program, PROVENANCE_URL=front.url) as worker:
        until(lambda: front.judged)

        worker.process.terminate()
        code = worker.process.wait(within())

    (step,) = lab.execution(id)["by_key"].values()
    assert (code, step["status"], step["error"]["code"]) == (0, "READY", "HANDED_BACK"), worker.output


def test_a_worker_has_stopped_before_it_is_killed_for_not_stopping() -> None:
    assert FINISH_TIMEOUT + RELEASE_TIMEOUT < STOP_TIMEOUT < 10
    assert TERM_GRACE + KILL_TIMEOUT + RELEASE_TIMEOUT < STOP_TIMEOUT


@pytest.mark.parametrize("deaf", ["sleep 1000", "trap '' TERM; while :; do sleep 1; done"])
def test_a_worker_stops_in_time_whatever_its_commands_do_and_whatever_the_server_does(
    lab: Lab, front: Front, deaf: str
) -> None:
    id = lab.an_execution({"key": "a"})
    with lab.working(f"echo begun; {deaf}", program=WORK, PROVENANCE_URL=front.url) as worker:
        until(lambda: lab.log(lab.execution(id)["by_key"]["a"]["id"]))
        front.judge = answers("POST", NEVER)

        asked = time.monotonic()
        worker.process.terminate()
        code = worker.process.wait(within())
        took = time.monotonic() - asked

    assert code in (0, LATE_EXIT_CODE)
    # Left alone, it would wait for the server for 40 s, and for its command for ever.
    assert took < STOP_TIMEOUT + within(25)
