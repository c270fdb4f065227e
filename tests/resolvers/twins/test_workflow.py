"""Workflows: keeping them, changing them, and running them again and again."""

from typing import Any

import pytest

import documents
from documents.twins.component_version import ParameterDefinition
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from tests.conftest import RoundTrips
from tests.support.asking import ADMIN, WORKER, ask
from tests.support.builders import (
    a_component,
    a_component_version,
    a_named_workflow,
    a_twin,
    a_user,
    everything_kept,
    keep,
)

pytestmark = pytest.mark.usefixtures("database")

WORKFLOW = """workflow { id name description tags public revision owner { id } componentVersions { id }
  steps { key componentVersionId type parameters ports dependsOn inputs } }
  warnings { message path } userErrors { __typename code message path }"""
CREATE = f"mutation($input: CreateWorkflowInput!) {{ createWorkflow(input: $input) {{ {WORKFLOW} }} }}"
UPDATE = f"mutation($input: UpdateWorkflowInput!) {{ updateWorkflow(input: $input) {{ {WORKFLOW} }} }}"
RUN = """mutation($input: CreateExecutionInput!) { createExecution(input: $input) {
  execution { id workflow { id } workflowRevision workflowSchema { componentVersions { id } }
    steps { nodes { key status type parameters ports inputs componentVersion { id } code { commit }
      dependsOn { key } } } }
  warnings { message path } userErrors { code message path } } }"""


class Registry:
    """Two users, a twin of each, and component versions to run."""

    def __init__(self) -> None:
        self.owner, self.other = a_user(), a_user()
        self.twin, self.other_twin = a_twin(self.owner), a_twin(self.other)
        self.loader, self.plotter = a_component(type="interactive"), a_component()
        rows = ParameterDefinition(name="rows", datatype="integer", default_value="10", minimum=1, maximum=100)
        sea = ParameterDefinition(name="sea", datatype="string")
        depth = ParameterDefinition(name="depth", datatype="integer", default_value="3")
        self.load = a_component_version(self.loader, parameters=[rows, sea], secrets=["TOKEN"])
        self.load_2 = a_component_version(
            self.loader, parameters=[rows.model_copy(update={"default_value": "20"}), depth], commit_hash="2" * 40
        )
        self.plot = a_component_version(self.plotter)
        self.old = a_component_version(self.plotter, is_deprecated=True)

    async def begin(self) -> None:
        await keep(self.owner, self.other, self.twin, self.other_twin, self.loader, self.plotter)
        await keep(self.load, self.load_2, self.plot, self.old)

    @property
    def viewer(self) -> Viewer:
        return Viewer(Role.USER, self.owner.id)

    @property
    def stranger(self) -> Viewer:
        return Viewer(Role.USER, self.other.id)

    def steps(self, **of_the_first: Any) -> list[dict[str, Any]]:
        first = {"key": "load", "componentVersionId": self.load.id, "parameters": {"rows": "5"}, **of_the_first}
        return [first, {"key": "plot", "componentVersionId": self.plot.id, "inputs": {"map": [1.0]}}]

    async def create(self, viewer: Viewer | None = None, **given: Any) -> dict[str, Any]:
        given = {"name": "tides", "steps": self.steps(), **given}
        found: dict[str, Any] = (await ask(CREATE, viewer or self.viewer, input=given))["createWorkflow"]
        return found

    async def id_of_new(self, **given: Any) -> str:
        created = await self.create(**given)
        assert created["userErrors"] == []
        id: str = created["workflow"]["id"]
        return id

    async def update(self, id: str, viewer: Viewer | None = None, **given: Any) -> dict[str, Any]:
        found: dict[str, Any] = (await ask(UPDATE, viewer or self.viewer, input={"id": id, **given}))["updateWorkflow"]
        return found

    async def run(self, id: str | None, viewer: Viewer | None = None, **given: Any) -> dict[str, Any]:
        twin = self.other_twin if viewer == self.stranger else self.twin
        given = {"digitalTwinId": twin.id, "title": "a run", "workflowId": id, **given}
        found: dict[str, Any] = (await ask(RUN, viewer or self.viewer, input=given))["createExecution"]
        return found


@pytest.fixture
async def registry(database: Any) -> Registry:
    registry = Registry()
    await registry.begin()
    return registry


