"""Jobs through the schema: what is known of each, and finding them among many."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from documents.galaxy.generation import GenerationStatus
from documents.galaxy.job import DatasetDirection, JobDataset, JobMetric
from documents.mongo.database import Database
from resolvers.access.viewer import ANONYMOUS, Viewer
from resolvers.reads import pages
from tests.conftest import RoundTrips
from tests.support import builders as new
from tests.support.asking import ask, refusal
from tests.support.builders import keep
from tests.support.ingesting import Server
from tests.support.ingesting import a_job as a_row
from tests.support.ingestions import ActiveInstance, a_server, a_viewer, replace_report, work
from tests.support.reports import report

START = datetime(2024, 3, 1, tzinfo=UTC)
JOB = "query ($id: ID!) { node(id: $id) { ... on Job { %s } } }"
LIST = "query ($where: JobWhere, $orderBy: [JobOrder!]) { jobs(where: $where, orderBy: $orderBy) { nodes { id } } }"
METRICS = [
    ("core", "runtime_seconds", "12.5000000", 12.5),
    ("core", "start_epoch", "1501836597", 1501836597.0),
    ("core", "galaxy_slots", "+1.e2", 100.0),
    ("cgroup", "memory", "9223372036854775807", 2.0**63),
    ("cgroup", "tiny", "1e-9", 1e-9),
    ("cgroup", "huge", "1e400", None),
    ("cgroup", "worse", "1e99999", None),
    ("cgroup", "endless", "inf", None),
    ("cgroup", "none", "nan", None),
    ("env", "path", "/usr/bin", None),
    ("env", "separated", "1_000", None),
    ("env", "digits", "١٢", None),
    ("env", "empty", "", None),
    ("env", "blank", " 1", None),
]


@pytest.fixture
async def owner(database: Database) -> Viewer:
    return await a_viewer()


async def found(viewer: Viewer, where: dict[str, Any] | None = None, *order: dict[str, str]) -> list[str]:
    """The ids of the jobs that match, in order."""
    shown = await ask(LIST, viewer, where=where, orderBy=list(order) or [{"field": "EXTERNAL_ID", "direction": "ASC"}])
    return [job["id"] for job in shown["jobs"]["nodes"]]


async def test_a_number_is_what_a_metric_says_where_a_float_can_hold_it(owner: Viewer) -> None:
    kept = ActiveInstance(owner)
    job = kept.job(metrics=[JobMetric(plugin=plugin, name=name, text=text) for plugin, name, text, _ in METRICS])
    await kept.keep(job)

    shown = await ask(JOB % "metrics { plugin name number text }", owner, id=job.id)

    assert shown["node"]["metrics"] == [
        {"plugin": plugin, "name": name, "number": number, "text": text} for plugin, name, text, number in METRICS
    ]


async def test_metrics_are_chosen_by_plugin_and_name_and_datasets_by_direction(owner: Viewer) -> None:
    kept = ActiveInstance(owner)
    ways = [DatasetDirection.INPUT, DatasetDirection.OUTPUT, DatasetDirection.INPUT]
    job = kept.job(
        metrics=[JobMetric(plugin=plugin, name=name, text=text) for plugin, name, text, _ in METRICS],
        datasets=[JobDataset(external_id=2**62 + number, direction=way) for number, way in enumerate(ways)],
    )
    await kept.keep(job)
    selected = """core: metrics(plugin: "core") { name }
      named: metrics(names: ["memory", "runtime_seconds", "x"]) { name }
      both: metrics(plugin: "core", names: ["memory"]) { name } none: metrics(names: []) { name }
      any: metrics(plugin: null, names: null) { name } read: datasets(direction: INPUT) { externalId direction }
      written: datasets(direction: OUTPUT) { externalId sizeBytes extension parameterName } datasets { direction }"""

    shown = (await ask(JOB % selected, owner, id=job.id))["node"]

    names = {name: [one["name"] for one in shown[name]] for name in ("core", "named", "both", "none")}
    assert names == {
        "core": ["runtime_seconds", "start_epoch", "galaxy_slots"],
        "named": ["runtime_seconds", "memory"],
        "both": [],
        "none": [],
    }
    assert len(shown["any"]) == len(METRICS)
    assert [one["externalId"] for one in shown["read"]] == [str(2**62), str(2**62 + 2)]
    nothing = {"sizeBytes": None, "extension": None, "parameterName": None}
    assert shown["written"] == [{"externalId": str(2**62 + 1), **nothing}]
    assert [one["direction"] for one in shown["datasets"]] == ["INPUT", "OUTPUT", "INPUT"]


async def test_the_chain_from_instances_to_jobs_takes_a_round_trip_a_level(
    owner: Viewer, round_trips: RoundTrips
) -> None:
    for _ in range(4):
        kept = ActiveInstance(owner)
        await kept.keep(*(kept.job() for _ in range(3)))
    query = """{ instances { nodes { archives { nodes { identifier } } activeGeneration { jobs }
      jobs { totalCount nodes { toolId archive { identifier } } } } } }"""

    with round_trips.counting() as seen:
        shown = await ask(query, owner)

    assert [one["jobs"]["totalCount"] for one in shown["instances"]["nodes"]] == [3] * 4
    assert sorted(seen) == [
        ("aggregate", "generations"),
        ("find", "archives"),
        ("find", "archives"),
        ("find", "generations"),
        ("find", "instances"),
        ("find", "jobs"),
    ]


async def test_jobs_are_found_by_what_they_ran_how_they_ended_and_when(owner: Viewer) -> None:
    kept = ActiveInstance(owner)
    facts: list[dict[str, Any]] = [
        {"tool_id": "cat1", "tool_version": "1.0", "state": "ok", "created_at": START},
        {"tool_id": "cat1", "tool_version": "2.0", "state": "error", "created_at": START + timedelta(days=1)},
        {
            "tool_id": "toolshed.example/repos/iuc/bwa/bwa_mem/0.7",
            "state": "ok",
            "created_at": START + timedelta(days=2),
        },
        {"tool_id": "upload1", "state": "failed"},
    ]
    jobs = [kept.job(external_id=number, **fields) for number, fields in enumerate(facts)]
    await kept.keep(*jobs)
    questions: list[tuple[dict[str, Any], list[int]]] = [
        ({"toolId": {"eq": "cat1"}}, [0, 1]),
        ({"toolId": {"in": ["cat1", "upload1"]}}, [0, 1, 3]),
        ({"toolId": {"contains": "/bwa_mem/"}}, [2]),
        ({"toolId": {"startsWith": "toolshed"}}, [2]),
        ({"toolVersion": {"eq": "2.0"}}, [1]),
        ({"toolVersion": {"eq": None}}, [2, 3]),
        ({"state": {"in": ["error", "failed"]}}, [1, 3]),
        ({"createdAt": {"gte": "2024-03-01T00:00:00Z", "lt": "2024-03-03T00:00:00Z"}}, [0, 1]),
        ({"not": {"toolId": {"eq": "cat1"}}}, [2, 3]),
        ({"or": [{"state": {"eq": "failed"}}, {"toolVersion": {"eq": "1.0"}}]}, [0, 3]),
        ({"instanceId": {"eq": kept.instance.id}}, [0, 1, 2, 3]),
        ({"instanceId": {"eq": "instance_ffffffffffffffffffffffff"}}, []),
        ({"instanceId": {"in": []}}, []),
        ({"and": [{"instanceId": {"eq": kept.instance.id}}, {"toolId": {"eq": "cat1"}}]}, [0, 1]),
    ]

    for where, expected in questions:
        assert await found(owner, where) == [jobs[number].id for number in expected], where


async def test_jobs_come_in_the_order_that_is_asked_for_and_those_without_a_value_last(owner: Viewer) -> None:
    kept = ActiveInstance(owner)
    facts = [(30, 2, 1.5), (20, 1, None), (10, None, 0.25), (40, 3, 1e9)]
    jobs = [
        kept.job(external_id=id, created_at=START + timedelta(days=day) if day else None, runtime_seconds=seconds)
        for id, day, seconds in facts
    ]
    await kept.keep(*jobs)
    questions = {
        ("CREATED_AT", "DESC"): [3, 0, 1, 2],
        ("CREATED_AT", "ASC"): [1, 0, 3, 2],
        ("EXTERNAL_ID", "DESC"): [3, 0, 1, 2],
        ("EXTERNAL_ID", "ASC"): [2, 1, 0, 3],
        ("RUNTIME_SECONDS", "DESC"): [3, 0, 2, 1],
        ("RUNTIME_SECONDS", "ASC"): [2, 0, 3, 1],
    }

    for (field, direction), expected in questions.items():
        order = {"field": field, "direction": direction}
        assert await found(owner, None, order) == [jobs[number].id for number in expected], order
        assert await paged(owner, order) == [jobs[number].id for number in expected], order


async def paged(viewer: Viewer, order: dict[str, str]) -> list[str]:
    """The ids of all jobs, asked for one by one."""
    query = """query ($after: String, $orderBy: [JobOrder!]) { jobs(first: 1, after: $after, orderBy: $orderBy) {
      nodes { id } pageInfo { hasNextPage endCursor } } }"""
    ids, after, more = [], None, True
    while more:
        page = (await ask(query, viewer, after=after, orderBy=[order]))["jobs"]
        ids += [job["id"] for job in page["nodes"]]
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    return ids


async def paged_back(viewer: Viewer, order: dict[str, str], size: int) -> list[str]:
    """The ids of all jobs in their order, asked for from the end."""
    query = """query ($size: Int, $before: String, $orderBy: [JobOrder!]) {
      jobs(last: $size, before: $before, orderBy: $orderBy) {
        nodes { id } pageInfo { hasPreviousPage startCursor } } }"""
    ids: list[str] = []
    before, more = None, True
    while more:
        page = (await ask(query, viewer, size=size, before=before, orderBy=[order]))["jobs"]
        ids = [job["id"] for job in page["nodes"]] + ids
        before, more = page["pageInfo"]["startCursor"], page["pageInfo"]["hasPreviousPage"]
    return ids


async def test_jobs_of_more_generations_than_an_index_merges_come_in_the_same_order(
    owner: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MAX_MERGED_RANGES", 2)
    several = [ActiveInstance(owner) for _ in range(5)]
    jobs: dict[str, tuple[int, datetime | None]] = {}
    for number, kept in enumerate(several):
        days = [None, START + timedelta(days=number), START + timedelta(days=9 - number)]
        own = [kept.job(external_id=10 * day + number, created_at=at) for day, at in enumerate(days)]
        await kept.keep(*own)
        jobs |= {job.id: (job.external_id, job.created_at) for job in own}

    by_number = await paged(owner, {"field": "EXTERNAL_ID", "direction": "DESC"})
    by_time = await paged(owner, {"field": "CREATED_AT", "direction": "ASC"})

    assert [jobs[id][0] for id in by_number] == sorted((number for number, _ in jobs.values()), reverse=True)
    assert [jobs[id][1] for id in by_time] == [*sorted(at for _, at in jobs.values() if at), *[None] * 5]
    for size in (1, 4):
        assert await paged_back(owner, {"field": "EXTERNAL_ID", "direction": "DESC"}, size) == by_number
        assert await paged_back(owner, {"field": "CREATED_AT", "direction": "ASC"}, size) == by_time


async def test_jobs_of_a_generation_below_many_instances_are_one_find_and_one_count(
    owner: Viewer, round_trips: RoundTrips
) -> None:
    several = [ActiveInstance(owner) for _ in range(4)]
    built = new.a_generation(several[2].instance, status=GenerationStatus.READY)
    for kept in several:
        await kept.keep(*(kept.job() for _ in range(3)))
    wanted = [several[2].job(built, external_id=number) for number in range(30)]
    await keep(built, *wanted)
    query = """query ($where: JobWhere) { instances { nodes { id jobs(first: 3, where: $where) {
      totalCount nodes { id } pageInfo { hasNextPage } } } } }"""

    with round_trips.counting() as seen:
        shown = (await ask(query, owner, where={"generationId": built.id}))["instances"]["nodes"]

    none = {"totalCount": 0, "nodes": [], "pageInfo": {"hasNextPage": False}}
    some = {"totalCount": 30, "nodes": [{"id": job.id} for job in wanted[:3]], "pageInfo": {"hasNextPage": True}}
    found = {one["id"]: one["jobs"] for one in shown}
    assert found == {kept.instance.id: some if kept is several[2] else none for kept in several}
    assert sorted(command for command, where in seen if where in ("jobs", "instances")) == [
        "aggregate", "find", "find", "find"
    ]  # fmt: skip


async def test_jobs_are_those_of_active_generations_unless_another_is_named(owner: Viewer) -> None:
    kept, other = ActiveInstance(owner), ActiveInstance(owner)
    built = new.a_generation(kept.instance, status=GenerationStatus.BUILDING)
    gone = new.a_generation(kept.instance, status=GenerationStatus.DISCARDED)
    active, building, discarded, foreign = (
        kept.job(), kept.job(built), kept.job(gone), other.job()
    )  # fmt: skip
    await kept.keep(active, building, discarded)
    await other.keep(foreign)
    await keep(built, gone)
    below = (
        "query ($id: ID, $where: JobWhere) { instance(id: $id) { jobs(where: $where) { totalCount nodes { id } } } }"
    )

    async def of_instance(where: dict[str, Any] | None) -> list[str]:
        shown = (await ask(below, owner, id=kept.instance.id, where=where))["instance"]["jobs"]
        assert shown["totalCount"] == len(shown["nodes"])
        return [job["id"] for job in shown["nodes"]]

    assert await found(owner) == sorted([active.id, foreign.id], key=lambda id: int(id.rpartition("_")[2]))
    assert await of_instance(None) == [active.id]
    for generation, expected in ((kept.generation, [active.id]), (built, [building.id]), (gone, [])):
        for where in ({"generationId": generation.id}, {"and": [{"generationId": generation.id}]}):
            assert await found(owner, where) == expected
            assert await of_instance(where) == expected
    assert await found(owner, {"generationId": other.generation.id}) == [foreign.id]
    assert await of_instance({"generationId": other.generation.id}) == []
    assert await found(owner, {"not": {"generationId": other.generation.id}}) == [active.id]


async def test_a_job_of_a_generation_that_was_given_up_is_not_found_by_its_id(owner: Viewer) -> None:
    kept = ActiveInstance(owner, public=True)
    gone = new.a_generation(kept.instance, status=GenerationStatus.DISCARDED)
    left, there = kept.job(gone), kept.job()
    await kept.keep(left, there)
    await keep(gone)
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"

    for viewer in (ANONYMOUS, owner):
        assert (await ask(query, viewer, ids=[left.id, there.id]))["nodes"] == [None, {"id": there.id}]


async def test_a_cursor_of_one_generation_is_no_cursor_of_another(owner: Viewer) -> None:
    kept = ActiveInstance(owner)
    built = new.a_generation(kept.instance, status=GenerationStatus.READY)
    await kept.keep(kept.job(), kept.job(built))
    await keep(built)
    query = """query ($where: JobWhere, $after: String) { jobs(first: 1, after: $after, where: $where) {
      pageInfo { endCursor } } }"""
    cursor = (await ask(query, owner))["jobs"]["pageInfo"]["endCursor"]

    code, _ = await refusal(query, owner, after=cursor, where={"generationId": built.id})

    assert code == "BAD_CURSOR"


async def test_instances_are_found_by_a_tool_that_they_have_run(owner: Viewer) -> None:
    stranger = await a_viewer()
    mine, public, hidden = await a_server(owner), await a_server(owner, public=True), await a_server(stranger)
    idle = await a_server(owner)
    for server, tools in ((mine, ["bwa/mem", "cat1"]), (public, ["cat1"]), (hidden, ["bwa/mem", "secret"])):
        rows = [a_row(number, tool=tool) for number, tool in enumerate(tools)]
        await server.sends(report(jobs=rows))
        await server.queues()
    await work()
    query = "query ($where: InstanceWhere) { instances(where: $where) { totalCount nodes { id } } }"

    async def found_by(viewer: Viewer, where: dict[str, Any]) -> list[str]:
        shown = (await ask(query, viewer, where=where))["instances"]
        assert shown["totalCount"] == len(shown["nodes"])
        return [one["id"] for one in shown["nodes"]]

    questions: list[tuple[Viewer, dict[str, Any], list[Server]]] = [
        (owner, {"toolId": {"eq": "cat1"}}, [mine, public]),
        (owner, {"toolId": {"eq": "bwa/mem"}}, [mine]),
        (owner, {"toolId": {"contains": "/mem"}}, [mine]),
        (owner, {"toolId": {"in": ["secret", "bwa/mem"]}}, [mine]),
        (owner, {"toolId": {"eq": "secret"}}, []),
        (owner, {"toolId": {"eq": "cat"}}, []),
        (owner, {"toolId": {"eq": "cat1", "startsWith": "bwa"}}, []),
        (owner, {"toolId": {"eq": "cat1", "contains": "at"}}, [mine, public]),
        (owner, {"toolId": {"eq": None}}, [idle]),
        (owner, {"toolId": {"eq": None, "contains": "at"}}, []),
        (owner, {"not": {"toolId": {"eq": None}}}, [mine, public]),
        (owner, {"toolId": {}}, [mine, public, idle]),
        (owner, {"not": {"toolId": {"eq": "bwa/mem"}}}, [public, idle]),
        (owner, {"public": {"eq": False}, "toolId": {"startsWith": "cat"}}, [mine]),
        (ANONYMOUS, {"toolId": {"startsWith": ""}}, [public]),
        (stranger, {"toolId": {"eq": "bwa/mem"}}, [hidden]),
    ]
    for viewer, where, expected in questions:
        assert await found_by(viewer, where) == [server.id for server in expected], where


async def test_a_tool_of_a_generation_that_is_not_active_finds_no_instance(owner: Viewer) -> None:
    server = await a_server(owner)
    sent = await server.sends(report(jobs=[a_row(1, tool="gone")]))
    await server.queues()
    await work()
    await replace_report(server, sent, report(jobs=[a_row(1, tool="here")]))
    await server.queues()
    query = "query ($tool: String) { instances(where: {toolId: {eq: $tool}}) { totalCount } }"

    before = [(await ask(query, owner, tool=tool))["instances"]["totalCount"] for tool in ("gone", "here")]
    await work()
    after = [(await ask(query, owner, tool=tool))["instances"]["totalCount"] for tool in ("gone", "here")]

    assert (before, after) == ([1, 0], [0, 1])
