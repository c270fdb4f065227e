"""No parameter is lost on its way to a command: all are in a file, and the log tells which are no variables."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from graph.clients.worker.claimed_activity import ClaimedActivity
from graph.clients.worker.environment import MAX_ENVIRONMENT_BYTES, MAX_VARIABLE_BYTES, make_environment
from graph.clients.worker.options import Options
from graph.clients.worker.workspace import Workspace
from tests.support.working import Lab, plain_yml

REPORT = """cp "$PROVENANCE_PARAMETERS_FILE" "$PROVENANCE_OUTPUT_DIR/parameters.json"
cp "$PROVENANCE_ACTIVITY_FILE" "$PROVENANCE_OUTPUT_DIR/activity.json"; env -0 > "$PROVENANCE_OUTPUT_DIR/env" """
OPTIONS = Options(url="http://127.0.0.1:1", token="t", command="true", name="w")


def test_large_and_oddly_named_parameters_arrive_in_a_file_and_the_log_tells_of_them(lab: Lab) -> None:
    given = {"given": "x" * 90_000, "a-b": "dashed", "city": "Zürich", "PATH": "/evil"}
    default = "y" * 60_000
    version = lab.a_version(plain_yml(*((name, "string", "") for name in given), ("default", "string", default)))
    id = lab.an_execution({"key": "a", "componentVersionId": version, "parameters": given})

    lab.run(REPORT)

    (step,) = lab.execution(id)["by_key"].values()
    files = {one["fileName"]: lab.download(one) for one in step["outputs"]["nodes"]}
    env = dict(line.split("=", 1) for line in files["env"].decode().split("\0") if line)
    assert step["status"] == "SUCCEEDED"
    assert json.loads(files["parameters.json"]) == given | {"default": default}
    assert json.loads(files["activity.json"])["parameters"] == given | {"default": default}
    assert (env["given"], env["default"], env["city"]) == (given["given"], default, "Zürich")
    assert env["PATH"] != "/evil"
    assert {"a-b", "PROVENANCE_PARAMETERS"} & set(env) == set()
    ((_, level, line),) = lab.log(step["id"])
    assert level == "WARNING"
    assert line.startswith("worker: Not in the command's environment, but in PROVENANCE_ACTIVITY_FILE: ")
    assert "PROVENANCE_PARAMETERS (150," in line
    assert "bytes are too many for a variable)" in line
    assert "a-b (cannot be the name of a variable)" in line
    assert "PATH (may be set only by the worker's operator)" in line


def a_claim(parameters: Mapping[str, object]) -> ClaimedActivity:
    return ClaimedActivity(
        "transform_1", 1, False, "t", {"parameters": parameters, "code": [], "resource": {"id": "resource_1"}}
    )


@pytest.mark.parametrize("size", [MAX_VARIABLE_BYTES - 4, MAX_VARIABLE_BYTES - 3])
def test_a_variable_is_given_up_to_what_the_system_takes(tmp_path: Path, size: int) -> None:
    made = make_environment(a_claim({"ab": "x" * size}), Workspace(tmp_path), OPTIONS, {})

    assert ("ab" in made.variables) == (size == MAX_VARIABLE_BYTES - 4)
    assert ("ab" in made.left_out) == (size == MAX_VARIABLE_BYTES - 3)


def test_many_parameters_fill_the_environment_no_more_than_it_holds_and_the_rest_is_named(tmp_path: Path) -> None:
    many = {f"p{n}": "x" * 1_000 for n in range(2_000)}

    made = make_environment(a_claim(many), Workspace(tmp_path), OPTIONS, {"HOME": "/home"})

    used = sum(len(name) + len(value) + 10 for name, value in made.variables.items())
    assert MAX_ENVIRONMENT_BYTES - 1_100 < used <= MAX_ENVIRONMENT_BYTES
    assert made.left_out.keys() >= many.keys() - made.variables.keys()
    assert "PROVENANCE_URL" in made.variables
    assert "PROVENANCE_PARAMETERS" in made.left_out
    assert " more." in made.notice


def test_a_parameter_that_is_no_variable_hides_one_of_the_worker(tmp_path: Path) -> None:
    inherited = {"none": "inherited", "zero": "inherited", "other": "inherited", "PATH": "/bin"}

    made = make_environment(
        a_claim({"none": None, "zero": "a\0b", "PATH": "/evil"}), Workspace(tmp_path), OPTIONS, inherited
    )

    assert {name: made.variables.get(name) for name in inherited} == {
        "none": None,
        "zero": None,
        "other": "inherited",
        "PATH": "/bin",
    }
    assert set(made.left_out) == {"zero", "PATH"}


@pytest.mark.parametrize("name", ["PATH", "GCONV_PATH", "CONTAINER_HOST", "XDG_CONFIG_HOME", "R_PROFILE_USER"])
def test_a_parameter_does_not_decide_which_code_runs(tmp_path: Path, name: str) -> None:
    made = make_environment(a_claim({name: "evil", "R_0": "2.5"}), Workspace(tmp_path), OPTIONS, {})

    assert (made.variables.get(name), made.variables["R_0"]) == (None, "2.5")
    assert made.left_out[name] == "may be set only by the worker's operator"


def test_only_a_declared_parameter_takes_the_place_of_a_variable_of_the_worker(tmp_path: Path) -> None:
    claim = a_claim({"AWS_PROFILE": "evil", "HOST": "db", "REGION": None, "NEW": "1"})
    declared = {"AWS_PROFILE": False, "HOST": True, "REGION": False, "NEW": False}
    claim.fields["parameterList"] = [{"name": name, "declared": one} for name, one in declared.items()]
    inherited = {"AWS_PROFILE": "team", "HOST": "here", "REGION": "eu"}

    made = make_environment(claim, Workspace(tmp_path), OPTIONS, inherited)

    found = {name: made.variables.get(name) for name in declared}
    assert found == {"AWS_PROFILE": "team", "HOST": "db", "REGION": "eu", "NEW": "1"}
    assert set(made.left_out) == {"AWS_PROFILE", "REGION"}


def test_only_parameters_that_are_declared_steer_tools(tmp_path: Path) -> None:
    steering = ["PIP_INDEX_URL", "npm_config_prefix", "CC", "LESSOPEN", "JULIA_LOAD_PATH", "AWS_PROFILE", "LDFLAGS"]
    claim = a_claim(dict.fromkeys([*steering, "RUSTC_WRAPPER", "GOAL", "LESSONS", "AWS_REGION"], "given"))
    declared = {name: name == "RUSTC_WRAPPER" for name in claim.parameters}
    claim.fields["parameterList"] = [{"name": name, "declared": one} for name, one in declared.items()]

    made = make_environment(claim, Workspace(tmp_path), OPTIONS, {})

    assert {name for name in declared if name in made.variables} == {"RUSTC_WRAPPER", "GOAL", "LESSONS", "AWS_REGION"}
    assert set(made.left_out) == set(steering)


def test_a_worker_is_told_which_parameters_are_declared(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "team")
    version = lab.a_version(plain_yml(("rows", "integer", "5")))
    given = {"AWS_PROFILE": "evil", "extra": "given"}
    id = lab.an_execution({"key": "a", "componentVersionId": version, "parameters": given})

    lab.run('echo "$AWS_PROFILE $extra $rows"')

    (step,) = lab.execution(id)["by_key"].values()
    lines = [line for _, _, line in lab.log(step["id"])]
    assert "AWS_PROFILE (is a variable of the worker's own, and no parameter that the component declares)" in lines[0]
    assert lines[1:] == ["team given 5"]
