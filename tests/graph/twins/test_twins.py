"""The twins' chain, from users down to outputs: what it costs, what it shows, and to whom."""

from datetime import UTC, datetime
from typing import Any

import pytest

import documents
from documents.activities.activity import CodeReference
from documents.twins.step import ReuseGrant
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from resolvers.reads import children
from resolvers.reads.rows import collection_of
from tests.conftest import RoundTrips
from tests.support.asking import ADMIN, answer, ask, refusal
from tests.support.builders import (
    a_component,
    a_component_version,
    a_log_entry,
    a_result,
    a_step,
    a_tree,
    a_twin,
    a_user,
    a_workflow,
    an_execution,
    an_output,
    keep,
)

pytestmark = pytest.mark.usefixtures("database")

LEVELS = ["users", "digitalTwins", "executions", "steps", "outputs"]


def chain(arguments: str = "", extra: str = "") -> str:
    """The query that walks all five levels, with the same arguments and selections on each."""
    query = "id"
    for level in reversed(LEVELS):
        query = f"{level}{arguments} {{ nodes {{ id {query} }} {extra} }}"
    return f"{{ {query} }}"


def nodes(found: dict[str, Any], level: int = 0) -> list[list[str]]:
    """The ids of each level, in the order of the answer."""
    rows = found[LEVELS[level]]["nodes"]
    below = [nodes(row, level + 1) for row in rows] if level + 1 < len(LEVELS) else []
    return [[row["id"] for row in rows], *([id for part in ids for id in part] for ids in zip(*below, strict=True))]


@pytest.mark.parametrize("arguments", ["", "(first: 100)"])
@pytest.mark.parametrize("users", [1, 20])
async def test_five_levels_make_five_finds_whatever_the_number_of_users(
    round_trips: RoundTrips, users: int, arguments: str
) -> None:
    tree = await a_tree(users, twins=5, executions=4, steps=5, outputs=1)

    with round_trips.counting() as seen:
        found = await ask(chain(arguments))

    assert seen == [("find", level) for level in LEVELS]
    levels = [tree.users, tree.twins, tree.executions, tree.steps, tree.outputs]
    assert nodes(found) == [[document.id for document in level] for level in levels]


@pytest.mark.parametrize("users", [1, 20])
async def test_small_pages_and_counts_make_one_round_trip_each_for_a_level(round_trips: RoundTrips, users: int) -> None:
    await a_tree(users, twins=5, executions=4, steps=5, outputs=1)

    with round_trips.counting() as seen:
        paged = await ask(chain("(first: 2)"))
    with round_trips.counting() as counted:
        totals = await ask(chain("(first: 2)", "totalCount"))

    assert [collection for _, collection in seen] == LEVELS
    assert [len(level) for level in nodes(paged)] == [min(users, 2) * n for n in (1, 2, 4, 8, 8)]
    assert len(counted) == 10
    assert totals["users"]["totalCount"] == users
    assert totals["users"]["nodes"][0]["digitalTwins"]["totalCount"] == 5
    assert totals["users"]["nodes"][0]["digitalTwins"]["nodes"][1]["executions"]["totalCount"] == 4
    assert totals["users"]["nodes"][0]["digitalTwins"]["nodes"][1]["executions"]["nodes"][1]["steps"]["totalCount"] == 5


ORDERED = """query($order: [ExecutionOrder!], $first: Int, $last: Int, $after: String, $before: String) {
  digitalTwins { nodes { name executions(orderBy: $order, first: $first, last: $last, after: $after, before: $before) {
    nodes { title startTimestamp } edges { cursor } totalCount
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } } }"""


async def crowded_twins() -> None:
    """Three public twins: one with sixty executions, half of which have not begun, one with two, one with none."""
    owner = a_user()
    twins = [a_twin(owner, public=True) for _ in range(3)]
    hidden = a_twin(owner)
    crowd = [an_execution(twins[0], title=f"t{n * 7 % 60:02}", **_begun(n)) for n in range(60)]
    few = [an_execution(twins[1], title=f"u{n}", **_begun(n)) for n in range(2)]
    await keep(owner, *twins, hidden, *crowd, *few, an_execution(hidden))


def _begun(number: int) -> dict[str, Any]:
    """A start that repeats and is missing now and then, so that ties and nulls both occur."""
    return {"start_timestamp": None if number % 2 else datetime(2026, 1, 1 + number % 3, tzinfo=UTC)}


