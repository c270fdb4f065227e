"""`provenance-graph work`: steps and transforms run by commands, over real HTTP."""

import hashlib
import json
import signal
from pathlib import Path

import pytest

from tests.graph.clients.worker.conftest import ExpireLeases, KeptSteps
from tests.graph.clients.worker.front import Front, answers
from tests.support.patience import until, within
from tests.support.running import COMMAND, alive
from tests.support.suspension import suspended
from tests.support.working import RENEW_OFTEN, Lab, plain_yml

LINES = 6_500
"""More than wait to be sent at once, and several requests of them."""
NOT_GIVEN = "Not in the command's environment, but in PROVENANCE_ACTIVITY_FILE"


def test_a_command_runs_with_parameters_and_leaves_log_lines_and_files(lab: Lab) -> None:
    version = lab.a_version(
        plain_yml(("rows", "integer", "5"), ("city", "string", "Bern"), ("PATH", "string", "/evil"))
    )
    id = lab.an_execution({"key": "load", "componentVersionId": version, "parameters": {"city": "Zug ' \" $HOME"}})

    said = lab.run(
        """echo "rows=$rows city=$city"; echo warned >&2; printf "%s" "$city" > "$PROVENANCE_OUTPUT_DIR/city.txt" """,
        program=(*COMMAND, "work"),
    )

    found = lab.execution(id)
    (step,) = found["by_key"].values()
    assert (found["status"], step["status"], step["attempt"], step["error"]) == ("SUCCEEDED", "SUCCEEDED", 1, None)
    assert sorted(line[1:] for line in lab.log(step["id"])) == [
        ("INFO", "rows=5 city=Zug ' \" $HOME"),
        ("WARNING", "warned"),
        ("WARNING", f"worker: {NOT_GIVEN}: PATH (may be set only by the worker's operator)."),
    ]
    (output,) = step["outputs"]["nodes"]
    assert (output["fileName"], output["fileType"], output["attempt"]) == ("city.txt", "text/plain", 1)
    assert lab.download(output) == b"Zug ' \" $HOME"
    assert "step load (attempt 1): succeeded. Log lines: 3, files: 1." in said
    assert lab.token not in said


def test_a_command_finds_what_the_readme_says_in_its_environment(lab: Lab) -> None:
    version = lab.a_version(plain_yml(("rows", "integer", "5"), ("LD_PRELOAD", "string", "evil")))
    id = lab.an_execution(
        {"key": "first"},
        {"key": "second", "componentVersionId": version, "ports": ["8502:8501"], "inputs": {"a": [1]}},
    )
    show = """cp "$PROVENANCE_ACTIVITY_FILE" "$PROVENANCE_OUTPUT_DIR/activity.json"
        env -0 > "$PROVENANCE_OUTPUT_DIR/env"; pwd; ls -A | wc -l"""

    lab.run(show, "--name", "worker-7", PROVENANCE_ADMIN_TOKEN="a-secret-of-the-machine")

    step = lab.execution(id)["by_key"]["second"]
    files = {one["fileName"]: lab.download(one) for one in step["outputs"]["nodes"]}
    env = dict(line.split("=", 1) for line in files["env"].decode().split("\0") if line)
    given = {name.removeprefix("PROVENANCE_"): value for name, value in env.items() if name.startswith("PROVENANCE_")}
    folder = given["OUTPUT_DIR"].removesuffix("/outputs")
    assert given == {
        "ACTIVITY_ID": step["id"],
        "KIND": "STEP",
        "ATTEMPT": "1",
        "INPUT_DIR": f"{folder}/inputs",
        "OUTPUT_DIR": f"{folder}/outputs",
        "PARAMETERS": '{"rows":5,"LD_PRELOAD":"evil"}',
        "PARAMETERS_FILE": f"{folder}/parameters.json",
        "ACTIVITY_FILE": f"{folder}/activity.json",
        "USED": f"{folder}/used",
        "STEP_KEY": "second",
        "EXECUTION_ID": id,
        "COMPONENT": "example",
        "VERSION": "1.0.0",
        "PORTS": "8502:8501",
        "INPUTS": '{"a":[1]}',
        "REPOSITORY": given["REPOSITORY"],
        "COMMIT": "0123456789abcdef0123456789abcdef01234567",
        "WORKER": "worker-7",
        "URL": lab.server.url,
    }
    assert env["rows"] == "5"
    assert "LD_PRELOAD" not in env
    told = json.loads(files["activity.json"])
    assert (told["id"], told["parameters"]["LD_PRELOAD"], told["ports"]) == (step["id"], "evil", ["8502:8501"])
    assert [line[2] for line in lab.log(step["id"])][1:] == [f"{folder}/work", "0"]
    assert not Path(folder).exists()