def sea(value: str = "North", **more: Any) -> dict[str, Any]:
    """An override that gives what the workflow leaves open."""
    return {"stepKey": "load", "parameters": {"sea": value}, **more}


async def test_a_workflow_is_kept_as_it_was_given(registry: Registry) -> None:
    created = await registry.create(description="Twice a day", tags=["sea", "sea"], public=True)

    assert created["userErrors"] == []
    assert created["workflow"] | {"id": ""} == {
        "id": "",
        "name": "tides",
        "description": "Twice a day",
        "tags": ["sea"],
        "public": True,
        "revision": 1,
        "owner": {"id": registry.owner.id},
        "componentVersions": [{"id": registry.load.id}, {"id": registry.plot.id}],
        "steps": [
            {
                "key": "load",
                "componentVersionId": registry.load.id,
                "type": "INTERACTIVE",
                "parameters": {"rows": 5},
                "ports": [],
                "dependsOn": [],
                "inputs": None,
            },
            {
                "key": "plot",
                "componentVersionId": registry.plot.id,
                "type": "EPHEMERAL",
                "parameters": {},
                "ports": [],
                "dependsOn": ["load"],
                "inputs": {"map": [1.0]},
            },
        ],
    }


async def test_all_that_is_wrong_with_a_workflow_is_told_at_once(registry: Registry) -> None:
    steps = [
        {"componentVersionId": registry.load.id, "parameters": {"rows": 101, "TOKEN": "x"}, "ports": ["1:1"]},
        {"componentVersionId": registry.old.id, "dependsOn": ["nobody"]},
        {"componentVersionId": "release_none"},
    ]

    refused = await registry.create(name=" ", tags=[""], steps=steps)

    assert refused["workflow"] is None
    assert [(error["code"], error["path"][1:]) for error in refused["userErrors"]] == [
        ("VALIDATION", ["name"]),
        ("VALIDATION", ["tags", "0"]),
        ("VALIDATION", ["steps", "0", "parameters", "TOKEN"]),
        ("VALIDATION", ["steps", "0", "parameters", "rows"]),
        ("VALIDATION", ["steps", "0", "ports", "0"]),
        ("VALIDATION", ["steps", "1", "componentVersionId"]),
        ("NOT_FOUND", ["steps", "2", "componentVersionId"]),
        ("VALIDATION", ["steps", "1", "dependsOn", "0"]),
    ]
    assert (await everything_kept())["workflows"] == []


@pytest.mark.parametrize("steps", [[], [{"componentVersionId": "release_none"}] * 1_001])
async def test_a_workflow_has_one_to_a_thousand_steps(registry: Registry, steps: list[Any]) -> None:
    refused = await registry.create(steps=steps)

    (error,) = refused["userErrors"]
    assert error["path"] == ["input", "steps"]
    assert error["message"] == f"1 to 1000 steps are allowed, not {len(steps)}."


async def test_no_two_workflows_of_an_owner_have_one_name(registry: Registry) -> None:
    id = await registry.id_of_new(name="ebbs")
    await registry.id_of_new()
    of_another = await registry.create(viewer=registry.stranger)

    again, renamed = await registry.create(), await registry.update(id, name="tides")

    assert of_another["userErrors"] == []
    for refused in (again, renamed):
        (error,) = refused["userErrors"]
        assert (error["code"], error["path"]) == ("ALREADY_EXISTS", ["input", "name"])


async def test_only_its_owner_changes_a_workflow(registry: Registry) -> None:
    id, private = await registry.id_of_new(public=True), await registry.id_of_new(name="ebbs")
    before = (await everything_kept())["workflows"]

    of_a_stranger = await registry.update(id, registry.stranger, name="mine")
    hidden = await registry.update(private, registry.stranger, name="mine")
    unknown = await registry.update("workflow_none", registry.stranger, name="mine")
    given_away = await registry.update(id, ownerId=registry.other.id)

    assert [error["code"] for error in of_a_stranger["userErrors"]] == ["FORBIDDEN"]
    assert [error["message"] for error in hidden["userErrors"]] == [f"No Workflow with id {private}."]
    assert [error["message"] for error in unknown["userErrors"]] == ["No Workflow with id workflow_none."]
    assert [error["path"] for error in given_away["userErrors"]] == [["input", "ownerId"]]
    assert (await everything_kept())["workflows"] == before