@pytest.mark.parametrize("field", ["CREATED_AT", "START_TIMESTAMP", "END_TIMESTAMP", "TITLE"])
@pytest.mark.parametrize("direction", ["ASC", "DESC"])
@pytest.mark.parametrize("size", [{"first": 2}, {"last": 3}])
async def test_crowded_parents_give_the_same_pages_as_others(
    monkeypatch: pytest.MonkeyPatch, round_trips: RoundTrips, field: str, direction: str, size: dict[str, int]
) -> None:
    await crowded_twins()
    order = [{"field": field, "direction": direction}]

    with round_trips.counting() as seen:
        roomy = await ask(ORDERED, order=order, **size)
    monkeypatch.setattr(children, "SINGLE_FIND_LIMIT", 1)
    with round_trips.counting() as seen_crowded:
        crowded = await ask(ORDERED, order=order, **size)

    assert crowded == roomy
    assert sorted(seen) == [("aggregate", "digitalTwins"), ("find", "digitalTwins"), ("find", "executions")]
    assert sorted(seen_crowded) == [("aggregate", "digitalTwins"), *sorted(seen)]
    (most,) = size.values()
    assert [len(twin["executions"]["nodes"]) for twin in roomy["digitalTwins"]["nodes"]] == [most, 2, 0]
    assert [twin["executions"]["totalCount"] for twin in roomy["digitalTwins"]["nodes"]] == [60, 2, 0]


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
async def test_pages_of_a_parent_are_continued_without_gap_or_repeat_across_the_nulls(direction: str) -> None:
    await crowded_twins()
    order = [{"field": "START_TIMESTAMP", "direction": direction}]
    whole = (await ask(ORDERED, order=order, first=100))["digitalTwins"]["nodes"][0]["executions"]

    walked: list[dict[str, Any]] = []
    after = None
    while True:
        page = (await ask(ORDERED, order=order, first=3, after=after))["digitalTwins"]["nodes"][0]["executions"]
        walked += page["nodes"]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break

    assert walked == whole["nodes"]
    times = [node["startTimestamp"] for node in walked]
    given = [time for time in times if time is not None]
    assert times == [*sorted(given, reverse=direction == "DESC"), *[None] * 30]


async def test_a_step_leads_to_what_it_waits_for_and_to_what_waits_for_it(round_trips: RoundTrips) -> None:
    twin = a_twin(owner := a_user(), public=True)
    execution = an_execution(twin)
    first = a_step(execution, key="load")
    second = a_step(execution, ordinal=1, key="clean", depends_on=[first.id])
    third = a_step(execution, ordinal=2, key="plot", depends_on=[second.id, first.id])
    again = a_step(execution, ordinal=3, key="again", reused_from_ref=first.id)
    await keep(owner, twin, execution, first, second, third, again)
    query = """{ executions { nodes { steps { nodes {
      key dependsOn { key } dependents { key } reusedFrom { key } } } } } }"""

    with round_trips.counting() as seen:
        found = await ask(query)

    assert found["executions"]["nodes"][0]["steps"]["nodes"] == [
        {"key": "load", "dependsOn": [], "dependents": [{"key": "clean"}, {"key": "plot"}], "reusedFrom": None},
        {"key": "clean", "dependsOn": [{"key": "load"}], "dependents": [{"key": "plot"}], "reusedFrom": None},
        {"key": "plot", "dependsOn": [{"key": "clean"}, {"key": "load"}], "dependents": [], "reusedFrom": None},
        {"key": "again", "dependsOn": [], "dependents": [], "reusedFrom": {"key": "load"}},
    ]
    # Dependencies and reused steps are both looked up by id, so one find reads them.
    assert len(seen) == 4