def test_a_step_finds_the_files_of_those_it_waits_for(lab: Lab) -> None:
    id = lab.an_execution(
        {"key": "a", "dependsOn": []},
        {"key": "b", "dependsOn": []},
        {"key": "c", "dependsOn": ["a", "b"]},
    )
    pass_on = """cd "$PROVENANCE_INPUT_DIR"; find . -type f | sort
        mkdir "$PROVENANCE_OUTPUT_DIR/deep"; echo "of $PROVENANCE_STEP_KEY" > "$PROVENANCE_OUTPUT_DIR/deep/file" """

    lab.run(pass_on)

    steps = lab.execution(id)["by_key"]
    assert [line[2] for line in lab.log(steps["c"]["id"])] == ["./a/deep/file", "./b/deep/file"]
    assert lab.download(steps["a"]["outputs"]["nodes"][0]) == b"of a\n"


def test_a_rerun_finds_the_files_of_the_steps_that_it_reuses(lab: Lab) -> None:
    id = lab.an_execution({"key": "a"}, {"key": "b"})
    lab.run('[ $PROVENANCE_STEP_KEY = a ] && echo "first run" > $PROVENANCE_OUTPUT_DIR/made')
    again = lab.do("rerunExecution", "execution{id}", executionId=id, strategy="FROM_FAILURE")["execution"]["id"]

    lab.run('cat "$PROVENANCE_INPUT_DIR/a/made"')

    assert lab.statuses(id) == {"a": "SUCCEEDED", "b": "FAILED"}
    assert lab.statuses(again) == {"a": "SUCCEEDED", "b": "SUCCEEDED"}
    assert [line[2] for line in lab.log(lab.execution(again)["by_key"]["b"]["id"])] == ["first run"]


def test_a_step_finds_the_files_that_it_was_told_to_use(lab: Lab) -> None:
    twin = lab.a_twin()
    made = lab.an_execution({"key": "a"}, {"key": "b"}, twin=twin)
    lab.run("echo $PROVENANCE_STEP_KEY > $PROVENANCE_OUTPUT_DIR/made")
    shared = lab.an_execution({"key": "c"})
    lab.run("echo shared > $PROVENANCE_OUTPUT_DIR/made")
    a, c = lab.output_of(made, "a"), lab.output_of(shared, "c")
    lab.do("updateOutputAccess", "output{id}", id=c["id"], public=True)

    used = [{"id": a["id"], "sha256": a["sha256"]}, {"id": c["id"], "stepKey": "b/c"}]
    id = lab.an_execution({"key": "a", "used": used}, {"key": "d"}, twin=twin)
    lab.run("cd $PROVENANCE_INPUT_DIR; [ $PROVENANCE_STEP_KEY = a ] && head -v */made; true")

    assert lab.statuses(id) == {"a": "SUCCEEDED", "d": "SUCCEEDED"}
    lines = [line[2] for line in lab.log(lab.execution(id)["by_key"]["a"]["id"])]
    assert lines == ["==> a/made <==", "a", "", "==> b%2Fc/made <==", "shared"]