async def test_an_administrator_names_the_owner_of_a_workflow_that_has_none(registry: Registry) -> None:
    ownerless = a_named_workflow(None, registry.plot, public=True)
    await keep(ownerless)

    of_anybody = await registry.update(ownerless.id, name="mine")
    of_an_administrator = await registry.update(ownerless.id, ADMIN, ownerId=registry.owner.id)
    of_the_owner = await registry.update(ownerless.id, name="mine")

    assert [error["message"] for error in of_anybody["userErrors"]] == [
        f"Workflow {ownerless.id} has no owner: an administrator can name one."
    ]
    assert of_an_administrator["workflow"]["owner"] == {"id": registry.owner.id}
    assert (of_the_owner["workflow"]["name"], of_the_owner["workflow"]["revision"]) == ("mine", 3)


async def test_an_update_changes_what_it_names(registry: Registry) -> None:
    id = await registry.id_of_new(description="Twice a day", tags=["sea"])

    nothing = await registry.update(id, name="tides", steps=registry.steps())
    changed = await registry.update(id, description=None, tags=None, steps=registry.steps()[1:], expectedRevision=1)
    stale = await registry.update(id, name="ebbs", expectedRevision=1)
    taken_away = await registry.update(id, name=None, public=None, steps=None)

    assert nothing["workflow"]["revision"] == 1
    assert changed["workflow"]["revision"] == 2
    assert (changed["workflow"]["name"], changed["workflow"]["description"], changed["workflow"]["tags"]) == (
        "tides",
        None,
        [],
    )
    assert [step["key"] for step in changed["workflow"]["steps"]] == ["plot"]
    assert changed["workflow"]["componentVersions"] == [{"id": registry.plot.id}]
    assert [error["code"] for error in stale["userErrors"]] == ["REVISION_CONFLICT"]
    assert [error["path"][1] for error in taken_away["userErrors"]] == ["name", "public", "steps"]


async def test_workflows_stand_where_they_are_looked_for(registry: Registry, round_trips: RoundTrips) -> None:
    public, private = await registry.id_of_new(public=True, tags=["sea"]), await registry.id_of_new(name="ebbs")
    await registry.run(public, overrides=[sea()])
    query = """query($id: ID!, $user: ID!, $version: ID!) {
      workflow(id: $id) { name }
      node(id: $id) { ... on Workflow { name } }
      workflows(orderBy: {field: NAME}) { nodes { name executions { nodes { title } } } }
      found: workflows(where: {tag: {eq: "sea"}, componentVersionId: {eq: $version}}) { nodes { id } }
      user(id: $user) { workflows { nodes { name owner { id } } } }
      executions(where: {workflowId: {eq: $id}}) { nodes { title workflow { name } } } }"""
    asked = {"id": public, "user": registry.owner.id, "version": registry.load.id}

    mine = await ask(query, registry.viewer, **asked)
    anonymous = await ask(query, ANONYMOUS, **asked)
    hidden = await ask("query($id: ID!) { workflow(id: $id) { name } }", registry.stranger, id=private)
    with round_trips.counting() as seen:
        await ask("{ users { nodes { workflows { nodes { executions { nodes { title } } } } } } }", registry.viewer)

    assert mine == {
        "workflow": {"name": "tides"},
        "node": {"name": "tides"},
        "workflows": {
            "nodes": [
                {"name": "ebbs", "executions": {"nodes": []}},
                {"name": "tides", "executions": {"nodes": [{"title": "a run"}]}},
            ]
        },
        "found": {"nodes": [{"id": public}]},
        "user": {
            "workflows": {
                "nodes": [
                    {"name": "tides", "owner": {"id": registry.owner.id}},
                    {"name": "ebbs", "owner": {"id": registry.owner.id}},
                ]
            }
        },
        "executions": {"nodes": [{"title": "a run", "workflow": {"name": "tides"}}]},
    }
    assert anonymous["workflows"]["nodes"] == [{"name": "tides", "executions": {"nodes": []}}]
    assert anonymous["executions"]["nodes"] == []
    assert hidden == {"workflow": None}
    assert seen == [("find", "users"), ("find", "workflows"), ("find", "executions")]