async def test_an_execution_keeps_its_workflow_its_parent_and_its_reruns() -> None:
    component = a_component()
    versions = [a_component_version(component, version=f"v{n}") for n in (1, 2)]
    twin = a_twin(owner := a_user(), public=True)
    workflow = a_workflow(versions[1], versions[0], versions[1])
    workflow.workflow_executor_schema = '{"b.c":1.0,"a":2}'
    parent = an_execution(twin, title="first", workflow_schema=workflow, tags=["t"])
    rerun = an_execution(twin, title="second", parent_ref=parent.id)
    await keep(component, *versions, owner, twin, parent, rerun)

    found = await ask(
        """{ executions(where: {title: {eq: "first"}}) { nodes {
          tags status parent { title } reruns { nodes { title parent { title } } }
          workflowSchema { executor executorSchema componentVersions { version } } } } }"""
    )

    assert found["executions"]["nodes"] == [
        {
            "tags": ["t"],
            "status": "PENDING",
            "parent": None,
            "reruns": {"nodes": [{"title": "second", "parent": {"title": "first"}}]},
            "workflowSchema": {
                "executor": "provenance-graph",
                "executorSchema": {"b.c": 1.0, "a": 2},
                "componentVersions": [{"version": "v2"}, {"version": "v1"}, {"version": "v2"}],
            },
        }
    ]


async def test_executions_are_found_by_what_they_run_and_what_they_are_called() -> None:
    component = a_component()
    one, other = a_component_version(component), a_component_version(component)
    twin = a_twin(owner := a_user(), public=True)
    first = an_execution(twin, workflow_schema=a_workflow(one, other), tags=["a", "b"])
    second = an_execution(twin, workflow_schema=a_workflow(other), status="FAILED")
    await keep(component, one, other, owner, twin, first, second)
    query = "query($where: ExecutionWhere) { executions(where: $where) { nodes { id } } }"

    async def matching(**where: Any) -> list[str]:
        return [node["id"] for node in (await ask(query, where=where))["executions"]["nodes"]]

    assert await matching(componentVersionId={"eq": one.id}) == [first.id]
    assert await matching(componentVersionId={"eq": other.id}) == [first.id, second.id]
    assert await matching(tag={"eq": "b"}) == [first.id]
    assert await matching(statusFilter={"in": ["FAILED", "CANCELLED"]}) == [second.id]
    assert await matching(digitalTwinId={"in": []}) == []
    assert await matching(**{"not": {"statusFilter": {"in": ["FAILED"]}}}) == [first.id]


async def test_a_result_gathers_the_outputs_that_the_viewer_may_see() -> None:
    twin = a_twin(owner := a_user(), public=True)
    execution = an_execution(twin)
    step = a_step(execution)
    shown = an_output(step, public=True, file_name="shown.csv")
    hidden = an_output(step, file_name="hidden.csv")
    result = a_result(execution, [hidden, shown])
    await keep(owner, twin, execution, step, shown, hidden, result)
    query = """{ digitalTwins { nodes { results { nodes { title execution { title }
      outputs { totalCount nodes { fileName step { key } } } } } } } }"""

    async def gathered(viewer: Viewer) -> Any:
        return (await ask(query, viewer))["digitalTwins"]["nodes"][0]["results"]["nodes"][0]["outputs"]

    assert await gathered(ANONYMOUS) == {"totalCount": 1, "nodes": [{"fileName": "shown.csv", "step": {"key": "0"}}]}
    assert (await gathered(Viewer(Role.USER, owner.id)))["totalCount"] == 2


async def test_who_may_read_an_output_is_told_to_those_who_may_change_it(round_trips: RoundTrips) -> None:
    owner, reader, stranger = a_user(), a_user(display_name="reader"), a_user()
    twin = a_twin(owner, public=True)
    execution = an_execution(twin)
    step = a_step(execution)
    outputs = [an_output(step, reader) for _ in range(3)]
    await keep(owner, reader, stranger, twin, execution, step, *outputs)
    query = """query($ids: [ID!]!) { nodes(ids: $ids) {
      ... on Output { accessControl { public authorizedUsers { displayName email } } } } }"""
    ids = [output.id for output in outputs]

    with round_trips.counting() as seen:
        to_owner = await ask(query, Viewer(Role.USER, owner.id), ids=ids)
    to_reader = await ask(query, Viewer(Role.USER, reader.id), ids=ids)
    to_stranger = await ask(query, Viewer(Role.USER, stranger.id), ids=ids)
    to_admin = await ask(query, ADMIN, ids=ids)

    shown = {"accessControl": {"public": False, "authorizedUsers": [{"displayName": "reader", "email": None}]}}
    assert to_owner == {"nodes": [shown] * 3}
    assert [collection for _, collection in seen] == ["outputs", "users"]
    assert to_reader == {"nodes": [{"accessControl": {"public": False, "authorizedUsers": []}}] * 3}
    assert to_stranger == {"nodes": [None] * 3}
    assert to_admin["nodes"][0]["accessControl"]["authorizedUsers"][0]["email"] == reader.email


