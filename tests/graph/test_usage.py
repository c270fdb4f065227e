"""Usage: jobs counted by whatever tells them apart, equal to a recount of the jobs."""

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import documents
from documents.database import Database, in_transaction
from documents.generation import GenerationStatus
from resolvers import usage_counts, usage_runtimes
from resolvers.fetch import collection_of
from resolvers.ingest.report.cells import cell_of
from resolvers.usage_totals import add_usage, forget_usage
from resolvers.viewer import ANONYMOUS, Role, Viewer
from tests.asking import ADMIN, answer, ask, refusal
from tests.builders import a_generation, a_job, a_user, an_archive, an_instance
from tests.conftest import RoundTrips

ASK = """query ($where: JobWhere, $groupBy: [UsageDimension!]!, $first: Int, $orderBy: ToolUsageOrder) {
  toolUsage(where: $where, groupBy: $groupBy, first: $first, orderBy: $orderBy) {
    toolId toolVersion instance { id } state periodStart jobs failed instances
    runtimeSeconds { p50 p90 p99 max samples relativeError histogram { from to count } }
  }
}"""
FIELDS = {"TOOL": "tool_id", "TOOL_VERSION": "tool_version", "INSTANCE": "instance_ref", "STATE": "state"}
SHOWN = {"tool_id": "toolId", "tool_version": "toolVersion", "instance_ref": "instance", "state": "state"}
PERIODS = ("DAY", "WEEK", "MONTH")
HYPOTHESIS = settings(
    max_examples=60,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
Job = documents.Job


@dataclass
class World:
    """A public server, a private one, and two generations of the public one of which one is active."""

    owner: documents.User
    public: documents.Instance
    private: documents.Instance
    generations: list[documents.Generation]
    archive: documents.Archive
    jobs: list[Job]

    @classmethod
    async def new(cls) -> "World":
        for document in (documents.Job, documents.Usage, documents.DailyUsage, documents.Instance):
            await collection_of(document).delete_many({})
        await collection_of(documents.Generation).delete_many({})
        owner = a_user()
        public, private = an_instance(public=True), an_instance(owner)
        generations = [
            a_generation(public),
            a_generation(private),
            a_generation(public, status=GenerationStatus.RETIRED),
        ]
        for one in (public, private, *generations):
            await one.insert()
        return cls(owner, public, private, generations, an_archive(public), [])

    async def has(self, jobs: Iterable[Job], gone: Iterable[Job] = ()) -> None:
        """Store jobs and count them, some at a time; those that are gone were counted, and taken away again."""
        kept, taken = list(jobs), list(gone)
        self.jobs += kept
        if kept:
            await Job.insert_many(kept)
        for generation in self.generations:
            own = [job for job in (*kept, *taken) if job.generation_ref == generation.id]
            for start in range(0, len(own), 5):
                await self.counted(generation, own[start : start + 5])
            await self.counted(generation, [job for job in taken if job.generation_ref == generation.id], sign=-1)

    async def counted(self, generation: documents.Generation, jobs: list[Job], sign: int = 1) -> None:
        cells = [cell_of(job.model_dump(), sign) for job in jobs]
        await in_transaction(lambda session: add_usage(generation.id, cells, session))

    def seen(self, viewer: Viewer) -> list[Job]:
        """The jobs of active generations that a viewer may read."""
        hidden = [] if viewer.role is Role.ADMIN or viewer.user_id == self.owner.id else [self.private.id]
        active = [one.id for one in self.generations if one.status is GenerationStatus.ACTIVE]
        return [job for job in self.jobs if job.generation_ref in active and job.instance_ref not in hidden]


TIMES = [
    datetime(2018, 12, 31, 23, 59, 59, 999000),
    datetime(2019, 1, 1),
    datetime(2019, 1, 1, 12),
    datetime(2019, 1, 31, 7, 30),
    datetime(2019, 2, 1),
    datetime(2019, 2, 28, 23, 59, 59, 999000),
    datetime(2019, 3, 1),
    datetime(2020, 2, 29, 1, 2, 3, 4000),
]
TOOLS = ["cat1", "shed.example/repos/o/cat/1.0", "$Cut.1", "Cat1"]
STATES = ["ok", "error", "failed", "deleted_new"]
RUNTIMES = st.none() | st.sampled_from([0.0, 1.0, 60.0, 60.5, 86400.0, -3.0]) | st.floats(0.001, 1e6)
JOBS = st.tuples(
    st.integers(0, 2),
    st.sampled_from(TOOLS),
    st.sampled_from(["1.0", "1.1", None]),
    st.sampled_from(STATES),
    st.none() | st.sampled_from(TIMES),
    RUNTIMES,
)


@dataclass
class Condition:
    """A where, and which jobs match it."""

    where: dict[str, Any]
    matches: Callable[[Job], bool]


def text(name: str, of: str, values: list[Any]) -> st.SearchStrategy[Condition]:
    some = st.sampled_from(values)
    known = st.sampled_from([value for value in values if value is not None])
    return st.one_of(
        some.map(lambda value: Condition({name: {"eq": value}}, lambda job: getattr(job, of) == value)),
        st.lists(known, max_size=2).map(
            lambda several: Condition({name: {"in": several}}, lambda job: getattr(job, of) in several)
        ),
        known.map(lambda value: value[1:3]).map(
            lambda part: Condition({name: {"contains": part}}, lambda job: part in (getattr(job, of) or ""))
        ),
        known.map(lambda value: value[:2]).map(
            lambda part: Condition({name: {"startsWith": part}}, lambda job: (getattr(job, of) or "").startswith(part))
        ),
    )


@st.composite
def window(draw: st.DrawFn) -> Condition:
    bounds = draw(
        st.dictionaries(st.sampled_from(["gte", "gt", "lte", "lt"]), st.sampled_from(TIMES), min_size=1, max_size=2)
    )
    compare: dict[str, Callable[[datetime, datetime], bool]] = {
        "gte": lambda at, bound: at >= bound,
        "gt": lambda at, bound: at > bound,
        "lte": lambda at, bound: at <= bound,
        "lt": lambda at, bound: at < bound,
    }

    def matches(job: Job) -> bool:
        at = job.created_at
        return at is not None and all(compare[name](at.replace(tzinfo=None), bound) for name, bound in bounds.items())

    return Condition({"createdAt": {name: f"{bound.isoformat()}Z" for name, bound in bounds.items()}}, matches)


def combined(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        several.map(
            lambda all_: Condition({"and": [one.where for one in all_]}, lambda job: all(o.matches(job) for o in all_))
        ),
        several.map(
            lambda any_: Condition({"or": [one.where for one in any_]}, lambda job: any(o.matches(job) for o in any_))
        ),
        inner.map(lambda one: Condition({"not": one.where}, lambda job: not one.matches(job))),
    )


CONDITIONS = st.recursive(
    st.one_of(
        text("toolId", "tool_id", TOOLS),
        text("toolVersion", "tool_version", ["1.0", "1.1", None]),
        text("state", "state", STATES),
        window(),
        window(),
    ),
    combined,
    max_leaves=4,
)


@dataclass
class Asked:
    """A question to usage."""

    condition: Condition
    dimensions: list[str]
    field: str
    direction: str
    first: int
    viewer: str
    instance: str | None
    retired: bool


QUESTIONS = st.builds(
    Asked,
    st.one_of(st.just(Condition({}, lambda job: True)), CONDITIONS),
    st.builds(
        lambda fields, period: fields + period,
        st.lists(st.sampled_from(sorted(FIELDS)), max_size=4),
        st.just([]) | st.sampled_from(PERIODS).map(lambda one: [one]),
    ),
    st.sampled_from(["JOBS", "FAILED", "RUNTIME_P50", "PERIOD_START", "TOOL"]),
    st.sampled_from(["ASC", "DESC"]),
    st.sampled_from([0, 1, 3, 100]),
    st.sampled_from(["stranger", "owner", "admin"]),
    st.none() | st.sampled_from(["public", "private"]),
    st.booleans(),
)


def start_of(job: Job, period: str) -> datetime | None:
    if job.created_at is None:
        return None
    at = job.created_at.replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    return {"DAY": at, "WEEK": at - timedelta(days=at.isoweekday() - 1), "MONTH": at.replace(day=1)}[period]


def percentile(values: list[float], percent: int) -> float:
    return values[0] if len(values) == 1 else statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def distribution(jobs: list[Job]) -> dict[str, Any] | None:
    values = sorted(job.runtime_seconds for job in jobs if job.runtime_seconds is not None)
    if not values:
        return None
    low, high = (values[0], values[-1]) if values[0] < values[-1] else (values[0] - 0.5, values[0] + 0.5)
    edges = [low + (high - low) / 10 * n for n in range(10)] + [high]
    bins = [
        sum(edges[n] <= value < edges[n + 1] or (n == 9 and value == edges[10]) for value in values) for n in range(10)
    ]
    return {
        **{f"p{percent}": pytest.approx(percentile(values, percent), abs=1e-9) for percent in (50, 90, 99)},
        "max": values[-1],
        "samples": str(len(values)),
        "relativeError": 0.0,
        "histogram": [{"from": edges[n], "to": edges[n + 1], "count": str(bins[n])} for n in range(10)],
    }


def recount(jobs: list[Job], asked: Asked) -> list[dict[str, Any]]:
    """The answer, found by looking at each job."""
    names = [name for dimension, name in FIELDS.items() if dimension in asked.dimensions]
    period = next((one for one in asked.dimensions if one in PERIODS), None)
    groups: dict[tuple[Any, ...], list[Job]] = {}
    for job in jobs:
        key = tuple(getattr(job, name) for name in names) + ((start_of(job, period),) if period else ())
        groups.setdefault(key, []).append(job)

    def value(key: tuple[Any, ...]) -> Any:
        times = sorted(job.runtime_seconds for job in groups[key] if job.runtime_seconds is not None)
        return {
            "JOBS": len(groups[key]),
            "FAILED": sum(job.state in ("error", "failed") for job in groups[key]),
            "RUNTIME_P50": percentile(times, 50) if times else None,
            "PERIOD_START": key[-1] if period else None,
            "TOOL": key[0] if "TOOL" in asked.dimensions else None,
        }[asked.field]

    keys = sorted(groups, key=lambda key: [(part is None, part) for part in key])
    valued = sorted((k for k in keys if value(k) is not None), key=value, reverse=asked.direction == "DESC")
    found = []
    for key in (valued + [k for k in keys if value(k) is None])[: asked.first]:
        row: dict[str, Any] = dict.fromkeys(SHOWN.values())
        row |= {SHOWN[name]: part for name, part in zip(names, key, strict=False)}
        row["instance"] = row["instance"] and {"id": row["instance"]}
        start = key[-1] if period else None
        own = groups[key]
        found.append(
            row
            | {"periodStart": start and f"{start.isoformat(timespec='milliseconds')}Z"}
            | {"jobs": str(len(own)), "failed": str(sum(job.state in ("error", "failed") for job in own))}
            | {"instances": len({job.instance_ref for job in own}), "runtimeSeconds": distribution(own)}
        )
    return found


def a_job_of(world: World, said: tuple[Any, ...]) -> Job:
    number, tool, version, state, at, seconds = said
    fields = {"tool_id": tool, "tool_version": version, "state": state, "created_at": at, "runtime_seconds": seconds}
    return a_job(world.generations[number], world.archive, **fields)


async def compared(world: World, asked: Asked) -> None:
    """Ask, and compare with a recount."""
    viewer = {"stranger": ANONYMOUS, "owner": Viewer(Role.USER, world.owner.id), "admin": ADMIN}[asked.viewer]
    where, jobs = dict(asked.condition.where), world.seen(viewer)
    if asked.retired:
        where["generationId"] = world.generations[2].id
        jobs = [job for job in world.jobs if job.generation_ref == world.generations[2].id]
    if asked.instance:
        where["instanceId"] = {"eq": getattr(world, asked.instance).id}
        jobs = [job for job in jobs if job.instance_ref == getattr(world, asked.instance).id]
    expected = recount([job for job in jobs if asked.condition.matches(job)], asked)

    order = {"field": asked.field, "direction": asked.direction}
    variables = {"where": where, "groupBy": asked.dimensions, "first": asked.first, "orderBy": order}
    found = await ask(ASK, viewer, **variables)

    assert found["toolUsage"] == expected


@HYPOTHESIS
@given(
    jobs=st.lists(JOBS, max_size=25), gone=st.lists(JOBS, max_size=5), asked=st.lists(QUESTIONS, min_size=1, max_size=4)
)
async def test_usage_is_a_recount_of_the_jobs(
    database: Database, jobs: list[Any], gone: list[Any], asked: list[Asked]
) -> None:
    world = await World.new()
    await world.has([a_job_of(world, one) for one in jobs], [a_job_of(world, one) for one in gone])

    for one in asked:
        await compared(world, one)


@pytest.fixture
async def world(database: Database) -> World:
    return await World.new()


RANKED = "{ toolUsage(groupBy: [TOOL], orderBy: {field: RUNTIME_P50}) { toolId runtimeSeconds { p50 p90 p99 max } } }"


@HYPOTHESIS
@given(runs=st.lists(st.floats(0.001, 1e6), min_size=1, max_size=30), gone=st.lists(st.floats(0.001, 1e6), max_size=5))
async def test_estimates_are_as_near_as_they_say(database: Database, runs: list[float], gone: list[float]) -> None:
    world = await World.new()
    jobs = [a_job_of(world, (0, "cat1", "1", "ok", TIMES[n % 5], seconds)) for n, seconds in enumerate(runs)]
    await world.has(jobs, [a_job_of(world, (0, "cat1", "1", "ok", TIMES[0], seconds)) for seconds in gone])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(usage_runtimes, "EXACT_SAMPLES", 0)
        found = await ask(ASK, groupBy=["TOOL"])

    (row,) = found["toolUsage"]
    estimated, exact = row["runtimeSeconds"], distribution(jobs)
    assert exact is not None
    assert (estimated["samples"], estimated["relativeError"]) == (exact["samples"], 0.01)
    for name, value in [(f"p{percent}", percentile(sorted(runs), percent)) for percent in (50, 90, 99)]:
        assert estimated[name] == pytest.approx(value, rel=0.0101)
    assert estimated["max"] == (pytest.approx(max(runs), rel=0.0101) if gone else max(runs))
    bins = estimated["histogram"]
    assert sum(int(one["count"]) for one in bins) == len(runs)
    assert [one["to"] for one in bins[:-1]] == [one["from"] for one in bins[1:]]
    if min(runs) < max(runs) * 0.95:
        assert (bins[0]["from"], bins[-1]["to"]) == pytest.approx((min(runs), max(runs)), rel=0.0101)


async def test_many_runtimes_are_ranked_by_what_is_shown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [(0, tool, "1", "ok", TIMES[1], n + 10.0**n) for n, tool in enumerate(TOOLS) for _ in range(3)]
    await world.has([a_job_of(world, one) for one in jobs])
    exact = (await ask(RANKED))["toolUsage"]

    monkeypatch.setattr(usage_runtimes, "EXACT_SAMPLES", 0)
    estimated = (await ask(RANKED))["toolUsage"]

    assert [one["toolId"] for one in exact] == [one["toolId"] for one in estimated] == TOOLS[::-1]
    # All days of a chunk are in the group, so that the longest of them is known.
    assert [one["runtimeSeconds"]["max"] for one in estimated] == [n + 10.0**n for n in range(4)][::-1]


async def test_jobs_on_their_way_in_are_not_taken_for_counted_ones(world: World) -> None:
    await world.has([a_job_of(world, (0, "cat1", "1", "ok", TIMES[1], 60.0))])
    await a_job_of(world, (0, "cat1", "1", "ok", TIMES[1], 7000.0)).insert()

    found = await ask(ASK, groupBy=["TOOL"])

    (row,) = found["toolUsage"]
    assert (row["jobs"], row["runtimeSeconds"]["samples"], row["runtimeSeconds"]["max"]) == ("1", "1", 60.0)


async def test_names_of_tools_may_hold_anything(world: World) -> None:
    odd = ["a.b", "$inc", "a\0b", "é" * 400, "month.2019", "", "None"]
    await world.has([a_job_of(world, (0, tool, tool, tool, TIMES[1], 1.0)) for tool in odd])

    found = await ask(ASK, groupBy=["TOOL", "TOOL_VERSION", "STATE"], orderBy={"field": "TOOL", "direction": "ASC"})

    shown = [(row["toolId"], row["toolVersion"], row["state"], row["jobs"]) for row in found["toolUsage"]]
    assert shown == [(tool, tool, tool, "1") for tool in sorted(odd)]


async def test_the_usage_of_many_servers_takes_as_few_round_trips_as_that_of_one(
    world: World, round_trips: RoundTrips
) -> None:
    await world.has([a_job_of(world, (n % 2, "cat1", "1", "ok", TIMES[n % 8], 60.0 + n)) for n in range(10)])
    query = """{ instances(orderBy: [{field: CREATED_AT}]) { nodes { toolUsage(groupBy: [TOOL, MONTH], first: 2) {
      toolId periodStart jobs instance { id } runtimeSeconds { p50 samples } } } } }"""

    found = await ask(query, ADMIN)
    with round_trips.counting() as seen:
        again = await ask(query, ADMIN)

    assert again == found
    assert [len(one["toolUsage"]) for one in found["instances"]["nodes"]] == [2, 2]
    assert sorted(seen) == [("find", name) for name in ("dailyUsage", "generations", "instances", "jobs", "usage")]


async def test_each_server_has_its_own_groups(world: World) -> None:
    await world.has([a_job_of(world, (0, "cat1", "1", "ok", TIMES[1], 1.0)) for _ in range(3)])
    await world.has([a_job_of(world, (1, "Cat1", "1", "error", TIMES[1], None))])
    query = "{ instances { nodes { id toolUsage { toolId jobs failed instances runtimeSeconds { samples } } } } }"

    shown = {one["id"]: one["toolUsage"] for one in (await ask(query, ADMIN))["instances"]["nodes"]}

    public = {"toolId": "cat1", "jobs": "3", "failed": "0", "instances": 1, "runtimeSeconds": {"samples": "3"}}
    private = {"toolId": "Cat1", "jobs": "1", "failed": "1", "instances": 1, "runtimeSeconds": None}
    assert shown == {world.public.id: [public], world.private.id: [private]}
    assert [one["id"] for one in (await ask(query))["instances"]["nodes"]] == [world.public.id]


async def test_several_usages_in_one_answer_do_not_mix(world: World) -> None:
    await world.has([a_job_of(world, (0, "cat1", "1", "ok", TIMES[1], 1.0))])
    await world.has([a_job_of(world, (0, "Cat1", "1", "error", TIMES[3], 100.0))])
    query = """{
      a: toolUsage(where: {state: {eq: "ok"}}) { toolId runtimeSeconds { max } }
      b: toolUsage(where: {state: {eq: "error"}}) { toolId runtimeSeconds { max } }
      c: toolUsage(groupBy: [], where: {toolId: {eq: "nothing"}}) { jobs }
    }"""

    found = await ask(query)

    assert found["a"] == [{"toolId": "cat1", "runtimeSeconds": {"max": 1.0}}]
    assert found["b"] == [{"toolId": "Cat1", "runtimeSeconds": {"max": 100.0}}]
    assert found["c"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("first: 101", "first must be between 0 and 100, not 101."),
        ("first: -1", "first must be between 0 and 100, not -1."),
        ("groupBy: [DAY, MONTH]", "Group by DAY or MONTH, not by both."),
        ("groupBy: [TOOL, WEEK, DAY]", "Group by DAY or WEEK, not by both."),
    ],
)
async def test_what_cannot_be_shown_is_refused(world: World, arguments: str, message: str) -> None:
    found = await refusal(f"{{ toolUsage({arguments}) {{ jobs }} }}")

    assert found == ("BAD_USER_INPUT", message)