def test_a_step_does_not_run_without_what_it_was_told_to_use(lab: Lab) -> None:
    made = lab.an_execution({"key": "a"})
    lab.run("echo shared > $PROVENANCE_OUTPUT_DIR/made")
    output = lab.output_of(made, "a")
    lab.do("updateOutputAccess", "output{id}", id=output["id"], public=True)
    id = lab.an_execution({"key": "b", "used": [{"id": output["id"]}]})
    lab.do("updateOutputAccess", "output{id}", id=output["id"], public=False)

    lab.run("ls $PROVENANCE_INPUT_DIR")

    step = lab.execution(id)["by_key"]["b"]
    assert (step["status"], step["attempt"], step["error"]["code"]) == ("FAILED", 1, "INPUTS_NOT_FETCHED")
    gone = f"Output {output['id']}, which step {step['id']} uses, was deleted, or is no longer shared with the owner."
    assert step["error"]["message"].endswith(gone)
    assert lab.log(step["id"]) == []


def test_a_step_takes_only_the_files_of_the_attempt_that_succeeded(lab: Lab, front: Front) -> None:
    id = lab.an_execution({"key": "a"}, {"key": "b"})
    command = """case $PROVENANCE_STEP_KEY$PROVENANCE_ATTEMPT in
        a1) echo bad > $PROVENANCE_OUTPUT_DIR/file; echo bad > $PROVENANCE_OUTPUT_DIR/gone;;
        a2) echo good > $PROVENANCE_OUTPUT_DIR/file;;
        b1) cd $PROVENANCE_INPUT_DIR/a; ls; cat file;;
    esac"""
    # The first attempt uploads its files, but cannot say that it is done.
    front.judge = answers("completeActivity", 503)

    lab.run(command, "--once", "--name", "first", "--retry-within", "0", PROVENANCE_URL=front.url)
    step = lab.execution(id)["by_key"]["a"]["id"]
    lab.do("releaseActivity", "activity{status}", id=step, worker="first", attempt=1)
    lab.run(command)

    assert files_of(lab, id, "a") == [(1, "file"), (1, "gone"), (2, "file")]
    assert [line[2] for line in lab.log(lab.execution(id)["by_key"]["b"]["id"])] == ["file", "good"]


def files_of(lab: Lab, id: str, key: str) -> list[tuple[int, str]]:
    """Attempt and name of each output of a step."""
    outputs = lab.execution(id)["by_key"][key]["outputs"]["nodes"]
    return sorted((one["attempt"], one["fileName"]) for one in outputs)


def test_files_with_odd_names_nested_and_empty_ones_arrive(lab: Lab) -> None:
    id = lab.an_execution({"key": "odd"})
    names = ["empty", "a b/ c.csv", "é\u0301🜁.txt", "-n", "100%.tar.gz", "a/b/c/d/e", "$(touch x)", "'\"", ".hidden"]
    odd = {"new\nline": "new%0Aline", "back\\slash": "back%5Cslash", " blank ": "%20blank%20"}
    script = "import os,pathlib;out=pathlib.Path(os.environ['PROVENANCE_OUTPUT_DIR'])\n" + "".join(
        f"f=out/{name!r};f.parent.mkdir(parents=True,exist_ok=True);f.write_bytes({content!r})\n"
        for name, content in {name: b"" if name == "empty" else name.encode() for name in [*names, *odd]}.items()
    )
    script += "(out/os.fsdecode(b'caf\\xe9')).write_bytes(b'latin')\n(out/'link').symlink_to('/etc/passwd')\n"
    program = lab.directory / "odd.py"
    program.write_text(script, encoding="utf-8")

    said = lab.run(f"python3 {program}")

    (step,) = lab.execution(id)["by_key"].values()
    files = {one["fileName"]: one for one in step["outputs"]["nodes"]}
    assert step["status"] == "SUCCEEDED", said
    assert sorted(files) == sorted([*names, *odd.values(), "caf%E9"])
    for name in names:
        content = b"" if name == "empty" else name.encode()
        assert files[name]["sha256"] == hashlib.sha256(content).hexdigest()
        assert lab.download(files[name]) == content
    assert files["100%.tar.gz"]["fileType"] == "application/gzip"
    assert "'link' is not uploaded" in said


