"""`examples/worker.sh`, the same in bash, curl and jq."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.needs import PROJECT, need
from tests.running import end
from tests.worker.working import Lab, plain_yml, wait_for

EXAMPLE = PROJECT / "examples/worker.sh"


@pytest.fixture(autouse=True)
def programs() -> None:
    """What the script is made of."""
    for program in ("bash", "curl", "jq"):
        need(program)


@contextmanager
def working(lab: Lab, command: str, **more: str) -> Iterator["subprocess.Popen[str]"]:
    env = lab.environment(**more)
    process = subprocess.Popen(
        [str(EXAMPLE), command], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        end(process)  # type: ignore[arg-type]


def run(lab: Lab, command: str) -> str:
    with working(lab, command, UNTIL_IDLE="1") as process:
        said, _ = process.communicate(timeout=90)
        assert process.returncode == 0, said
        return said


def test_the_script_runs_steps_with_parameters_logs_inputs_and_outputs(lab: Lab) -> None:
    version = lab.a_version(plain_yml(("city", "string", "Bern")))
    id = lab.an_execution({"key": "load", "componentVersionId": version}, {"key": "use it"})

    said = run(
        lab,
        """if [ "$PROVENANCE_STEP_KEY" = load ]; then mkdir "$PROVENANCE_OUTPUT_DIR/a b"
            jq -r .city <<<"$PROVENANCE_PARAMETERS" | tee "$PROVENANCE_OUTPUT_DIR/a b/c[1].txt"
            : > "$PROVENANCE_OUTPUT_DIR/empty"; seq 1500; printf 'half '; sleep 1.5; printf 'line'
        else cat "$PROVENANCE_INPUT_DIR/load/a b/c[1].txt"; echo "to stderr" >&2; fi""",
    )

    found = lab.execution(id)
    load, use = found["by_key"]["load"], found["by_key"]["use it"]
    assert found["status"] == "SUCCEEDED", said
    assert [line[2] for line in lab.log(load["id"])] == ["Bern", *(str(n) for n in range(1, 1501)), "half line"]
    assert [line[2] for line in lab.log(use["id"])] == ["Bern", "to stderr"]
    files = {one["fileName"]: lab.download(one) for one in load["outputs"]["nodes"]}
    assert files == {"a b/c[1].txt": b"Bern\n", "empty": b""}
    assert lab.token not in said


def test_the_script_reports_failures_and_tries_again_what_may_help(lab: Lab) -> None:
    bad, healed = lab.an_execution({"key": "bad"}, {"key": "next"}), lab.an_execution({"key": "healed"})
    flag = lab.directory / "flag"

    run(lab, f"[ $PROVENANCE_STEP_KEY != bad ] || exit 3; [ -e {flag} ] || {{ touch {flag}; exit 75; }}")

    assert lab.statuses(bad) == {"bad": "FAILED", "next": "CANCELLED"}
    assert lab.execution(bad)["by_key"]["bad"]["error"]["code"] == "EXIT_CODE_3"
    step = lab.execution(healed)["by_key"]["healed"]
    assert (step["status"], step["attempt"]) == ("SUCCEEDED", 2)


def test_the_script_hands_back_when_it_is_told_to_stop(lab: Lab) -> None:
    id = lab.an_execution({"key": "long"})
    with working(lab, "echo started; sleep 1000") as process:
        wait_for(20, lambda: lab.log(lab.execution(id)["by_key"]["long"]["id"]))

        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=20)

    assert process.returncode == 0, said
    step = lab.execution(id)["by_key"]["long"]
    assert (step["status"], step["error"]["code"]) == ("READY", "HANDED_BACK")
