"""Servers with jobs whose usage is counted, questions to it, and the answers found by looking at each job."""

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

import documents
from documents.galaxy.generation import GenerationStatus
from documents.mongo.transaction import in_transaction
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from resolvers.galaxy.report.usage.cells import cell_of
from resolvers.galaxy.statistics.aggregates import add_usage
from resolvers.reads.rows import collection_of
from tests.support.asking import ADMIN, ask
from tests.support.builders import a_generation, a_job, a_user, an_archive, an_instance

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
                await self.count(generation, own[start : start + 5])
            await self.count(generation, [job for job in taken if job.generation_ref == generation.id], sign=-1)

    async def count(self, generation: documents.Generation, jobs: list[Job], sign: int = 1) -> None:
        cells = [cell_of(job.model_dump(), sign) for job in jobs]
        await in_transaction(lambda session: add_usage(generation.id, cells, session))

    def visible_jobs(self, viewer: Viewer) -> list[Job]:
        """The jobs of active generations that a viewer may read."""
        hidden = [] if viewer.role is Role.ADMIN or viewer.user_id == self.owner.id else [self.private.id]
        active = [one.id for one in self.generations if one.status is GenerationStatus.ACTIVE]
        return [job for job in self.jobs if job.generation_ref in active and job.instance_ref not in hidden]


TIMES = [
    datetime(2018, 12, 31, 23, 59, 59, 999000),
    datetime(2019, 1, 1),
    datetime(2019, 1, 1, 12),
    datetime(2019, 1, 15),
    datetime(2019, 1, 31, 7, 30),
    datetime(2019, 2, 1),
    datetime(2019, 2, 14, 12),
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


def combinations(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
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
    combinations,
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


MOST_USED = st.builds(
    lambda asked, dimensions, first: replace(asked, dimensions=dimensions, field="JOBS", direction="DESC", first=first),
    QUESTIONS,
    st.sampled_from([["TOOL", "MONTH"], ["TOOL", "INSTANCE", "MONTH"]]),
    st.sampled_from([1, 2, 3, 100]),
)
"""Questions for which no more groups are made than are shown."""


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


async def compare(world: World, asked: Asked) -> None:
    """Ask, and compare with a recount."""
    viewer = {"stranger": ANONYMOUS, "owner": Viewer(Role.USER, world.owner.id), "admin": ADMIN}[asked.viewer]
    where, jobs = dict(asked.condition.where), world.visible_jobs(viewer)
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
