"""Jobs that several reports tell of: counted once, as the latest report tells, whoever came first."""

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import documents
from documents.mongo.database import Database
from resolvers.reads.rows import collection_of
from tests.support.ingesting import Server, jobs, parts_of, read_here, recounted_hash, recounted_usage, usage, works
from tests.support.patience import within

EARLY, LATE = jobs(*range(1, 11), state="running"), jobs(*range(6, 16), state="error")


async def one_after_the_other(*reports: tuple[bytes, int]) -> tuple[Server, list[dict[str, Any]]]:
    """A server that sent reports generated on these days, each ingested before the next; the parts of all."""
    server, parts = await Server.new(), []
    for content, day in reports:
        ingestion = await server.queues(await server.sends(content, day=day))
        await works()
        parts += await parts_of(ingestion)
    return server, parts


@pytest.mark.parametrize("later_first", [False, True])
@pytest.mark.usefixtures("database")
async def test_a_job_in_two_reports_is_counted_once_as_the_later_one_tells(later_first: bool) -> None:
    reports = [(EARLY, 1), (LATE, 2)]

    server, parts = await one_after_the_other(*(reversed(reports) if later_first else reports))

    assert await server.states() == {id: "running" if id < 6 else "error" for id in range(1, 16)}
    generation = await server.generation()
    assert (generation["archives"], generation["jobs"]) == (2, 15)
    assert [part["counts"]["duplicates"] for part in parts] == [0, 5]
    assert sum(part["counts"]["jobs"] - part["counts"]["duplicates"] for part in parts) == 15


@pytest.mark.usefixtures("database")
async def test_the_order_of_ingestion_makes_no_difference() -> None:
    third = jobs(*range(8, 20), tool="cut1")
    one, _ = await one_after_the_other((EARLY, 1), (LATE, 2), (third, 3))
    other, _ = await one_after_the_other((third, 3), (LATE, 2), (EARLY, 1))
    together = await Server.new()
    for content, day in ((LATE, 2), (third, 3), (EARLY, 1)):
        await together.sends(content, day=day)
    await together.queues()
    await works(workers=3)

    assert await one.contents() == await other.contents() == await together.contents()


@pytest.mark.usefixtures("database")
async def test_the_same_report_under_another_identifier_adds_nothing_but_an_archive() -> None:
    server, _ = await one_after_the_other((EARLY, 1))
    before = await server.contents()

    again = await server.queues(await server.sends(EARLY, day=2))
    await works()

    after = await server.contents()
    assert (after.archives, after.jobs, after.content_hash) == (2, before.jobs, before.content_hash)
    assert (after.rows, after.usage) == (before.rows, before.usage)
    assert (await parts_of(again))[0]["counts"]["duplicates"] == 10


@pytest.mark.usefixtures("database")
async def test_two_workers_on_twelve_overlapping_reports_make_what_one_makes() -> None:
    chance = random.Random(4)
    reports = [(jobs(*range(n * 20, n * 20 + 60), state=f"s{n}"), day) for n, day in enumerate(_shuffled(chance, 12))]
    servers = [await Server.new(), await Server.new()]
    for server, workers in zip(servers, (1, 2), strict=True):
        for content, day in reports:
            await server.sends(content, day=day)
        await server.queues()
        await works(workers=workers)

    one, two = [await server.contents() for server in servers]
    assert one == two
    assert (one.archives, one.jobs) == (12, 280)


def _shuffled(chance: random.Random, count: int) -> list[int]:
    days = list(range(count))
    chance.shuffle(days)
    return days


REPORT = st.tuples(st.frozensets(st.integers(1, 12), min_size=1, max_size=8), st.sampled_from(["ok", "error", "new"]))


@pytest.mark.timeout(within(600))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(reports=st.lists(REPORT, min_size=2, max_size=5), seed=st.integers(0, 2**16), workers=st.sampled_from([1, 2, 3]))
async def test_jobs_are_those_of_a_model_whatever_overlaps_and_whoever_is_first(
    database: Database, reports: list[tuple[frozenset[int], str]], seed: int, workers: int
) -> None:
    server, chance, expected = await Server.new(), random.Random(seed), dict[int, str]()
    for ids, state in reports:
        expected |= dict.fromkeys(ids, state)

    order = list(enumerate(reports))
    chance.shuffle(order)
    for day, (ids, state) in order:
        sent = await server.sends(jobs(*sorted(ids), state=state), day=day)
        if chance.random() < 0.5:
            await server.queues(sent)
    if await collection_of(documents.IngestionPart).count_documents({"instanceRef": server.id}) < len(reports):
        await server.queues()
    await works(workers=workers, read=read_here)

    generation = await server.generation()
    assert await server.states() == expected
    assert (generation["archives"], generation["jobs"]) == (len(reports), len(expected))
    assert generation["content_hash"] == await recounted_hash(generation["_id"])
    assert (await usage(generation["_id"])) == await recounted_usage(generation["_id"])