def test_a_failing_command_says_why_and_its_files_are_not_kept(lab: Lab) -> None:
    id = lab.an_execution({"key": "bad"}, {"key": "next"})

    said = lab.run("echo made > $PROVENANCE_OUTPUT_DIR/file; echo so far; echo 'no such city' >&2; exit 3")

    steps = lab.execution(id)["by_key"]
    assert steps["bad"]["error"] == {
        "code": "EXIT_CODE_3",
        "message": "The command ended with exit code 3.\nno such city",
        "retryable": False,
    }
    assert lab.statuses(id) == {"bad": "FAILED", "next": "CANCELLED"}
    assert sorted(line[1:] for line in lab.log(steps["bad"]["id"])) == [("INFO", "so far"), ("WARNING", "no such city")]
    assert steps["bad"]["outputs"]["nodes"] == []
    assert "step bad (attempt 1): failed. The command ended with exit code 3." in said


def test_a_failure_is_reported_whatever_the_command_wrote(lab: Lab) -> None:
    id = lab.an_execution({"key": "a"})

    lab.run(r"printf 'zero\000 \377 \033[31mred\a\n' >&2; exit 3")

    step = lab.execution(id)["by_key"]["a"]
    message = "The command ended with exit code 3.\nzero\ufffd \ufffd \x1b[31mred\a"
    assert (step["status"], step["attempt"], step["error"]["code"]) == ("FAILED", 1, "EXIT_CODE_3")
    assert step["error"]["message"] == message


def test_exit_code_75_is_tried_again_up_to_three_times(lab: Lab) -> None:
    healed, hopeless = lab.an_execution({"key": "healed"}), lab.an_execution({"key": "hopeless"})

    lab.run('echo "try $PROVENANCE_ATTEMPT"; [ $PROVENANCE_STEP_KEY$PROVENANCE_ATTEMPT = healed2 ] || exit 75')

    (one,), (other,) = (lab.execution(id)["by_key"].values() for id in (healed, hopeless))
    assert (one["status"], one["attempt"], one["error"]) == ("SUCCEEDED", 2, None)
    assert (other["status"], other["attempt"], other["error"]["code"]) == ("FAILED", 3, "EXIT_CODE_75")
    assert lab.log(other["id"]) == [(n, "INFO", f"try {n}") for n in (1, 2, 3)]


def test_sigterm_hands_back_and_another_worker_finishes(lab: Lab) -> None:
    id = lab.an_execution({"key": "long"})
    with lab.working("echo started; sleep 1000") as worker:
        (step,) = until(lambda: [s for s in lab.execution(id)["by_key"].values() if lab.log(s["id"])])

        worker.process.send_signal(signal.SIGTERM)
        code = worker.process.wait(within())

    (between,) = lab.execution(id)["by_key"].values()
    lab.run("echo finished")
    (after,) = lab.execution(id)["by_key"].values()
    assert code == 0
    assert (between["status"], between["attempt"], between["error"]["code"]) == ("READY", 1, "HANDED_BACK")
    assert (after["status"], after["attempt"]) == ("SUCCEEDED", 2)
    assert lab.log(step["id"]) == [(1, "INFO", "started"), (2, "INFO", "finished")]
    assert "handed back" in worker.output


def test_a_lost_lease_ends_the_command_with_all_it_has_started(lab: Lab) -> None:
    id = lab.an_execution({"key": "stubborn"})
    with lab.working('trap "" TERM; sleep 1000 & echo $$ $!; wait; wait', **RENEW_OFTEN) as worker:
        log = until(lambda: [line for s in lab.execution(id)["by_key"].values() for line in lab.log(s["id"])])
        pids = [int(pid) for pid in log[0][2].split()]

        lab.do("cancelExecution", "execution{status}", id=id)

        until(lambda: not any(alive(pid) for pid in pids), shown=lambda: worker.output)
        until(lambda: "lost, and its command was ended" in worker.output)
    assert lab.statuses(id) == {"stubborn": "CANCELLED"}


def test_a_killed_worker_leaves_nothing_running(lab: Lab, expire_leases: ExpireLeases) -> None:
    id = lab.an_execution({"key": "orphan"})
    with lab.working("sleep 1000 & echo $$ $!; wait") as worker:
        log = until(lambda: [line for s in lab.execution(id)["by_key"].values() for line in lab.log(s["id"])])
        pids = [int(pid) for pid in log[0][2].split()]

        worker.process.kill()

        until(lambda: not any(alive(pid) for pid in pids))
    until(lambda: list(lab.folders.iterdir()) == [])
    expire_leases(worker.name)
    until(lambda: lab.statuses(id) == {"orphan": "READY"})
    lab.run("true")
    assert lab.statuses(id) == {"orphan": "SUCCEEDED"}