DOWNLOAD = (
    "query($id: ID!, $seconds: Int) { node(id: $id) { ... on Output { downloadUrl(expiresIn: $seconds) { url } } } }"
)


async def test_there_is_no_signed_url_while_no_bytes_are_in_a_bucket_of_ours() -> None:
    step = a_step(an_execution(a_twin(a_user())))
    output = an_output(step, public=True)
    await keep(output)

    assert await ask("query($id: ID!) { node(id: $id) { ... on Output { downloadUrl { url } } } }", id=output.id) == {
        "node": {"downloadUrl": None}
    }
    assert await ask(DOWNLOAD, id=output.id, seconds=3600) == {"node": {"downloadUrl": None}}
    for seconds in (0, -1, 3601):
        assert await refusal(DOWNLOAD, id=output.id, seconds=seconds) == (
            "BAD_USER_INPUT",
            f"expiresIn must be between 1 and 3600 seconds, not {seconds}.",
        )


async def test_a_shared_output_of_a_private_twin_is_shown_without_its_step() -> None:
    step = a_step(an_execution(a_twin(a_user())))
    output = an_output(step, public=True)
    await keep(step, output)

    found = await answer("query($id: ID!) { node(id: $id) { id ... on Output { step { id } } } }", id=output.id)

    assert found == {"data": {"node": {"id": output.id, "step": None}}}


async def test_a_worker_lists_what_it_runs_without_the_private_twin() -> None:
    own, runs = (an_execution(a_twin(a_user(), public=public)) for public in (True, False))
    runs.runners, worker = ["token_1"], Viewer(Role.WORKER, token_id="token_1")
    lent = a_step(an_execution(a_twin(a_user())), borrowers=[ReuseGrant(execution=runs.id, key="token_1")])
    reusing = a_step(runs, runners=["token_1"], reused_from_ref=lent.id)
    twin = a_twin(a_user(), public=True)
    own.digital_twin_ref = twin.id
    await keep(twin, own, runs, lent, reusing)

    found = await answer(
        "{ executions { nodes { id digitalTwin { id } steps { nodes { reusedFrom { id execution { id } } } } } } }",
        worker,
    )

    reused = [{"reusedFrom": {"id": lent.id, "execution": None}}]
    assert found == {
        "data": {
            "executions": {
                "nodes": [
                    {"id": own.id, "digitalTwin": {"id": twin.id}, "steps": {"nodes": []}},
                    {"id": runs.id, "digitalTwin": None, "steps": {"nodes": reused}},
                ]
            }
        }
    }


async def test_a_step_is_an_activity_with_its_code_and_its_log() -> None:
    step = a_step(an_execution(a_twin(a_user(), public=True)), parameters='{"a.b":1.0}', ports=["8501:8501"])
    await keep(step, a_log_entry(step, 1), a_log_entry(step, 2))

    found = await ask(
        """query($id: ID!) { node(id: $id) { ... on Activity { status attempt worker error { code }
          code { repository path commit } logs(last: 1) { nodes { sequence message level } } }
          ... on Step { type parameters ports inputs } } }""",
        id=step.id,
    )

    assert found["node"] == {
        "status": "PENDING",
        "attempt": 0,
        "worker": None,
        "error": None,
        "code": [
            {
                "repository": "https://code.example/component",
                "path": None,
                "commit": "0123456789abcdef0123456789abcdef01234567",
            }
        ],
        "logs": {"nodes": [{"sequence": 2, "message": "line 2", "level": "INFO"}]},
        "type": "EPHEMERAL",
        "parameters": {"a.b": 1.0},
        "ports": ["8501:8501"],
        "inputs": None,
    }


async def test_documents_without_optional_fields_are_shown_with_their_defaults() -> None:
    version = a_component_version(a_component())
    raw = {"_id": version.id, "componentId": "c", "version": "v1", "commitHash": "a" * 40, "created_at": None}
    await collection_of(documents.ComponentVersion).insert_one(raw)

    found = await ask(
        """query($id: ID!) { node(id: $id) {
          ... on ComponentVersion { tags parameters { name } isDeprecated metadata } } }""",
        id=version.id,
    )

    assert found["node"] == {"tags": [], "parameters": [], "isDeprecated": False, "metadata": None}


