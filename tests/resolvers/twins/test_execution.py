"""Asking for executions, as a script does."""

import asyncio
import json
from typing import Any

import pytest

import documents
from documents.twins.component_version import ParameterDefinition, PortDefinition
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from tests.conftest import RoundTrips
from tests.support.asking import ADMIN, WORKER, ask
from tests.support.builders import (
    COMMIT,
    a_component,
    a_component_version,
    a_twin,
    a_user,
    an_execution,
    everything_kept,
    keep,
)

pytestmark = pytest.mark.usefixtures("database")

CREATE = """mutation($input: CreateExecutionInput!) { createExecution(input: $input) {
  execution { id title description tags status revision startTimestamp parent { id } digitalTwin { id }
    workflowSchema { executor executorVersion executorSchema componentVersions { id } }
    steps(first: 100) { totalCount nodes { id key ordinal type status attempt worker parameters ports inputs
      code { repository path commit } componentVersion { id } dependsOn { key } dependents { key } } } }
  warnings { message path } userErrors { __typename code message path } } }"""


class Registry:
    """A twin of the viewer's, and component versions to run for it."""

    def __init__(self) -> None:
        self.owner = a_user()
        self.twin = a_twin(self.owner)
        self.viewer = Viewer(Role.USER, self.owner.id)
        self.loader = a_component(repo_link="https://code.example/loader", type="interactive")
        self.load = a_component_version(
            self.loader,
            version="v1",
            parameters=[
                ParameterDefinition(name="rows", datatype="integer", default_value="10", minimum=1, maximum=100),
                ParameterDefinition(name="from", datatype="string"),
            ],
            ports=[PortDefinition(name="page", container_port=8501)],
            secrets=["TOKEN"],
        )
        self.plotter = a_component(repo_link="https://code.example/plotter")
        self.plot = a_component_version(self.plotter)
        self.old = a_component_version(self.plotter, version="v0", is_deprecated=True)

    async def begin(self) -> None:
        await keep(self.owner, self.twin, self.loader, self.load, self.plotter, self.plot, self.old)

    def a_load(self, **given: Any) -> dict[str, Any]:
        return {"componentVersionId": self.load.id, "parameters": {"from": "sea"}, **given}

    def a_plot(self, **given: Any) -> dict[str, Any]:
        return {"componentVersionId": self.plot.id, **given}

    def with_token(self, number: int) -> Viewer:
        """The owner with another token: calls with the same one take turns, and so never meet in the database."""
        return Viewer(Role.USER, self.owner.id, f"token_{number}")

    async def create(self, *steps: dict[str, Any], viewer: Viewer | None = None, **given: Any) -> dict[str, Any]:
        given = {"digitalTwinId": self.twin.id, "title": "tides", "steps": list(steps), **given}
        found: dict[str, Any] = (await ask(CREATE, viewer or self.viewer, input=given))["createExecution"]
        return found


@pytest.fixture
async def registry(database: Any) -> Registry:
    registry = Registry()
    await registry.begin()
    return registry


def codes(found: dict[str, Any]) -> list[tuple[str, str]]:
    """The code of each refusal and its path into the input."""
    return [(error["code"], ".".join(error["path"][1:])) for error in found["userErrors"]]


async def test_an_execution_is_kept_with_its_steps_and_everything_frozen(registry: Registry) -> None:
    found = await registry.create(
        registry.a_load(ports=["8502:8501"], parameters={"from": "sea", "rows": "20"}, inputs={"a.b": [1.0, None]}),
        registry.a_plot(key="plot", type="PERSISTENT"),
        description="High\nand low",
        tags=["sea", "sea"],
    )

    assert found["userErrors"] == []
    execution = found["execution"]
    assert execution.pop("id").startswith("execution_")
    steps = execution.pop("steps")
    assert execution == {
        "title": "tides",
        "description": "High\nand low",
        "tags": ["sea"],
        "status": "READY",
        "revision": 1,
        "startTimestamp": None,
        "parent": None,
        "digitalTwin": {"id": registry.twin.id},
        "workflowSchema": {
            "executor": "provenance-graph",
            "executorVersion": "1",
            "executorSchema": None,
            "componentVersions": [{"id": registry.load.id}, {"id": registry.plot.id}],
        },
    }
    assert all(step.pop("id").startswith("step_") for step in steps["nodes"])
    new = {"attempt": 0, "worker": None}
    assert steps == {
        "totalCount": 2,
        "nodes": [
            {
                "key": "0",
                "ordinal": 0,
                "type": "INTERACTIVE",
                "status": "READY",
                "parameters": {"rows": 20, "from": "sea"},
                "ports": ["8502:8501"],
                "inputs": {"a.b": [1.0, None]},
                "code": [{"repository": "https://code.example/loader", "path": None, "commit": COMMIT}],
                "componentVersion": {"id": registry.load.id},
                "dependsOn": [],
                "dependents": [{"key": "plot"}],
            }
            | new,
            {
                "key": "plot",
                "ordinal": 1,
                "type": "PERSISTENT",
                "status": "PENDING",
                "parameters": {},
                "ports": [],
                "inputs": None,
                "code": [{"repository": "https://code.example/plotter", "path": None, "commit": COMMIT}],
                "componentVersion": {"id": registry.plot.id},
                "dependsOn": [{"key": "0"}],
                "dependents": [],
            }
            | new,
        ],
    }