def test_a_server_that_does_not_answer_for_a_while_costs_nothing(lab: Lab, tmp_path: Path) -> None:
    id = lab.an_execution({"key": "patient"})
    begun, go_on, done = tmp_path / "begun", tmp_path / "go on", tmp_path / "done"
    command = f"""touch {begun}; until [ -e '{go_on}' ]; do sleep 0.05; done
        for n in 1 2 3 4 5; do echo $n; sleep 0.4; done; echo x > $PROVENANCE_OUTPUT_DIR/x; touch {done}"""
    with lab.working(command) as worker:
        until(begun.exists)
        with suspended(lab.server.process.pid):
            go_on.touch()
            until(done.exists)
        until(lambda: lab.statuses(id) == {"patient": "SUCCEEDED"})

    (step,) = lab.execution(id)["by_key"].values()
    assert (step["attempt"], len(step["outputs"]["nodes"])) == (1, 1), worker.output
    assert [line[2] for line in lab.log(step["id"])] == ["1", "2", "3", "4", "5"]


def test_a_worker_that_cannot_reach_the_server_ends_its_command_before_another_may_begin(
    lab: Lab, kept_steps: KeptSteps, tmp_path: Path
) -> None:
    id = lab.an_execution({"key": "cut off"})
    beat = tmp_path / "beat"
    with lab.working(f"echo $$; while touch '{beat}'; do sleep 0.1; done", "--lease", "8", **RENEW_OFTEN) as worker:
        (step,) = lab.execution(id)["by_key"].values()
        log = until(lambda: lab.log(step["id"]))
        with suspended(lab.server.process.pid):
            until(lambda: not alive(int(log[0][2])))
            (held,) = kept_steps.find({"_id": step["id"]})
        until(lambda: "The lease could not be renewed for 8 s." in worker.output)

    # The command told when it ran last, so a machine that stands still meanwhile changes nothing.
    assert beat.stat().st_mtime < held["leaseExpiresAt"].timestamp() + within(2)


def test_what_a_command_leaves_running_is_ended_and_does_not_keep_its_step(lab: Lab) -> None:
    id = lab.an_execution({"key": "daemon"})

    lab.run("sleep 1000 & echo $!")

    (step,) = lab.execution(id)["by_key"].values()
    assert step["status"] == "SUCCEEDED"
    assert not alive(int(lab.log(step["id"])[0][2]))


def test_many_and_long_and_broken_lines_arrive_in_order(lab: Lab) -> None:
    id = lab.an_execution({"key": "chatty"})
    script = f"import sys;o=sys.stdout.buffer;[o.write(b'line %d\\n'%n) for n in range({LINES})];"
    script += "o.write(b'x'*25000+b'\\n'+b'10%\\r20%\\r\\n\\n'+b'caf\\xe9\\0end')"

    lab.run(f'python3 -c "{script}"')

    (step,) = lab.execution(id)["by_key"].values()
    log = lab.log(step["id"])
    assert [line[0] for line in log] == list(range(1, len(log) + 1))
    assert [line[2] for line in log[:LINES]] == [f"line {n}" for n in range(LINES)]
    rest = [line[2] for line in log[LINES:]]
    assert [len(line) for line in rest[:3]] == [10_000, 10_000, 5_000]
    assert rest[3:] == ["10%", "20%", "", "caf\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}end"]


def test_several_commands_run_at_once(lab: Lab) -> None:
    ids = [lab.an_execution({"key": "a"}) for _ in range(4)]
    meeting = lab.directory / "meeting"
    meeting.mkdir()

    lab.run(
        f'touch {meeting}/$PROVENANCE_ACTIVITY_ID; until [ "$(ls {meeting} | wc -l)" -ge 4 ]; do sleep 0.05; done',
        *("--at-once", "4"),
    )

    assert [lab.statuses(id) for id in ids] == [{"a": "SUCCEEDED"}] * 4


