"""The workflows of real digital twins, run to their end by two workers at once."""

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.resolvers.twins.test_real_workflows import CAUSAL, CORSICA, EXAMPLE, Part
from tests.support.needs import need_shared_data
from tests.support.patience import until
from tests.support.running import end
from tests.support.working import Lab

COMMAND = """echo "$PROVENANCE_COMPONENT $PROVENANCE_VERSION begins"
touch "$MEETING/$PROVENANCE_STEP_KEY"
until [ "$(ls "$MEETING" | wc -l)" -ge "$TOGETHER" ]; do sleep 0.05; done
find "$PROVENANCE_INPUT_DIR" -type f | wc -l >&2
printf "%s" "$PROVENANCE_PARAMETERS" > "$PROVENANCE_OUTPUT_DIR/parameters.json"
mkdir "$PROVENANCE_OUTPUT_DIR/odtp-output"
find "$PROVENANCE_INPUT_DIR" -type f -name key.txt -exec cat {} + > "$PROVENANCE_OUTPUT_DIR/odtp-output/key.txt"
echo "$PROVENANCE_STEP_KEY" >> "$PROVENANCE_OUTPUT_DIR/odtp-output/key.txt"
echo done"""
"""It waits until so many steps have begun, that as many workers take part."""


USED = """query($id:ID!){step(id:$id){outputs(first:100){nodes{id sha256 downloadUrl{url}}}
  used(first:100){nodes{__typename id ... on Output{sha256} ... on ExternalData{url version}}}}}"""
LINK = "https://drive.switch.ch/index.php/s/COCq6UaK5b4bs7W"


def the_steps(lab: Lab, data: Path, parts: list[Part]) -> list[dict[str, Any]]:
    """The steps of a workflow, of component versions made from their own descriptions, with their own parameters."""
    steps = []
    for part in parts:
        yml = (data / "yml" / f"odtp-org__{part.repository}@{part.version}.odtp.yml").read_text(encoding="utf-8")
        version = lab.a_version(yml, f"https://github.com/odtp-org/{part.repository}", part.version)
        text = (data / "workflows" / part.parameters).read_text(encoding="utf-8") if part.parameters else ""
        given = {name: value.strip('"') for name, value in re.findall(r"^(\w+)=(.*?)\s*$", text, re.MULTILINE)}
        steps.append({"key": part.repository, "componentVersionId": version, "parameters": given})
    return steps


def waits_for(parts: list[Part], data: Path) -> list[list[str]]:
    """The keys that each step waits for, by the workflow's own file where it has one."""
    keys = [part.repository for part in parts]
    if parts is CORSICA:
        file = data / "workflows/dt-corsica-mobility/odtp.yml"
        return [step["depends_on"] for step in yaml.safe_load(file.read_text(encoding="utf-8"))["steps"]]
    if parts is CAUSAL:
        # Two loaders that need nothing of each other; what simulates needs both.
        return [[], [], keys[:2], [keys[2]], [keys[2]], [keys[3], keys[4]]]
    return [[], [keys[0]]]


@pytest.mark.parametrize("parts", [EXAMPLE, CORSICA, CAUSAL], ids=["example", "corsica", "causal"])
def test_a_real_workflow_is_run_to_its_end_by_two_workers(lab: Lab, parts: list[Part], tmp_path: Path) -> None:
    data = need_shared_data() / "odtp"
    steps, awaited = the_steps(lab, data, parts), waits_for(parts, data)
    for step, keys in zip(steps, awaited, strict=True):
        step["dependsOn"] = keys
    id = lab.an_execution(*steps)

    meeting: Any = {"MEETING": str(tmp_path), "TOGETHER": "2" if parts is CAUSAL else "1"}
    workers = [lab.start(COMMAND, "--poll", "0.1", "--name", name, **meeting) for name in ("one", "two")]
    try:
        until(lambda: set(lab.statuses(id).values()) <= {"SUCCEEDED", "FAILED", "CANCELLED"})
    finally:
        for worker in workers:
            end(worker.process)

    found = lab.execution(id)
    assert found["status"] == "SUCCEEDED", [worker.output for worker in workers]
    assert found["endTimestamp"] > found["startTimestamp"]
    for part, keys in zip(parts, awaited, strict=True):
        step = found["by_key"][part.repository]
        assert (step["status"], step["attempt"]) == ("SUCCEEDED", 1)
        log = [(level, message) for _, level, message in lab.log(step["id"])]
        assert [message for level, message in log if level == "INFO"][-1] == "done"
        assert [message.strip() for level, message in log if level == "WARNING"] == [str(2 * len(keys))]
        files = {one["fileName"]: lab.download(one).decode() for one in step["outputs"]["nodes"]}
        assert sorted(files) == ["odtp-output/key.txt", "parameters.json"]
        assert files["odtp-output/key.txt"].endswith(f"{part.repository}\n")
        assert set(keys) <= set(files["odtp-output/key.txt"].split())
    check_used(lab, found["by_key"], {part.repository: keys for part, keys in zip(parts, awaited, strict=True)})
    assert [worker.process.returncode for worker in workers] == [0, 0]
    if parts is CAUSAL:
        assert {step["worker"] for step in found["by_key"].values()} == {"one", "two"}


def check_used(lab: Lab, steps: dict[str, Any], awaited: dict[str, list[str]]) -> None:
    """Each step used exactly the outputs of those that it waited for, by hash; the loader what its parameter names."""
    found = {key: lab.server.ask(USED, {"id": step["id"]})["step"] for key, step in steps.items()}
    for key, keys in awaited.items():
        used = found[key]["used"]["nodes"]
        taken = [output for other in keys for output in found[other]["outputs"]["nodes"]]
        if keys:
            assert {(one["id"], one["sha256"]) for one in used} == {(one["id"], one["sha256"]) for one in taken}
            assert len(used) == len(taken) == 2 * len(keys)
            assert all(one["sha256"] == hashlib.sha256(lab.download(one)).hexdigest() for one in taken)
        else:
            assert [(one["url"], one["version"]) for one in used] == (
                [(LINK, None)] if key == "odtp-eqasim-dataloader" else []
            )