async def test_steps_of_a_graph_wait_for_those_they_name(registry: Registry) -> None:
    found = await registry.create(
        registry.a_plot(key="join", dependsOn=["left", "right"]),
        registry.a_plot(key="left"),
        registry.a_plot(key="right", dependsOn=[]),
    )

    shown = [
        (step["key"], step["status"], [one["key"] for one in step["dependsOn"]])
        for step in found["execution"]["steps"]["nodes"]
    ]
    assert shown == [("join", "PENDING", ["left", "right"]), ("left", "READY", []), ("right", "READY", [])]


async def test_what_follows_a_twin_is_as_public_as_the_twin(registry: Registry) -> None:
    public = a_twin(registry.owner, public=True)
    await keep(public)

    hidden = await registry.create(registry.a_plot())
    shown = await registry.create(registry.a_plot(), digitalTwinId=public.id)

    query = "query($id: ID!) { node(id: $id) { ... on Execution { steps { totalCount } } } }"
    assert await ask(query, ANONYMOUS, id=hidden["execution"]["id"]) == {"node": None}
    assert await ask(query, ANONYMOUS, id=shown["execution"]["id"]) == {"node": {"steps": {"totalCount": 1}}}
    steps = (await everything_kept())["steps"]
    assert {(step["ownerRef"], step["public"]) for step in steps} == {
        (registry.owner.id, False),
        (registry.owner.id, True),
    }


async def test_everything_that_is_wrong_is_told_at_once_with_its_path_and_nothing_is_stored(registry: Registry) -> None:
    await keep(an_execution(registry.twin, title="tides"))
    before = await everything_kept()

    found = await registry.create(
        registry.a_load(
            parameters={"rows": 101, "TOKEN": "hunter2", "x": 1, " ": 1}, ports=["80:80", "8501:8501", "1:8501"]
        ),
        {"componentVersionId": registry.old.id},
        {"componentVersionId": "release_ffffffffffffffffffffffff"},
        registry.a_plot(key="a", dependsOn=["b", "nobody"]),
        registry.a_plot(key="b", dependsOn=["a"]),
        registry.a_plot(key="a", parameters=[1]),
        tags=["two\nlines"],
        workflowExecutor=" ",
        workflowExecutorVersion="",
    )

    assert codes(found) == [
        ("VALIDATION", "tags.0"),
        ("VALIDATION", "workflowExecutor"),
        ("VALIDATION", "workflowExecutorVersion"),
        ("VALIDATION", "steps.0.parameters.rows"),
        ("VALIDATION", "steps.0.parameters.from"),
        ("VALIDATION", "steps.0.parameters.TOKEN"),
        ("VALIDATION", "steps.0.parameters. "),
        ("VALIDATION", "steps.0.ports.0"),
        ("VALIDATION", "steps.0.ports.2"),
        ("VALIDATION", "steps.1.componentVersionId"),
        ("NOT_FOUND", "steps.2.componentVersionId"),
        ("VALIDATION", "steps.5.parameters"),
        ("VALIDATION", "steps.5.key"),
        ("VALIDATION", "steps.3.dependsOn.1"),
        ("VALIDATION", "steps.3.dependsOn"),
    ]
    assert "hunter2" not in str(found)
    assert found["userErrors"][-1]["message"] == "Steps wait for each other: a → b → a."
    assert found["execution"] is None
    assert await everything_kept() == before


@pytest.mark.parametrize(
    ("port", "taken"),
    [
        ("8501:8501", True),
        ("10:8501", True),
        ("65535:8501", True),
        ("65536:8501", False),
        ("00:8501", False),
        ("8501", False),
        ("8501:8501x", False),
        ("123456:8501", False),
        ("8501:8502", False),
        ("８５:8501", False),
        ("-1:8501", False),
    ],
)
async def test_a_port_maps_one_that_the_container_listens_on(registry: Registry, port: str, taken: bool) -> None:
    found = await registry.create(registry.a_load(ports=[port]))

    assert codes(found) == ([] if taken else [("VALIDATION", "steps.0.ports.0")])