async def test_a_dimension_may_be_named_twice(world: World) -> None:
    await world.has([a_job_of(world, (0, "cat1", "1", "ok", None, None))])

    found = await ask("{ toolUsage(groupBy: [TOOL, DAY, TOOL, DAY]) { toolId periodStart jobs } }")

    assert found["toolUsage"] == [{"toolId": "cat1", "periodStart": None, "jobs": "1"}]


async def test_more_groups_than_anybody_looks_at_are_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_counts, "MOST_GROUPS", 3)
    await world.has([a_job_of(world, (0, tool, "1", "ok", TIMES[1], n + 1.0)) for n, tool in enumerate(TOOLS)])

    found = await refusal("{ toolUsage { jobs } }")

    assert found[0] == "LIMIT_EXCEEDED"
    assert "more than 3 groups" in found[1]
    assert len((await ask("{ toolUsage(groupBy: [MONTH]) { jobs } }"))["toolUsage"]) == 1


async def test_more_runtimes_than_fit_in_memory_are_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_runtimes, "MOST_COUNTS", 3)
    await world.has([a_job_of(world, (0, tool, "1", "ok", TIMES[1], 10.0**n)) for n, tool in enumerate(TOOLS)])

    found = await answer("{ toolUsage { toolId runtimeSeconds { max } } }")

    assert {error["extensions"]["code"] for error in found["errors"]} == {"LIMIT_EXCEEDED"}
    assert [row["runtimeSeconds"] for row in found["data"]["toolUsage"]] == [None] * 4
    assert (await ask("{ toolUsage(first: 3) { runtimeSeconds { max } } }"))["toolUsage"]


async def test_a_forgotten_generation_counts_nothing_and_the_others_as_before(world: World) -> None:
    await world.has([a_job_of(world, (n, "cat1", "1", "ok", TIMES[1], 1.0)) for n in (0, 1)])

    await forget_usage(world.generations[0].id)

    found = await ask("{ toolUsage(groupBy: [INSTANCE]) { instance { id } jobs } }", ADMIN)
    assert found["toolUsage"] == [{"instance": {"id": world.private.id}, "jobs": "1"}]
    kept = {row["generationRef"] async for row in collection_of(documents.DailyUsage).find()}
    assert kept == {world.generations[1].id}
