"""Running executions again, as their owner does."""

import asyncio
import json
from typing import Any

import pytest

import documents
from documents.activities.activity import ActivityStatus
from documents.twins.component_version import ParameterDefinition, PortDefinition
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from resolvers.limits import MAX_STEPS
from resolvers.reads.rows import collection_of
from tests.support.asking import ADMIN, WORKER, ask
from tests.support.builders import (
    a_component,
    a_component_version,
    a_named_workflow,
    a_step,
    a_twin,
    a_user,
    a_workflow,
    an_execution,
    an_output,
    everything_kept,
    keep,
)

pytestmark = pytest.mark.usefixtures("database")

RERUN = """mutation($input: RerunExecutionInput!) { rerunExecution(input: $input) {
  execution { id title description tags status parent { id } digitalTwin { id }
    workflowSchema { executor componentVersions { id } }
    steps(first: 100) { nodes { id key ordinal type status attempt startedAt parameters ports inputs code { commit }
      componentVersion { id } dependsOn { key execution { id } } reusedFrom { id key outputs { nodes { id } } }
      outputs { nodes { id } } } } }
  warnings { path message }
  userErrors { __typename code message path ... on InvalidState { currentState allowedStates } } } }"""

SUCCEEDED, FAILED, CANCELLED = ActivityStatus.SUCCEEDED, ActivityStatus.FAILED, ActivityStatus.CANCELLED


class Failed:
    """An execution that failed halfway: load → (clean → join, plot), of which clean failed and join was cancelled."""

    def __init__(self) -> None:
        self.owner = a_user()
        self.twin = a_twin(self.owner)
        self.viewer = Viewer(Role.USER, self.owner.id)
        self.component = a_component()
        self.version = a_component_version(
            self.component,
            is_deprecated=True,
            parameters=[ParameterDefinition(name="rows", datatype="integer", default_value="10", maximum=100)],
            secrets=["TOKEN"],
        )
        self.execution = an_execution(
            self.twin,
            title="tides",
            description="High and low",
            tags=["sea"],
            status=FAILED,
            workflow_schema=a_workflow(*[self.version] * 4),
        )
        self.load, self.clean, self.plot, self.join = (
            self.a_step(0, "load", SUCCEEDED),
            self.a_step(1, "clean", FAILED),
            self.a_step(2, "plot", SUCCEEDED),
            self.a_step(3, "join", CANCELLED),
        )
        self.clean.depends_on = self.plot.depends_on = [self.load.id]
        self.join.depends_on = [self.clean.id, self.plot.id]
        self.output = an_output(self.load)

    def a_step(self, ordinal: int, key: str, status: ActivityStatus) -> documents.Step:
        return a_step(
            self.execution,
            ordinal=ordinal,
            key=key,
            status=status,
            attempt=1,
            component_version_ref=self.version.id,
            parameters='{"rows": 7, "old": 1.50}',
            ports=["80:80"],
            inputs='{"a": 1}',
            type="interactive",
        )

    async def begin(self) -> None:
        await keep(self.owner, self.twin, self.component, self.version, self.execution, self.output)
        await keep(self.load, self.clean, self.plot, self.join)

    async def rerun(
        self, execution: documents.Execution | str | None = None, viewer: Viewer | None = None, **given: Any
    ) -> dict[str, Any]:
        id = execution if isinstance(execution, str) else (execution or self.execution).id
        found: dict[str, Any] = await ask(RERUN, viewer or self.viewer, input={"executionId": id, **given})
        payload: dict[str, Any] = found["rerunExecution"]
        return payload


@pytest.fixture
async def failed(database: Any) -> Failed:
    failed = Failed()
    await failed.begin()
    return failed


def codes(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(error["code"], ".".join(error["path"][1:])) for error in found["userErrors"]]