async def test_steps_and_outputs_are_filtered_within_what_they_belong_to() -> None:
    component = a_component()
    version = a_component_version(component)
    twin = a_twin(owner := a_user(), public=True)
    execution = an_execution(twin)
    first = a_step(execution, key="a", type="interactive", component_version_ref=version.id, status="RUNNING")
    second = a_step(execution, key="b", ordinal=1, code=[CodeReference(repository="", commit="b2" * 20)])
    table = an_output(second, public=True, file_type="text/csv", file_name="table.csv")
    picture = an_output(second, public=True, output_type="snapshot", file_name="all.zip")
    await keep(component, version, owner, twin, execution, first, second, table, picture)
    query = """query($steps: StepWhere, $outputs: OutputWhere) { executions { nodes { steps(where: $steps) {
      totalCount nodes { key outputs(where: $outputs) { totalCount nodes { fileName type } } } } } } }"""

    async def steps(**where: Any) -> list[str]:
        found = (await ask(query, steps=where))["executions"]["nodes"][0]["steps"]
        assert found["totalCount"] == len(found["nodes"])
        return [step["key"] for step in found["nodes"]]

    async def outputs(**where: Any) -> list[str]:
        found = (await ask(query, outputs=where))["executions"]["nodes"][0]["steps"]["nodes"][1]["outputs"]
        assert found["totalCount"] == len(found["nodes"])
        return [output["fileName"] for output in found["nodes"]]

    assert await steps() == ["a", "b"]
    assert await steps(typeFilter={"in": ["INTERACTIVE"]}) == ["a"]
    assert await steps(statusFilter={"in": ["PENDING", "FAILED"]}) == ["b"]
    assert await steps(componentVersionId={"eq": version.id}) == ["a"]
    assert await steps(typeFilter={"in": ["EPHEMERAL"]}, statusFilter={"in": ["RUNNING"]}) == []
    assert await steps(commit={"startsWith": "b2b2b2b"}) == ["b"]
    assert await outputs() == ["table.csv", "all.zip"]
    assert await outputs(type={"in": ["SNAPSHOT"]}) == ["all.zip"]
    assert await outputs(fileType={"eq": "text/csv"}) == ["table.csv"]
    assert await outputs(fileName={"startsWith": "all"}) == ["all.zip"]


async def test_components_lead_to_their_versions_and_those_to_the_steps_that_run_them(round_trips: RoundTrips) -> None:
    mender = a_component(component_name="mender", tags=["nets"], type="interactive")
    weaver = a_component(component_name="weaver")
    versions = [a_component_version(one, version=version) for one in (mender, weaver) for version in ("v1", "v2")]
    mender.latest_version_ref = versions[0].id
    shown, hidden = (an_execution(a_twin(a_user(), public=public)) for public in (True, False))
    steps = [a_step(one, component_version_ref=versions[1].id) for one in (hidden, shown)]
    await keep(mender, weaver, *versions, *steps)
    query = """query($where: ComponentWhere, $order: [ComponentOrder!]) { components(where: $where, orderBy: $order) {
      nodes { name latestVersion { version component { name } }
        versions(where: {version: {in: ["v1", "v2"]}}, orderBy: [{field: CREATED_AT}]) {
          nodes { version steps { totalCount nodes { id } } } } } } }"""

    with round_trips.counting() as seen:
        found = await ask(query, order=[{"field": "NAME", "direction": "DESC"}])
    tagged = await ask(query, where={"tag": {"eq": "nets"}, "type": ["INTERACTIVE", "PERSISTENT"]})

    none = {"totalCount": 0, "nodes": []}
    of_mender = [
        {"version": "v2", "steps": {"totalCount": 1, "nodes": [{"id": steps[1].id}]}},
        {"version": "v1", "steps": none},
    ]
    assert found["components"]["nodes"] == [
        {
            "name": "weaver",
            "latestVersion": None,
            "versions": {"nodes": [{"version": "v2", "steps": none}, {"version": "v1", "steps": none}]},
        },
        {
            "name": "mender",
            "latestVersion": {"version": "v1", "component": {"name": "mender"}},
            "versions": {"nodes": of_mender},
        },
    ]
    assert tagged["components"]["nodes"] == found["components"]["nodes"][1:]
    # The components, their latest versions with their component, their versions, the steps of these and how many.
    assert len(seen) == 6