async def test_ports_of_a_version_that_describes_none_are_free_but_for_the_same_host_port_twice(
    registry: Registry,
) -> None:
    assert codes(await registry.create(registry.a_plot(ports=["80:8080", "080:9090"]))) == [
        ("VALIDATION", "steps.0.ports.1")
    ]
    assert codes(await registry.create(registry.a_plot(ports=["80:8080", "81:8080"]))) == []


async def test_a_dry_run_tells_the_same_errors_and_stores_nothing_not_even_its_key(registry: Registry) -> None:
    before = await everything_kept()

    good = await registry.create(registry.a_load(), dryRun=True, idempotencyKey="k")
    bad = await registry.create(registry.a_load(parameters={}), dryRun=True, title="\n")

    assert good == {"execution": None, "warnings": [], "userErrors": []}
    assert codes(bad) == [("VALIDATION", "title"), ("VALIDATION", "steps.0.parameters.from")]
    assert await everything_kept() == before
    assert codes(await registry.create(registry.a_load(), idempotencyKey="k")) == []


async def test_only_the_owner_and_administrators_run_something_for_a_twin(registry: Registry) -> None:
    public = a_twin(registry.owner, public=True)
    await keep(public, other := a_user())
    stranger = Viewer(Role.USER, other.id)
    before = await everything_kept()
    step = registry.a_plot()

    assert codes(await registry.create(step, viewer=ANONYMOUS)) == [("FORBIDDEN", "")]
    assert codes(await registry.create(step, viewer=WORKER)) == [("FORBIDDEN", "")]
    assert codes(await registry.create(step, viewer=stranger)) == [("NOT_FOUND", "digitalTwinId")]
    assert codes(await registry.create(step, viewer=stranger, digitalTwinId=public.id)) == [
        ("FORBIDDEN", "digitalTwinId")
    ]
    assert await everything_kept() == before
    assert codes(await registry.create(step, viewer=ADMIN)) == []


async def test_a_title_is_unique_among_the_executions_of_a_twin(registry: Registry) -> None:
    other = a_twin(registry.owner)
    await keep(other)
    await registry.create(registry.a_plot())
    before = await everything_kept()

    again = await registry.create(registry.a_plot(), title=" tides ")

    assert codes(again) == [("ALREADY_EXISTS", "title")]
    assert await everything_kept() == before
    assert codes(await registry.create(registry.a_plot(), digitalTwinId=other.id)) == []


async def test_of_racing_executions_with_one_title_one_is_made(registry: Registry) -> None:
    found = await asyncio.gather(
        *(registry.create(registry.a_plot(), registry.a_plot(), viewer=registry.with_token(n)) for n in range(6))
    )

    assert sorted(codes(one) for one in found) == [[], *[[("ALREADY_EXISTS", "title")]] * 5]
    kept = await everything_kept()
    assert (len(kept["executions"]), len(kept["steps"])) == (1, 2)