async def test_an_execution_copies_its_workflow(registry: Registry) -> None:
    id = await registry.id_of_new()

    created = await registry.run(id, overrides=[sea("Baltic", ports=["8501:8501"])])

    assert created["userErrors"] == []
    assert created["execution"] | {"id": ""} == {
        "id": "",
        "workflow": {"id": id},
        "workflowRevision": 1,
        "workflowSchema": {"componentVersions": [{"id": registry.load.id}, {"id": registry.plot.id}]},
        "steps": {
            "nodes": [
                {
                    "key": "load",
                    "status": "READY",
                    "type": "INTERACTIVE",
                    "parameters": {"rows": 5, "sea": "Baltic"},
                    "ports": ["8501:8501"],
                    "inputs": None,
                    "componentVersion": {"id": registry.load.id},
                    "code": [{"commit": registry.load.commit_hash}],
                    "dependsOn": [],
                },
                {
                    "key": "plot",
                    "status": "PENDING",
                    "type": "EPHEMERAL",
                    "parameters": {},
                    "ports": [],
                    "inputs": {"map": [1.0]},
                    "componentVersion": {"id": registry.plot.id},
                    "code": [{"commit": registry.plot.commit_hash}],
                    "dependsOn": [{"key": "load"}],
                },
            ]
        },
    }


async def test_changing_a_workflow_changes_no_execution(registry: Registry) -> None:
    id = await registry.id_of_new()
    first = await registry.run(id, overrides=[sea()])
    before = (await everything_kept())["steps"]

    await registry.update(id, name="ebbs", steps=registry.steps(parameters={"rows": 6, "sea": "Red"}))
    second = await registry.run(id, title="again")

    assert [row for row in (await everything_kept())["steps"] if row["executionRef"] == first["execution"]["id"]] == (
        before
    )
    assert second["execution"]["workflowRevision"] == 2
    assert second["execution"]["steps"]["nodes"][0]["parameters"] == {"rows": 6, "sea": "Red"}


async def test_another_version_runs_with_what_it_takes_of_the_workflows_values(registry: Registry) -> None:
    id = await registry.id_of_new(steps=registry.steps(parameters={"rows": 5, "sea": "North"}))
    override = {"stepKey": "load", "componentVersionId": registry.load_2.id}

    created = await registry.run(id, overrides=[override])

    assert created["userErrors"] == []
    message = f'Version {registry.load_2.version} does not take "sea", unlike the previous version; it is left out.'
    assert created["warnings"] == [{"message": message, "path": ["input", "overrides", "0", "componentVersionId"]}]
    step = created["execution"]["steps"]["nodes"][0]
    assert step["parameters"] == {"rows": 5, "depth": 3}
    assert (step["componentVersion"], step["code"]) == ({"id": registry.load_2.id}, [{"commit": "2" * 40}])
    assert created["execution"]["workflowSchema"]["componentVersions"][0] == {"id": registry.load_2.id}


async def test_parameters_that_nobody_declares_are_kept_and_passed_on_with_a_warning(registry: Registry) -> None:
    of_the_workflow = await registry.create(steps=registry.steps(parameters={"row": 1, "sea": "North"}))
    id, version = of_the_workflow["workflow"]["id"], registry.load.version
    created = await registry.run(id, overrides=[{"stepKey": "plot", "parameters": {"colour": "blue"}}])

    nearest = "The most similar one that it declares is rows."
    row = f'Version {version} declares no parameter "row"; its value is passed on unchanged. {nearest}'
    colour = f'Version {registry.plot.version} declares no parameter "colour"; its value is passed on unchanged.'
    assert [one["path"] for one in of_the_workflow["warnings"]] == [["input", "steps", "0", "parameters", "row"]]
    assert [(one["message"], one["path"][1:]) for one in created["warnings"]] == [
        (f"Step load of the workflow: {row}", ["workflowId"]),
        (f"Step plot of the workflow: {colour}", ["overrides", "0", "parameters", "colour"]),
    ]
    steps = created["execution"]["steps"]["nodes"]
    assert [step["parameters"] for step in steps] == [{"rows": 10, "sea": "North", "row": 1}, {"colour": "blue"}]


