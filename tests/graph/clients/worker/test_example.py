"""`examples/worker.sh`, the same in bash, curl and jq."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.needs import PROJECT, need
from tests.support.patience import until, within
from tests.support.running import alive, end
from tests.support.working import Lab, plain_yml

EXAMPLE = PROJECT / "examples/worker.sh"

pytestmark = pytest.mark.timeout(within(400))


@pytest.fixture(autouse=True)
def programs() -> None:
    """Require the programs that the script calls."""
    for program in ("bash", "curl", "jq"):
        need(program)


@contextmanager
def working(lab: Lab, command: str, **more: str) -> Iterator["subprocess.Popen[str]"]:
    env = lab.environment(**more)
    with subprocess.Popen(
        [str(EXAMPLE), command], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            end(process)  # type: ignore[arg-type]


def run(lab: Lab, command: str) -> str:
    with working(lab, command, UNTIL_IDLE="1") as process:
        # It starts some programs for each request, and a request holds few lines.
        said, _ = process.communicate(timeout=within(300))
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


def test_the_script_runs_no_step_without_what_it_was_told_to_use(lab: Lab) -> None:
    made = lab.an_execution({"key": "a"})
    run(lab, 'echo shared > "$PROVENANCE_OUTPUT_DIR/made"')
    output = lab.output_of(made, "a")["id"]
    lab.do("updateOutputAccess", "output{id}", id=output, public=True)
    steps = [{"key": key, "dependsOn": [], "used": [{"id": output, "stepKey": "sea"}]} for key in "bc"]
    both = [lab.an_execution(step) for step in steps]
    run(lab, '[ $PROVENANCE_STEP_KEY = c ] || cat "$PROVENANCE_INPUT_DIR/sea/made"')
    withdrawn = lab.an_execution(steps[0])
    lab.do("updateOutputAccess", "output{id}", id=output, public=False)

    run(lab, "echo ran")

    assert [lab.statuses(id) for id in both] == [{"b": "SUCCEEDED"}, {"c": "SUCCEEDED"}]
    assert [line[2] for line in lab.log(lab.execution(both[0])["by_key"]["b"]["id"])] == ["shared"]
    step = lab.execution(withdrawn)["by_key"]["b"]
    gone = f"Output {output}, which step {step['id']} uses, was deleted, or is no longer shared with the owner."
    assert (step["status"], step["attempt"]) == ("FAILED", 1)
    assert step["error"] == {"code": "INPUTS_NOT_FETCHED", "message": gone, "retryable": False}
    assert lab.log(step["id"]) == []


def test_the_script_sends_all_lines_however_long_they_are(lab: Lab) -> None:
    id = lab.an_execution({"key": "a"})

    # More than the million bytes that the server takes, in fewer lines than it takes.
    said = run(lab, 'for n in {1..800}; do printf "%01500d\\n" "$n"; done')

    lines = lab.log(lab.execution(id)["by_key"]["a"]["id"])
    assert [int(line) for _, _, line in lines] == list(range(1, 801)), said


def test_the_script_keeps_inputs_below_their_folder_whatever_the_keys_of_their_steps(lab: Lab) -> None:
    keys = [".", "..", "../../escaped", "/absolute"]
    id = lab.an_execution(*({"key": key, "dependsOn": []} for key in keys), {"key": "last", "dependsOn": keys})

    said = run(
        lab,
        """if [ "$PROVENANCE_STEP_KEY" = last ]; then cd "$PROVENANCE_INPUT_DIR"; find . -type f
        else touch "$PROVENANCE_OUTPUT_DIR/file"; fi""",
    )

    assert sorted(line for _, _, line in lab.log(lab.execution(id)["by_key"]["last"]["id"])) == [
        "./%2E%2E/file",
        "./%2E/file",
        "./%2Fabsolute/file",
        "./..%2F..%2Fescaped/file",
    ], said


def test_the_script_fails_for_good_where_nobody_can_fetch_an_input(lab: Lab, tmp_path: Path) -> None:
    id, go = lab.an_execution({"key": "a"}, {"key": "b"}), tmp_path / "go"
    with working(lab, f"until [ -e {go} ]; do sleep 0.1; done", UNTIL_IDLE="1") as process:
        until(lambda: lab.statuses(id)["a"] == "RUNNING")
        step = lab.execution(id)["by_key"]["a"]["id"]
        lab.do("registerOutput", "output{id}", stepId=step, fileName="there", bucket="elsewhere", key="there")
        go.touch()
        said, _ = process.communicate(timeout=within())

    assert lab.statuses(id) == {"a": "SUCCEEDED", "b": "FAILED"}, said
    error = lab.execution(id)["by_key"]["b"]["error"]
    assert error == {
        "code": "INPUTS_NOT_FETCHED",
        "message": "there of step a cannot be fetched.",
        "retryable": False,
    }


def test_the_script_reports_failures_and_tries_again_what_may_help(lab: Lab) -> None:
    bad, healed = lab.an_execution({"key": "bad"}, {"key": "next"}), lab.an_execution({"key": "healed"})
    flag = lab.directory / "flag"

    run(lab, f"[ $PROVENANCE_STEP_KEY != bad ] || exit 3; [ -e {flag} ] || {{ touch {flag}; exit 75; }}")

    assert lab.statuses(bad) == {"bad": "FAILED", "next": "CANCELLED"}
    assert lab.execution(bad)["by_key"]["bad"]["error"]["code"] == "EXIT_CODE_3"
    step = lab.execution(healed)["by_key"]["healed"]
    assert (step["status"], step["attempt"]) == ("SUCCEEDED", 2)


def test_the_script_tries_again_what_does_not_come_from_the_command(lab: Lab) -> None:
    codes = [1, 125, 127, 137, 139, 143]
    keys = [f"c{code}" for code in codes]
    id = lab.an_execution(*({"key": key, "dependsOn": []} for key in keys))
    begun = lab.directory / "begun"
    begun.mkdir()

    run(lab, f'mkdir "{begun}/$PROVENANCE_STEP_KEY" && exit "${{PROVENANCE_STEP_KEY#c}}"; exit 0')

    steps = lab.execution(id)["by_key"]
    assert {key: (steps[key]["status"], steps[key]["attempt"]) for key in keys} == {
        key: ("FAILED", 1) if key in ("c1", "c139") else ("SUCCEEDED", 2) for key in keys
    }


def test_the_script_hands_back_what_its_machine_cannot_run_and_pauses(lab: Lab, tmp_path: Path) -> None:
    id = lab.an_execution({"key": "a"})
    folders = tmp_path / "folders"
    with working(lab, "echo ran", TMPDIR=str(folders)) as process:
        until(lambda: lab.execution(id)["by_key"]["a"]["error"])
        (between,) = lab.execution(id)["by_key"].values()

        folders.mkdir()
        until(lambda: lab.statuses(id) == {"a": "SUCCEEDED"})
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=within())

    assert (between["status"], between["error"]["code"]) == ("READY", "HANDED_BACK")
    log = [line[1:] for line in lab.log(between["id"])]
    assert [level for level, _ in log] == ["WARNING", "INFO"]
    assert "The worker cannot run it: mktemp: " in log[0][1]
    assert "handed back, and nothing is claimed for 5 s" in said


def test_the_script_gives_parameters_that_are_too_large_for_a_variable_in_a_file(lab: Lab) -> None:
    version = lab.a_version(plain_yml(("given", "string", ""), ("default", "string", "y" * 60_000)))
    given = {"given": "x" * 90_000}
    id = lab.an_execution({"key": "a", "componentVersionId": version, "parameters": given})

    run(lab, 'echo "${PROVENANCE_PARAMETERS-unset}"; jq -r ".given, .default | length" "$PROVENANCE_PARAMETERS_FILE"')

    (step,) = lab.execution(id)["by_key"].values()
    assert [line[2] for line in lab.log(step["id"])] == ["unset", "90000", "60000"]


@pytest.mark.parametrize("deaf", ["", "trap '' TERM; "])
def test_the_script_hands_back_when_it_is_told_to_stop(lab: Lab, deaf: str) -> None:
    id = lab.an_execution({"key": "long"})
    with working(lab, f"{deaf}echo $$; sleep 1000") as process:
        pid = until(lambda: lab.log(lab.execution(id)["by_key"]["long"]["id"]))[0][2]

        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=within())
    until(lambda: not alive(int(pid)))

    assert process.returncode == 0, said
    step = lab.execution(id)["by_key"]["long"]
    assert (step["status"], step["error"]["code"]) == ("READY", "HANDED_BACK")
