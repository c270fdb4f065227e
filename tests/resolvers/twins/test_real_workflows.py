"""The workflows of real digital twins, made from their own component versions and parameter files."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from resolvers.access.viewer import Role, Viewer
from tests.support.asking import WORKER, ask
from tests.support.builders import a_twin, a_user, everything_kept, keep
from tests.support.needs import need_shared_data

pytestmark = pytest.mark.usefixtures("database")

INGEST = """mutation($input: IngestComponentInput!) { ingestComponent(input: $input) {
  componentVersion { id parameters { name } } userErrors { message } } }"""
CREATE = """mutation($input: CreateExecutionInput!) { createExecution(input: $input) {
  execution { id steps(first: 100) { nodes { key status parameters ports type code { repository commit }
    dependsOn { key } componentVersion { version secrets } parameterList { name value declared } } } }
  warnings { path message } userErrors { code path message } } }"""


class Part(NamedTuple):
    """A step of a workflow: the component version that runs, and the file of its parameters."""

    repository: str
    version: str
    parameters: str = ""


EXAMPLE = [
    Part("odtp-component-example", "v0.1.8", "dt-example/dt-example/001.parameters"),
    Part("odtp-travel-data-dashboard", "v0.1.6", "dt-example/dt-example/002.parameters"),
]
CORSICA = [
    Part("odtp-eqasim-dataloader", "v0.4.0", "dt-corsica-mobility/parameters/001.parameters"),
    Part("odtp-eqasim", "v0.4.6", "dt-corsica-mobility/parameters/002.parameters"),
    Part("odtp-eqasim-matsim", "v0.1.6", "dt-corsica-mobility/parameters/003.parameters"),
    Part("odtp-travel-data-dashboard", "v0.1.6", "dt-corsica-mobility/parameters/004.parameters"),
]
CAUSAL_PARAMETERS = "dt-mobility-causal-intervention/parameters"
CAUSAL = [
    Part("odtp-sql-dataloader", "v0.1.1", f"{CAUSAL_PARAMETERS}/001_odtp-sql-dataloader.parameters"),
    Part("odtp-postgis-dataloader", "v0.1.0", f"{CAUSAL_PARAMETERS}/002_odtp-postgis-dataloader.parameters"),
    Part("odtp-mobility-simulation", "v0.1.0", f"{CAUSAL_PARAMETERS}/003_odtp-mobility-simulation.parameters"),
    Part("odtp-mobility-metrics", "v0.0.1", f"{CAUSAL_PARAMETERS}/004_odtp-mobility-metrics.parameters"),
    Part(
        "odtp-next-location-prediction", "v0.0.4", f"{CAUSAL_PARAMETERS}/005_odtp-next-location-prediction.parameters"
    ),
    Part("odtp-pygwalker", "v0.1.6"),
]


class Workflow:
    """A real workflow whose component versions are registered, and a twin to run it for."""

    def __init__(self, data: Path, parts: list[Part]) -> None:
        self.data, self.parts = data, parts
        self.owner = a_user()
        self.twin = a_twin(self.owner)
        self.steps: list[dict[str, Any]] = []

    async def begin(self) -> None:
        await keep(self.owner, self.twin)
        for part in self.parts:
            file = self.data / "yml" / f"odtp-org__{part.repository}@{part.version}.odtp.yml"
            given = {
                "repoLink": f"https://github.com/odtp-org/{part.repository}",
                "commitHash": f"{len(part.repository):040x}",
                "version": part.version,
                "odtpYml": file.read_text(encoding="utf-8"),
            }
            found = (await ask(INGEST, WORKER, input=given))["ingestComponent"]
            assert found["userErrors"] == []
            step = {"key": part.repository, "componentVersionId": found["componentVersion"]["id"]}
            self.steps.append(step | {"parameters": self.parameters(part)})

    def parameters(self, part: Part) -> dict[str, str]:
        """The values of a parameters file, all of them texts."""
        if not part.parameters:
            return {}
        text = (self.data / "workflows" / part.parameters).read_text(encoding="utf-8")
        return {name: value.strip('"') for name, value in re.findall(r"^(\w+)=(.*?)\s*$", text, re.MULTILINE)}

    async def create(self, **given: Any) -> dict[str, Any]:
        given = {"digitalTwinId": self.twin.id, "title": "real", "steps": self.steps, **given}
        found: dict[str, Any] = await ask(CREATE, Viewer(Role.USER, self.owner.id), input=given)
        payload: dict[str, Any] = found["createExecution"]
        return payload


async def a_workflow(parts: list[Part]) -> Workflow:
    workflow = Workflow(need_shared_data() / "odtp", parts)
    await workflow.begin()
    return workflow


def undeclared(steps: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    """The names that the version of each step does not declare."""
    lists = {key: step["parameterList"] for key, step in steps.items()}
    assert all({one["name"]: one["value"] for one in lists[key]} == steps[key]["parameters"] for key in lists)
    found = {key: [one["name"] for one in some if not one["declared"]] for key, some in lists.items()}
    return {key: names for key, names in found.items() if names}


def by_key(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    assert found["userErrors"] == []
    return {step["key"]: step for step in found["execution"]["steps"]["nodes"]}


async def test_the_example_of_two_steps_is_created_as_it_is() -> None:
    workflow = await a_workflow(EXAMPLE)

    steps = by_key(await workflow.create())

    assert [(step["status"], [one["key"] for one in step["dependsOn"]]) for step in steps.values()] == [
        ("READY", []),
        ("PENDING", ["odtp-component-example"]),
    ]
    assert steps["odtp-component-example"]["parameters"] == {
        "HF_DATASET": "rotten_tomatoes",
        "ODTP_LOGS_IN_DB": "TRUE",
        "ODTP_LOG_PAGE_SIZE": "20",
    }
    assert steps["odtp-travel-data-dashboard"]["parameters"]["DATA_INPUT_OPTION"] == "ORIGINAL_DATA"


async def test_corsica_is_created_as_the_graph_and_the_ports_that_its_own_file_describes() -> None:
    workflow = await a_workflow(CORSICA)
    file = workflow.data / "workflows/dt-corsica-mobility/odtp.yml"
    described = yaml.safe_load(file.read_text(encoding="utf-8"))
    for step, said in zip(workflow.steps, described["steps"], strict=True):
        assert step["key"] == said["step-name"]
        step["dependsOn"] = said["depends_on"]
    (port,) = described["ports"]
    workflow.steps[3]["ports"] = [f"{port['host-port']}:{port['container-port']}"]

    created = await workflow.create()

    steps = by_key(created)
    assert [warning["path"][2:] for warning in created["warnings"]] == [
        # The component version declares LINK both as a parameter and as a secret.
        ["0", "parameters", "LINK"],
        ["3", "parameters", "output_id"],
    ]
    assert undeclared(steps) == {"odtp-travel-data-dashboard": ["output_id"]}
    assert [[one["key"] for one in step["dependsOn"]] for step in steps.values()] == [
        [],
        ["odtp-eqasim-dataloader"],
        ["odtp-eqasim"],
        ["odtp-eqasim-matsim"],
    ]
    assert steps["odtp-travel-data-dashboard"]["ports"] == ["8502:8501"]
    eqasim = steps["odtp-eqasim"]["parameters"]
    assert [eqasim[name] for name in ("processes", "sampling_rate", "java_memory", "hafas_date")] == [
        4,
        0.001,
        "8G",
        "01.10.2018",
    ]
    link = "https://drive.switch.ch/index.php/s/COCq6UaK5b4bs7W"
    assert steps["odtp-eqasim-dataloader"]["parameters"] == {"LINK": link}
    assert steps["odtp-eqasim-dataloader"]["componentVersion"]["secrets"] == ["LINK"]


async def test_causal_intervention_is_created_with_its_six_steps_and_both_loaders_at_once() -> None:
    workflow = await a_workflow(CAUSAL)
    services = yaml.safe_load(
        (workflow.data / "workflows/dt-mobility-causal-intervention/docker-compose.yml").read_text(encoding="utf-8")
    )["services"]
    for step in workflow.steps:
        step["dependsOn"] = list(services[step["key"]].get("depends_on", {}))
    # The two loaders need nothing of each other.
    workflow.steps[1]["dependsOn"] = []
    workflow.steps[2]["dependsOn"] = ["odtp-sql-dataloader", "odtp-postgis-dataloader"]
    workflow.steps[5]["ports"] = services["odtp-pygwalker"]["ports"]

    created = await workflow.create()

    steps = by_key(created)
    assert [(warning["path"][2], warning["path"][4]) for warning in created["warnings"]] == [
        ("2", "SIMULATED"),
        ("3", "DATASET"),
        ("3", "ALL_BASIC_METRICS"),
        ("4", "RUN_NAME"),
    ]
    assert undeclared(steps) == {
        "odtp-mobility-simulation": ["SIMULATED"],
        "odtp-mobility-metrics": ["DATASET", "ALL_BASIC_METRICS"],
        "odtp-next-location-prediction": ["RUN_NAME"],
    }
    assert [step["status"] for step in steps.values()] == ["READY", "READY", *["PENDING"] * 4]
    assert [one["key"] for one in steps["odtp-mobility-simulation"]["dependsOn"]] == [
        "odtp-sql-dataloader",
        "odtp-postgis-dataloader",
    ]
    assert steps["odtp-sql-dataloader"]["parameters"]["PORT"] == 5432
    assert steps["odtp-sql-dataloader"]["parameters"]["QUERY"] == "SELECT * FROM sensitive.loc_seq"
    prediction = steps["odtp-next-location-prediction"]["parameters"]
    assert [
        prediction[name] for name in ("TRAINING", "BATCH_SIZE", "OPTIMIZER_WEIGHT_DECAY", "OPTIMIZER_PATIENCE")
    ] == [
        False,
        256,
        1e-06,
        3,
    ]
    assert steps["odtp-mobility-metrics"]["parameters"]["RADIUS_OF_GYRATION_METHOD"] == "rg"
    assert {step["code"][0]["repository"] for step in steps.values()} == {
        f"https://github.com/odtp-org/{part.repository}" for part in CAUSAL
    }


async def test_a_password_among_the_parameters_of_a_real_workflow_is_refused_and_kept_nowhere() -> None:
    workflow = await a_workflow(CAUSAL[:1])
    workflow.steps[0]["parameters"]["PASSWORD"] = "hunter2"
    before = await everything_kept()

    found = await workflow.create()

    assert [(error["code"], error["path"][-1]) for error in found["userErrors"]] == [("VALIDATION", "PASSWORD")]
    assert await everything_kept() == before