async def test_what_is_wrong_with_overrides_is_told_where_they_are(registry: Registry) -> None:
    id = await registry.id_of_new()
    overrides = [
        {"stepKey": "load", "componentVersionId": registry.plot.id},
        {"stepKey": "plot", "parameters": [1]},
        {"stepKey": "nobody"},
    ]

    wrong = await registry.run(id, overrides=overrides)
    twice = await registry.run(id, overrides=[sea(), sea()])
    unfit = await registry.run(id, overrides=[{"stepKey": "load", "parameters": {"rows": 0}}])
    unsaid = await registry.run(id)

    assert [error["path"][1:] for error in wrong["userErrors"]] == [
        ["overrides", "0", "componentVersionId"],
        ["overrides", "1", "parameters"],
        ["overrides", "2", "stepKey"],
    ]
    assert [error["message"] for error in twice["userErrors"]] == ["Step load is overridden twice."]
    assert [(error["message"], error["path"][1:]) for error in unfit["userErrors"]] == [
        ("Step load of the workflow: rows must be at least 1, not 0.", ["overrides", "0", "parameters", "rows"]),
        (
            "Step load of the workflow: sea has no default, so a value must be given.",
            ["overrides", "0", "parameters", "sea"],
        ),
    ]
    assert [(error["message"], error["path"][1:]) for error in unsaid["userErrors"]] == [
        ("Step load of the workflow: sea has no default, so a value must be given.", ["workflowId"])
    ]
    assert (await everything_kept())["executions"] == []


async def test_a_version_that_was_deprecated_since_is_not_run(registry: Registry) -> None:
    workflow = a_named_workflow(registry.owner, registry.old)
    await keep(workflow)

    refused = await registry.run(workflow.id)
    created = await registry.run(workflow.id, overrides=[{"stepKey": "0", "componentVersionId": registry.plot.id}])

    message = f"Step 0 of the workflow: ComponentVersion {registry.old.id} ({registry.old.version}) is deprecated; "
    assert [error["message"] for error in refused["userErrors"]] == [f"{message}choose another version."]
    assert created["userErrors"] == []


async def test_steps_and_a_workflow_exclude_each_other(registry: Registry) -> None:
    id = await registry.id_of_new()

    both = await registry.run(id, steps=[{"componentVersionId": registry.plot.id}])
    neither = await registry.run(None)
    without = await registry.run(None, steps=[{"componentVersionId": registry.plot.id}], overrides=[sea()])

    assert [error["path"] for error in both["userErrors"]] == [["input", "steps"]]
    assert [error["path"] for error in neither["userErrors"]] == [["input", "steps"]]
    assert [error["path"] for error in without["userErrors"]] == [["input", "overrides"]]


async def test_a_public_workflow_is_run_by_anybody_and_a_private_one_does_not_exist(registry: Registry) -> None:
    public, private = await registry.id_of_new(public=True), await registry.id_of_new(name="ebbs")

    created = await registry.run(public, registry.stranger, overrides=[sea()])
    hidden = await registry.run(private, registry.stranger)
    unknown = await registry.run("workflow_none", registry.stranger)
    await registry.update(public, public=False)
    (execution,) = (
        await ask("{ executions { nodes { workflow { id } workflowRevision title } } }", registry.stranger)
    )["executions"]["nodes"]

    assert created["userErrors"] == []
    assert [error["message"] for error in hidden["userErrors"]] == [f"No Workflow with id {private}."]
    assert [error["message"] for error in unknown["userErrors"]] == ["No Workflow with id workflow_none."]
    assert execution == {"workflow": None, "workflowRevision": 1, "title": "a run"}


async def test_users_alone_keep_workflows(registry: Registry) -> None:
    of_a_worker = await registry.create(WORKER)
    for_another = await registry.create(ownerId=registry.other.id)
    by_an_administrator = await registry.create(ADMIN, ownerId=registry.owner.id)

    assert [error["code"] for error in of_a_worker["userErrors"]] == ["FORBIDDEN"]
    assert [error["path"] for error in for_another["userErrors"]] == [["input", "ownerId"]]
    assert by_an_administrator["workflow"]["owner"] == {"id": registry.owner.id}


async def test_a_dry_run_of_a_workflow_keeps_nothing(registry: Registry) -> None:
    id = await registry.id_of_new()

    created = await registry.run(id, overrides=[sea()], dryRun=True)

    assert created == {"execution": None, "warnings": [], "userErrors": []}
    assert await documents.Execution.count() == 0
