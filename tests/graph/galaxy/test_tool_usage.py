"""Tool usage: its results, its arguments, and its refusals."""

from datetime import datetime

import pytest

import documents
from documents.mongo.database import Database
from resolvers.galaxy.statistics import counts, runtimes
from resolvers.galaxy.statistics.aggregates import delete_usage
from resolvers.reads.rows import collection_of
from tests.conftest import RoundTrips
from tests.support.asking import ADMIN, answer, ask, refusal
from tests.support.usage_oracle import ASK, TIMES, TOOLS, World, a_job_of

RANKED = "{ toolUsage(groupBy: [TOOL], orderBy: {field: RUNTIME_P50}) { toolId runtimeSeconds { p50 p90 p99 max } } }"


@pytest.fixture
async def world(database: Database) -> World:
    return await World.new()


async def test_many_runtimes_are_ranked_by_what_is_shown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [(0, tool, "1", "ok", TIMES[1], n + 10.0**n) for n, tool in enumerate(TOOLS) for _ in range(3)]
    await world.has([a_job_of(world, one) for one in jobs])
    exact = (await ask(RANKED))["toolUsage"]

    monkeypatch.setattr(runtimes, "MAX_EXACT_SAMPLES", 0)
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


@pytest.mark.parametrize("dimensions", [["TOOL"], ["TOOL_VERSION", "STATE"], ["TOOL", "MONTH"], []], ids=str)
@pytest.mark.parametrize(
    ("window", "jobs"),
    [
        ({"gte": "2019-03-20T00:00:00Z"}, 3),
        ({"lt": "2019-03-20T00:00:00Z"}, 3),
        ({"gte": "2019-03-10T00:00:00Z", "lt": "2019-03-20T00:00:00Z"}, 1),
        ({"gt": "2019-03-10T06:00:00Z", "lte": "2019-04-10T06:00:00Z"}, 2),
        ({"gte": "2019-03-01T00:00:00Z", "lt": "2019-04-01T00:00:00Z"}, 3),
    ],
    ids=["begins within a month", "ends within a month", "both", "within days", "is a month"],
)
async def test_a_window_counts_its_own_days_of_the_months_where_it_begins_and_ends(
    world: World, dimensions: list[str], window: dict[str, str], jobs: int
) -> None:
    days = [(2, 28), (3, 1), (3, 10), (3, 20), (4, 10), (4, 20)]
    for month, day in days:
        await world.has([a_job_of(world, (0, "cat1", "1", "ok", datetime(2019, month, day, 6), 60.0))])

    found = await ask(ASK, groupBy=dimensions, where={"createdAt": window})

    assert sum(int(row["jobs"]) for row in found["toolUsage"]) == jobs


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
    monkeypatch.setattr(counts, "MAX_USAGE_GROUPS", 3)
    await world.has([a_job_of(world, (0, tool, "1", "ok", TIMES[1], n + 1.0)) for n, tool in enumerate(TOOLS)])

    found = await refusal("{ toolUsage { jobs } }")

    assert found[0] == "LIMIT_EXCEEDED"
    assert "more than 3 groups" in found[1]
    assert len((await ask("{ toolUsage(groupBy: [MONTH]) { jobs } }"))["toolUsage"]) == 1


async def test_more_runtimes_than_fit_in_memory_are_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "MAX_COUNTS", 3)
    await world.has([a_job_of(world, (0, tool, "1", "ok", TIMES[1], 10.0**n)) for n, tool in enumerate(TOOLS)])

    found = await answer("{ toolUsage { toolId runtimeSeconds { max } } }")

    assert {error["extensions"]["code"] for error in found["errors"]} == {"LIMIT_EXCEEDED"}
    assert [row["runtimeSeconds"] for row in found["data"]["toolUsage"]] == [None] * 4
    assert (await ask("{ toolUsage(first: 3) { runtimeSeconds { max } } }"))["toolUsage"]


async def test_a_forgotten_generation_counts_nothing_and_the_others_as_before(world: World) -> None:
    await world.has([a_job_of(world, (n, "cat1", "1", "ok", TIMES[1], 1.0)) for n in (0, 1)])

    await delete_usage(world.generations[0].id)

    found = await ask("{ toolUsage(groupBy: [INSTANCE]) { instance { id } jobs } }", ADMIN)
    assert found["toolUsage"] == [{"instance": {"id": world.private.id}, "jobs": "1"}]
    kept = {row["generationRef"] async for row in collection_of(documents.DailyUsage).find()}
    assert kept == {world.generations[1].id}