async def test_racing_executions_with_titles_of_their_own_are_all_made(registry: Registry) -> None:
    found = await asyncio.gather(
        *(registry.create(registry.a_plot(), title=f"t{n}", viewer=registry.with_token(n // 2)) for n in range(8))
    )

    assert [codes(one) for one in found] == [[]] * 8
    assert len((await everything_kept())["executions"]) == 8


async def test_an_execution_made_while_its_twin_is_published_is_as_public_as_the_twin(registry: Registry) -> None:
    publish = "mutation($id: ID!, $public: Boolean!) { updateDigitalTwin(input: {id: $id, public: $public}) {"
    publish += " userErrors { code } } }"

    for n in range(8):
        shown = n % 2 == 0
        _, found = await asyncio.gather(
            ask(publish, registry.viewer, id=registry.twin.id, public=shown),
            registry.create(registry.a_plot(), title=f"t{n}"),
        )
        assert codes(found) == []
        kept = await everything_kept()
        assert {one["public"] for one in (*kept["executions"], *kept["steps"])} == {shown}


async def test_the_same_key_with_the_same_input_answers_with_the_first_execution(registry: Registry) -> None:
    first, second = await asyncio.gather(*(registry.create(registry.a_plot(), idempotencyKey="k") for _ in range(2)))
    other = await registry.create(registry.a_plot(), registry.a_plot(), idempotencyKey="k")

    assert first["execution"]["id"] == second["execution"]["id"]
    assert codes(other) == [("IDEMPOTENCY_MISMATCH", "idempotencyKey")]
    assert len((await everything_kept())["steps"]) == 1


async def test_an_execution_needs_steps_and_takes_a_thousand(registry: Registry) -> None:
    assert codes(await registry.create()) == [("VALIDATION", "steps")]
    assert codes(await registry.create(*[registry.a_plot()] * 1001)) == [("LIMIT_EXCEEDED", "steps")]

    found = await registry.create(*[registry.a_plot()] * 1000)

    assert codes(found) == []
    kept = (await everything_kept())["steps"]
    assert [step["status"] for step in kept].count("READY") == 1
    by_ordinal = sorted(kept, key=lambda step: int(step["ordinal"]))
    assert [step["dependsOn"] for step in by_ordinal[1:]] == [[step["_id"]] for step in by_ordinal[:-1]]


async def test_parameters_and_inputs_are_bounded_one_by_one_and_all_together(registry: Registry) -> None:
    large = "x" * 99_000
    most = [registry.a_load(parameters={"from": large}) for _ in range(81)]
    before = await everything_kept()

    too_large = await registry.create(registry.a_load(parameters={"from": large * 2}, inputs=[large * 2]))
    too_much = await registry.create(*most)

    assert codes(too_large) == [("VALIDATION", "steps.0.parameters"), ("VALIDATION", "steps.0.inputs")]
    assert codes(too_much) == [("LIMIT_EXCEEDED", "steps")]
    assert await everything_kept() == before


LISTS = "query($id: ID!) { node(id: $id) { ... on Step { parameterList { name value declared } } } }"


async def test_what_a_version_does_not_declare_is_frozen_marked_and_warned_of(registry: Registry) -> None:
    steps = [registry.a_plot(), registry.a_load(parameters={"form": {"a": [1.50]}, "from": "sea", "ODTP_RESULT": "r"})]
    warnings = [
        {
            "message": 'Version v1 declares no parameter "form"; its value is passed on unchanged. '
            "The most similar one that it declares is from.",
            "path": ["input", "steps", "1", "parameters", "form"],
        }
    ]

    dry = await registry.create(*steps, dryRun=True)
    found = await registry.create(*steps, idempotencyKey="k")
    again = await registry.create(*steps, idempotencyKey="k")

    assert dry == {"execution": None, "warnings": warnings, "userErrors": []}
    assert (found["warnings"], found["userErrors"]) == (warnings, [])
    assert again == found
    plot, load = found["execution"]["steps"]["nodes"]
    assert load["parameters"] == {"rows": 10, "from": "sea", "form": {"a": [1.5]}, "ODTP_RESULT": "r"}
    assert (await ask(LISTS, registry.viewer, id=load["id"]))["node"]["parameterList"] == [
        {"name": "rows", "value": 10, "declared": True},
        {"name": "from", "value": "sea", "declared": True},
        {"name": "form", "value": {"a": [1.5]}, "declared": False},
        {"name": "ODTP_RESULT", "value": "r", "declared": True},
    ]
    assert (await ask(LISTS, registry.viewer, id=plot["id"]))["node"] == {"parameterList": []}


async def test_the_versions_of_all_steps_are_read_once_for_their_lists(
    registry: Registry, round_trips: RoundTrips
) -> None:
    await registry.create(registry.a_plot(), registry.a_load(), registry.a_load(parameters={"x": None, "from": "sea"}))

    with round_trips.counting() as seen:
        found = await ask(
            "{ executions { nodes { steps { nodes { parameterList { declared } } } } } }", registry.viewer
        )

    (execution,) = found["executions"]["nodes"]
    assert [len(step["parameterList"]) for step in execution["steps"]["nodes"]] == [0, 2, 3]
    assert seen == [("find", "executions"), ("find", "steps"), ("find", "versions")]


async def test_parameters_are_kept_as_json_whatever_their_names(registry: Registry) -> None:
    odd = a_component_version(
        registry.plotter,
        parameters=[ParameterDefinition(name=name, datatype="string") for name in ("$where", "a.b", "")],
    )
    await keep(odd)

    found = await registry.create(
        {"componentVersionId": odd.id, "parameters": {"$where": "1", "a.b": "é\u0000", "": "{}"}}
    )

    (step,) = (await everything_kept())["steps"]
    assert json.loads(step["parameters"]) == {"$where": "1", "a.b": "é\u0000", "": "{}"}
    assert found["execution"]["steps"]["nodes"][0]["parameters"] == json.loads(step["parameters"])


async def test_deprecating_a_version_later_changes_nothing_of_what_runs(registry: Registry) -> None:
    found = await registry.create(registry.a_plot())
    (before,) = (await everything_kept())["steps"]

    deprecate = "mutation($id: ID!) { deprecateComponentVersion(input: {id: $id}) { userErrors { code } } }"
    await ask(deprecate, ADMIN, id=registry.plot.id)

    assert (await everything_kept())["steps"] == [before]
    assert documents.Execution.kind == found["execution"]["id"].split("_")[0]
    assert codes(await registry.create(registry.a_plot(), title="later")) == [
        ("VALIDATION", "steps.0.componentVersionId")
    ]