def shown(found: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    """The key and status of each step, and the key of the one that it reuses."""
    steps = found["execution"]["steps"]["nodes"]
    return [(step["key"], step["status"], (step["reusedFrom"] or {}).get("key")) for step in steps]


async def test_all_steps_run_again_with_the_same_code_and_parameters_in_a_new_execution(failed: Failed) -> None:
    found = await failed.rerun()

    assert found["userErrors"] == []
    execution = found["execution"]
    assert execution.pop("id") != failed.execution.id
    steps = execution.pop("steps")["nodes"]
    assert execution == {
        "title": "tides (re-run 1)",
        "description": "High and low",
        "tags": ["sea"],
        "status": "READY",
        "parent": {"id": failed.execution.id},
        "digitalTwin": {"id": failed.twin.id},
        "workflowSchema": {
            "executor": "provenance-graph",
            "componentVersions": [{"id": failed.version.id}] * 4,
        },
    }
    assert shown(found | {"execution": {"steps": {"nodes": steps}}}) == [
        ("load", "READY", None),
        ("clean", "PENDING", None),
        ("plot", "PENDING", None),
        ("join", "PENDING", None),
    ]
    join = steps[3]
    assert [(one["key"], one["execution"]["id"] != failed.execution.id) for one in join.pop("dependsOn")] == [
        ("clean", True),
        ("plot", True),
    ]
    assert join.pop("id") != failed.join.id
    assert join == {
        "key": "join",
        "ordinal": 3,
        "type": "INTERACTIVE",
        "status": "PENDING",
        "attempt": 0,
        "startedAt": None,
        "parameters": {"rows": 7, "old": 1.5},
        "ports": ["80:80"],
        "inputs": {"a": 1},
        "code": [{"commit": failed.join.code[0].commit}],
        "componentVersion": {"id": failed.version.id},
        "reusedFrom": None,
        "outputs": {"nodes": []},
    }


async def test_what_was_there_before_a_rerun_stays_as_it_was(failed: Failed) -> None:
    before = await everything_kept()

    await failed.rerun(strategy="FROM_FAILURE")

    after = await everything_kept()
    for collection, rows in before.items():
        ids = {row["_id"] for row in rows}
        twins = [row | {"additions": 0} if collection == "digitalTwins" else row for row in after[collection]]
        assert [row for row in twins if row["_id"] in ids] == rows


async def test_from_a_failure_only_what_did_not_succeed_runs_again(failed: Failed) -> None:
    found = await failed.rerun(strategy="FROM_FAILURE")

    assert shown(found) == [
        ("load", "SUCCEEDED", "load"),
        ("clean", "READY", None),
        ("plot", "SUCCEEDED", "plot"),
        ("join", "PENDING", None),
    ]
    load = found["execution"]["steps"]["nodes"][0]
    assert load["reusedFrom"] == {"id": failed.load.id, "key": "load", "outputs": {"nodes": [{"id": failed.output.id}]}}
    assert (load["outputs"], load["attempt"], load["startedAt"]) == ({"nodes": []}, 0, None)


async def test_reusing_what_was_reused_leads_to_the_step_that_ran(failed: Failed) -> None:
    first = (await failed.rerun(strategy="FROM_FAILURE"))["execution"]["id"]
    executions, steps = (one.get_pymongo_collection() for one in (documents.Execution, documents.Step))
    await executions.update_one({"_id": first}, {"$set": {"status": "FAILED"}})
    await steps.update_one({"executionRef": first, "key": "clean"}, {"$set": {"status": "SUCCEEDED"}})

    second = await failed.rerun(first, strategy="FROM_FAILURE")

    assert second["execution"]["parent"] == {"id": first}
    reused = [(step["reusedFrom"] or {}).get("id") for step in second["execution"]["steps"]["nodes"]]
    clean = await steps.find_one({"executionRef": first, "key": "clean"})
    assert reused == [failed.load.id, clean and clean["_id"], failed.plot.id, None]
    assert shown(second)[3] == ("join", "READY", None)


async def test_only_an_execution_that_ended_badly_is_rerun_from_its_failure(failed: Failed) -> None:
    executions = documents.Execution.get_pymongo_collection()
    for status in ("PENDING", "READY", "RUNNING", "SUCCEEDED"):
        await executions.update_one({"_id": failed.execution.id}, {"$set": {"status": status}})
        before = await everything_kept()

        found = await failed.rerun(strategy="FROM_FAILURE")

        assert codes(found) == [("INVALID_STATE", "executionId")]
        assert found["userErrors"][0]["currentState"] == status
        assert found["userErrors"][0]["allowedStates"] == ["FAILED", "CANCELLED"]
        assert await everything_kept() == before
    assert codes(await failed.rerun(strategy="ALL_STEPS")) == []


async def test_from_a_step_it_and_what_waits_for_it_run_again(failed: Failed) -> None:
    found = await failed.rerun(strategy="FROM_STEP", fromStepId=failed.clean.id)

    assert shown(found) == [
        ("load", "SUCCEEDED", "load"),
        ("clean", "READY", None),
        ("plot", "SUCCEEDED", "plot"),
        ("join", "PENDING", None),
    ]
    whole = await failed.rerun(strategy="FROM_STEP", fromStepId=failed.load.id)
    assert [status for _, status, _ in shown(whole)] == ["READY", "PENDING", "PENDING", "PENDING"]


async def test_steps_that_did_not_succeed_cannot_be_reused(failed: Failed) -> None:
    before = await everything_kept()

    found = await failed.rerun(strategy="FROM_STEP", fromStepId=failed.join.id)

    assert found["userErrors"] == [
        {
            "__typename": "InvalidState",
            "code": "INVALID_STATE",
            "message": f"Step clean ({failed.clean.id}) is FAILED, so it has no outputs to reuse.",
            "path": ["input", "fromStepId"],
            "currentState": "FAILED",
            "allowedStates": ["SUCCEEDED", "SKIPPED"],
        }
    ]
    assert await everything_kept() == before


async def test_the_step_to_begin_with_is_one_of_the_execution_and_for_its_strategy_alone(failed: Failed) -> None:
    await keep(other := an_execution(failed.twin), strange := a_step(other))
    before = await everything_kept()

    wrong: list[dict[str, Any]] = [
        {"strategy": "FROM_STEP"},
        {"strategy": "FROM_STEP", "fromStepId": strange.id},
        {"strategy": "ALL_STEPS", "fromStepId": failed.load.id},
        {"strategy": "FROM_FAILURE", "fromStepId": failed.load.id},
    ]
    for given in wrong:
        assert codes(await failed.rerun(**given)) == [("VALIDATION", "fromStepId")]
    assert await everything_kept() == before


async def test_parameters_are_overridden_where_a_step_runs_again(failed: Failed) -> None:
    found = await failed.rerun(
        strategy="FROM_FAILURE", parameterOverrides=[{"stepKey": "clean", "parameters": {"rows": "100"}}]
    )

    assert [step["parameters"] for step in found["execution"]["steps"]["nodes"]] == [
        {"rows": 7, "old": 1.5},
        {"rows": 100, "old": 1.5},
        {"rows": 7, "old": 1.5},
        {"rows": 7, "old": 1.5},
    ]


async def test_an_override_that_no_version_declares_is_taken_with_a_warning(failed: Failed) -> None:
    found = await failed.rerun(
        parameterOverrides=[
            {"stepKey": "load", "parameters": {"rows": 1}},
            {"stepKey": "clean", "parameters": {"Rows": "100", "old": 2}},
        ]
    )

    assert found["userErrors"] == []
    assert found["execution"]["steps"]["nodes"][1]["parameters"] == {"rows": 7, "old": 2, "Rows": "100"}
    assert [(warning["path"], "The most similar one" in warning["message"]) for warning in found["warnings"]] == [
        (["input", "parameterOverrides", "1", "parameters", "Rows"], True),
        (["input", "parameterOverrides", "1", "parameters", "old"], False),
    ]


async def test_parameters_that_no_version_declares_do_not_add_up_without_end(failed: Failed) -> None:
    steps = collection_of(documents.Step)
    before = json.dumps({f"old{number}": "x" * 1_000 for number in range(450)})
    await steps.update_one({"executionRef": failed.execution.id, "key": "clean"}, {"$set": {"parameters": before}})
    given = {f"new{number}": "x" * 1_000 for number in range(60)}

    found = await failed.rerun(parameterOverrides=[{"stepKey": "clean", "parameters": given}])

    assert codes(found) == [("VALIDATION", "parameterOverrides.0.parameters")]
    assert "500,000 bytes" in found["userErrors"][0]["message"]


async def test_every_override_that_cannot_be_is_told_at_once_and_nothing_is_stored(failed: Failed) -> None:
    before = await everything_kept()
    overrides = [
        {"stepKey": "clean", "parameters": {"rows": 101, "token": "x", "TOKEN": "hunter2"}},
        {"stepKey": "load", "parameters": {"rows": 1}},
        {"stepKey": "nobody", "parameters": {}},
        {"stepKey": "join", "parameters": [1]},
        {"stepKey": "join", "parameters": {}},
        {"stepKey": "join", "parameters": {}},
    ]

    found = await failed.rerun(strategy="FROM_FAILURE", title="two\nlines", parameterOverrides=overrides)

    assert sorted(codes(found)) == [
        ("VALIDATION", "parameterOverrides.0.parameters.TOKEN"),
        ("VALIDATION", "parameterOverrides.0.parameters.rows"),
        ("VALIDATION", "parameterOverrides.0.parameters.token"),
        ("VALIDATION", "parameterOverrides.1.stepKey"),
        ("VALIDATION", "parameterOverrides.2.stepKey"),
        ("VALIDATION", "parameterOverrides.3.parameters"),
        ("VALIDATION", "parameterOverrides.4.stepKey"),
        ("VALIDATION", "parameterOverrides.5.stepKey"),
        ("VALIDATION", "title"),
    ]
    assert "hunter2" not in str(found)
    assert await everything_kept() == before


async def test_each_override_names_a_step_that_runs_again_and_each_step_once(failed: Failed) -> None:
    keys = ["load", "nobody", "clean", "clean"]

    found = await failed.rerun(
        strategy="FROM_FAILURE",
        componentVersionOverrides=[{"stepKey": key, "componentVersionId": failed.version.id} for key in keys],
        parameterOverrides=[{"stepKey": key, "parameters": {}} for key in keys],
    )

    told = [(error["path"][1:], error["message"]) for error in found["userErrors"] if error["path"][-1] == "stepKey"]
    assert told == [
        (["componentVersionOverrides", "0", "stepKey"], "Step load is reused, not run again: it stays as it ran."),
        (["componentVersionOverrides", "1", "stepKey"], "No step has the key 'nobody'."),
        (["componentVersionOverrides", "3", "stepKey"], "The version of step clean is given twice."),
        (
            ["parameterOverrides", "0", "stepKey"],
            "Step load is reused, not run again: its parameters are those that it ran with.",
        ),
        (["parameterOverrides", "1", "stepKey"], "No step has the key 'nobody'."),
        (["parameterOverrides", "3", "stepKey"], "Parameters of step clean are given twice."),
    ]


async def test_there_are_no_more_overrides_than_there_may_be_steps(failed: Failed) -> None:
    before = await everything_kept()
    version = {"stepKey": "nobody", "componentVersionId": failed.version.id}
    parameters = {"stepKey": "nobody", "parameters": {}}

    most = await failed.rerun(parameterOverrides=[parameters] * MAX_STEPS)
    beyond = await failed.rerun(
        componentVersionOverrides=[version] * (MAX_STEPS + 1), parameterOverrides=[parameters] * (MAX_STEPS + 1)
    )

    assert {error["message"] for error in most["userErrors"]} == {"No step has the key 'nobody'."}
    assert codes(beyond) == [("LIMIT_EXCEEDED", "componentVersionOverrides"), ("LIMIT_EXCEEDED", "parameterOverrides")]
    assert {error["message"] for error in beyond["userErrors"]} == {"1001 overrides; there are at most 1000 steps."}
    assert await everything_kept() == before


async def test_parameters_of_a_step_whose_version_is_gone_are_not_overridden(failed: Failed) -> None:
    await collection_of(documents.ComponentVersion).delete_one({"_id": failed.version.id})
    before = await everything_kept()

    found = await failed.rerun(parameterOverrides=[{"stepKey": "load", "parameters": {"rows": 1}}])

    assert found["userErrors"] == [
        {
            "__typename": "NotFound",
            "code": "NOT_FOUND",
            "message": f"No ComponentVersion with id {failed.version.id}.",
            "path": ["input", "parameterOverrides", "0", "stepKey"],
        }
    ]
    assert await everything_kept() == before


async def test_titles_are_numbered_on_unless_one_is_given(failed: Failed) -> None:
    await keep(an_execution(failed.twin, title="tides (re-run 9)"), an_execution(failed.twin, title="tides (re-run x)"))

    first = await failed.rerun()
    again = await failed.rerun(first["execution"]["id"])
    named = await failed.rerun(title=" neap ")
    taken = await failed.rerun(title="neap")

    titles = [one["execution"]["title"] for one in (first, again, named)]
    assert titles == ["tides (re-run 10)", "tides (re-run 11)", "neap"]
    assert codes(taken) == [("ALREADY_EXISTS", "title")]


async def test_the_longest_title_and_an_odd_one_are_numbered_too(failed: Failed) -> None:
    await keep(
        long := an_execution(failed.twin, title="t" * 1000), odd := an_execution(failed.twin, title="(a|b)* [.]")
    )
    await keep(*(a_step(one, component_version_ref=failed.version.id) for one in (long, odd)))

    numbered = [(await failed.rerun(one))["execution"]["title"] for one in (long, odd, odd)]

    assert numbered == [f"{'t' * 985} (re-run 1)", "(a|b)* [.] (re-run 1)", "(a|b)* [.] (re-run 2)"]


async def test_racing_reruns_each_get_a_title_of_their_own(failed: Failed) -> None:
    found = await asyncio.gather(
        *(failed.rerun(viewer=Viewer(Role.USER, failed.owner.id, f"token_{n}")) for n in range(5))
    )

    assert sorted(one["execution"]["title"] for one in found) == [f"tides (re-run {n})" for n in range(1, 6)]


async def test_an_execution_without_steps_is_not_run_again(failed: Failed) -> None:
    await keep(empty := an_execution(failed.twin, status=FAILED))

    assert codes(await failed.rerun(empty)) == [("VALIDATION", "executionId")]


async def test_only_the_owner_and_administrators_run_it_again(failed: Failed) -> None:
    public_twin = a_twin(failed.owner, public=True)
    public = an_execution(public_twin)
    await keep(other := a_user(), public_twin, public, a_step(public))
    stranger = Viewer(Role.USER, other.id)
    before = await everything_kept()

    assert codes(await failed.rerun(viewer=ANONYMOUS)) == [("FORBIDDEN", "")]
    assert codes(await failed.rerun(viewer=WORKER)) == [("FORBIDDEN", "")]
    assert codes(await failed.rerun(viewer=stranger)) == [("NOT_FOUND", "executionId")]
    assert codes(await failed.rerun(public, viewer=stranger)) == [("FORBIDDEN", "executionId")]
    assert codes(await failed.rerun("execution_ffffffffffffffffffffffff")) == [("NOT_FOUND", "executionId")]
    assert await everything_kept() == before
    assert codes(await failed.rerun(viewer=ADMIN)) == []


async def test_the_same_key_makes_one_rerun(failed: Failed) -> None:
    first, second = await asyncio.gather(*(failed.rerun(idempotencyKey="k") for _ in range(2)))

    assert first["execution"]["id"] == second["execution"]["id"]
    assert len((await everything_kept())["executions"]) == 2


def versions_after(failed: Failed) -> list[documents.ComponentVersion]:
    """A later version of the component, with other parameters, and one that is deprecated."""
    parameters = [
        ParameterDefinition(name="rows", datatype="integer", default_value="20", maximum=6),
        ParameterDefinition(name="depth", datatype="integer", default_value="3"),
        ParameterDefinition(name="sea", datatype="string"),
    ]
    later = a_component_version(failed.component, version="v2", commit_hash="2" * 40, parameters=parameters)
    return [later, a_component_version(failed.component, version="v3", is_deprecated=True)]


async def test_a_step_runs_again_with_another_version_of_its_component(failed: Failed) -> None:
    later, old = versions_after(failed)
    await keep(later, old)
    await collection_of(documents.Step).update_many({}, {"$set": {"parameters": '{"rows": 7, "old": 1.50, "SEA": 1}'}})

    found = await failed.rerun(
        strategy="FROM_FAILURE",
        componentVersionOverrides=[{"stepKey": "clean", "componentVersionId": later.id, "ports": []}],
        parameterOverrides=[{"stepKey": "clean", "parameters": {"rows": "5", "sea": "North"}}],
    )

    assert found["userErrors"] == []
    load, clean, plot, join = found["execution"]["steps"]["nodes"]
    assert clean["parameters"] == {"rows": 5, "depth": 3, "sea": "North", "old": 1.5, "SEA": 1}
    assert (clean["componentVersion"], clean["code"], clean["ports"]) == ({"id": later.id}, [{"commit": "2" * 40}], [])
    assert [step["componentVersion"] for step in (load, plot, join)] == [{"id": failed.version.id}] * 3
    ids = [failed.version.id, later.id, failed.version.id, failed.version.id]
    assert found["execution"]["workflowSchema"]["componentVersions"] == [{"id": id} for id in ids]
    before = await documents.Execution.get(failed.execution.id)
    assert before is not None
    assert before.workflow_schema.component_versions == [failed.version.id] * 4


async def test_what_another_version_does_not_take_over_is_left_out_with_a_warning(failed: Failed) -> None:
    later = a_component_version(failed.component, version="v2", secrets=["OLD"])
    await keep(later)

    found = await failed.rerun(componentVersionOverrides=[{"stepKey": "plot", "componentVersionId": later.id}])

    assert found["execution"]["steps"]["nodes"][2]["parameters"] == {}
    path = ["input", "componentVersionOverrides", "0", "componentVersionId"]
    assert found["warnings"] == [
        {"path": path, "message": f'Version v2 does not take "{name}", unlike the previous version; it is left out.'}
        for name in ("old", "rows")
    ]


async def test_what_is_wrong_with_other_versions_is_told_at_once(failed: Failed) -> None:
    later, old = versions_after(failed)
    other = a_component()
    others = a_component_version(other)
    ported = a_component_version(
        failed.component, version="v4", ports=[PortDefinition(name="page", container_port=8501)]
    )
    await keep(later, old, other, others, ported)
    before = await everything_kept()

    def override(key: str, version: str) -> dict[str, Any]:
        return {"stepKey": key, "componentVersionId": version}

    reused = await failed.rerun(strategy="FROM_FAILURE", componentVersionOverrides=[override("load", later.id)])
    several = await failed.rerun(
        componentVersionOverrides=[
            override("load", others.id),
            override("clean", old.id),
            override("plot", "release_none"),
            override("join", later.id),
            override("join", later.id),
            override("nobody", later.id),
        ]
    )
    unmapped = await failed.rerun(componentVersionOverrides=[override("load", ported.id)])

    assert codes(reused) == [("VALIDATION", "componentVersionOverrides.0.stepKey")]
    assert sorted(codes(several)) == [
        ("NOT_FOUND", "componentVersionOverrides.2.componentVersionId"),
        ("VALIDATION", "componentVersionOverrides.0.componentVersionId"),
        ("VALIDATION", "componentVersionOverrides.1.componentVersionId"),
        ("VALIDATION", "componentVersionOverrides.3.componentVersionId"),
        ("VALIDATION", "componentVersionOverrides.3.componentVersionId"),
        ("VALIDATION", "componentVersionOverrides.4.stepKey"),
        ("VALIDATION", "componentVersionOverrides.5.stepKey"),
    ]
    assert [
        error["message"] for error in several["userErrors"] if error["path"][2:] == ["3", "componentVersionId"]
    ] == [
        "rows must be at most 6, not 7. Give it in parameterOverrides.",
        "sea has no default, so a value must be given. Give it in parameterOverrides.",
    ]
    assert codes(unmapped) == [("VALIDATION", "componentVersionOverrides.0.ports.0")]
    assert await everything_kept() == before


async def test_a_re_run_is_one_of_the_same_workflow(failed: Failed) -> None:
    workflow = a_named_workflow(failed.owner, failed.version)
    await keep(workflow)
    made_from = {"workflowRef": workflow.id, "workflowRevision": 4}
    await collection_of(documents.Execution).update_one({"_id": failed.execution.id}, {"$set": made_from})

    found = await failed.rerun()

    again = await documents.Execution.get(found["execution"]["id"])
    assert again is not None
    assert (again.workflow_ref, again.workflow_revision) == (workflow.id, 4)
