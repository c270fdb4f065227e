"""Usage: jobs counted by whatever tells them apart, equal to a recount of the jobs."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from documents.mongo.database import Database
from resolvers.galaxy.statistics import runtimes
from tests.support.asking import ask
from tests.support.usage_oracle import (
    ASK,
    HYPOTHESIS,
    JOBS,
    MOST_USED,
    QUESTIONS,
    TIMES,
    Asked,
    World,
    a_job_of,
    compare,
    distribution,
    percentile,
)


@HYPOTHESIS
@given(jobs=st.lists(JOBS, max_size=25), gone=st.lists(JOBS, max_size=5), data=st.data())
@pytest.mark.parametrize("questions", [QUESTIONS, MOST_USED], ids=["any", "the months with the most jobs"])
async def test_usage_is_a_recount_of_the_jobs(
    database: Database, jobs: list[Any], gone: list[Any], data: st.DataObject, questions: st.SearchStrategy[Asked]
) -> None:
    world = await World.new()
    await world.has([a_job_of(world, one) for one in jobs], [a_job_of(world, one) for one in gone])

    for one in data.draw(st.lists(questions, min_size=1, max_size=4)):
        await compare(world, one)


@HYPOTHESIS
@given(runs=st.lists(st.floats(0.001, 1e6), min_size=1, max_size=30), gone=st.lists(st.floats(0.001, 1e6), max_size=5))
async def test_estimates_are_as_near_as_they_say(database: Database, runs: list[float], gone: list[float]) -> None:
    world = await World.new()
    jobs = [a_job_of(world, (0, "cat1", "1", "ok", TIMES[n % 5], seconds)) for n, seconds in enumerate(runs)]
    await world.has(jobs, [a_job_of(world, (0, "cat1", "1", "ok", TIMES[0], seconds)) for seconds in gone])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtimes, "MAX_EXACT_SAMPLES", 0)
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