def test_transforms_run_too_and_may_publish_what_they_made(lab: Lab) -> None:
    made = lab.do("createOrganisation", "organisation{id}", url="https://worker.example", name="W")
    resource = lab.do(
        "createResource",
        "resource{id}",
        organisationId=made["organisation"]["id"],
        landingPage="https://worker.example/rain",
        codeRepo={"url": "https://code.example/rain", "source": [{"path": "main.py", "commit": "abcdef"}]},
    )["resource"]["id"]
    plain = lab.do("requestTransform", "transform{id}", resourceId=resource)["transform"]["id"]
    lab.run('echo "$PROVENANCE_KIND $PROVENANCE_RESOURCE_ID $PROVENANCE_PATH"', "--kind", "transforms")
    publishing = lab.do("requestTransform", "transform{id}", resourceId=resource)["transform"]["id"]

    lab.run(
        """echo before; sleep 1
        jq -n --arg id "$PROVENANCE_ACTIVITY_ID" '{query: "mutation($input: IngestTransformInput!)
          { ingestTransform(input: $input) { userErrors { message } } }", variables: {input: {transformId: $id,
          organisationUrl: "https://worker.example", landingPage: "https://worker.example/rain",
          codeRepo: {url: "https://code.example/rain", source: [{path: "main.py", commit: "abcdef"}]},
          distributions: [{csvwText: ({"@context": "http://www.w3.org/ns/csvw", "url": "rain.csv", "dc:title": "Rain",
          "dc:identifier": "rain"} | tojson)}]}}}' |
          curl -sS "$PROVENANCE_URL/graphql" -H "Authorization: Bearer $PROVENANCE_TOKEN" \\
            -H 'Content-Type: application/json' --data-binary @- >&2
        sleep 2""",
        *("--kind", "transforms", "--pass-token"),
        **RENEW_OFTEN,
    )

    query = "query($id:ID!){transform(id:$id){status attempt error{message} distributions{nodes{id}}}}"
    first, second = (lab.server.ask(query, {"id": id})["transform"] for id in (plain, publishing))
    assert (first["status"], len(first["distributions"]["nodes"])) == ("SUCCEEDED", 0)
    assert lab.log(plain) == [(1, "INFO", f"TRANSFORM {resource} main.py")]
    assert (second["status"], len(second["distributions"]["nodes"])) == ("SUCCEEDED", 1)
    assert lab.log(publishing)[0] == (1, "INFO", "before")


def test_a_worker_claims_only_the_kinds_it_is_told(lab: Lab) -> None:
    id = lab.an_execution({"key": "a"})

    lab.run("true", "--kind", "transforms")
    before = lab.statuses(id)
    lab.run("true", "--kind", "steps", "--once")

    assert (before, lab.statuses(id)) == ({"a": "READY"}, {"a": "SUCCEEDED"})


@pytest.mark.parametrize(
    ("options", "env", "code", "said"),
    [
        ((), {"PROVENANCE_TOKEN": ""}, 2, "Set PROVENANCE_TOKEN, or give --token-file."),
        ((), {"PROVENANCE_TOKEN": "wrong"}, 1, "does not accept the token: "),
        (("--kind", "jobs"), {}, 2, "--kind is steps or transforms, not 'job'."),
        ((), {"PROVENANCE_URL": "ftp://files.example"}, 2, "PROVENANCE_URL must be an address such as"),
        (("--lease", "1"), {}, 2, "--lease"),
    ],
)
def test_what_cannot_work_is_told_in_a_sentence(
    lab: Lab, options: tuple[str, ...], env: dict[str, str], code: int, said: str
) -> None:
    with lab.working("true", *options, **env) as worker:
        assert worker.process.wait(within()) == code

    assert said in " ".join(worker.output.replace("│", " ").split())
    assert "Traceback" not in worker.output


def test_an_address_where_something_else_answers_is_told(lab: Lab) -> None:
    with lab.working("true", PROVENANCE_URL=f"{lab.server.url}/elsewhere") as worker:
        assert worker.process.wait(within()) == 1

    assert "answers 404, but not with GraphQL. Is the address right?" in worker.output
