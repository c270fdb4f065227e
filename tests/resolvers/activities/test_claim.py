"""Many claims at once, and what they cost the database."""

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import pytest

import documents
from documents.activities.activity import ActivityStatus
from documents.embedded_mongod.server import EmbeddedMongo
from documents.mongo.database import Database
from documents.mongo.transaction import in_transaction
from resolvers.access.viewer import Viewer
from resolvers.activities.claim import claim_activity
from resolvers.activities.lease import extend_lease, requeue_expired
from resolvers.activities.lifecycle import complete_activity
from resolvers.activities.log_entry import append_logs
from resolvers.reads.rows import collection_of
from resolvers.twins.cancel_execution import cancel_execution
from tests.support import builders as new
from tests.support.asking import ADMIN
from tests.support.builders import keep
from tests.support.claim_all import claim_all
from tests.support.clock import Clock
from tests.support.forking import forks
from tests.support.patience import within
from tests.support.runs import WORKER, Dag, a_dag, a_worker, new_dag

CLAIMERS = 64
STEPS = 320
"""Five for each of them, and more than a query of the queue reads."""

pytestmark = [pytest.mark.usefixtures("database"), pytest.mark.timeout(within(600))]


async def claim(viewer: Viewer, worker: str) -> Any:
    """Claim an activity; returns it, or None."""
    return (await claim_activity(viewer, worker=worker, lease_seconds=600))["activity"]


async def many_steps(executions: int, steps: int = STEPS) -> None:
    """So many steps that wait, in so many executions."""
    dags = [new_dag(**{f"s{number}": "" for number in range(steps // executions)}) for _ in range(executions)]
    await keep(*(dag.execution for dag in dags), *(step for dag in dags for step in dag.steps.values()))


@pytest.mark.parametrize(("executions", "tokens"), [(1, 1), (20, 8)])
async def test_64_claimers_of_many_steps_get_each_step_once(executions: int, tokens: int) -> None:
    await many_steps(executions)
    claimed: list[str] = []
    seconds: list[float] = []

    async def claimer(number: int) -> None:
        while True:
            begun = perf_counter()
            step = await claim(a_worker(number % tokens), f"worker-{number}")
            seconds.append(perf_counter() - begun)
            if step is None:
                return
            claimed.append(step["_id"])

    begun = perf_counter()
    await asyncio.gather(*(claimer(number) for number in range(CLAIMERS)))
    took = perf_counter() - begun

    _report(f"{executions} executions, {tokens} tokens", took, seconds)
    assert len(claimed) == len(set(claimed)) == STEPS
    rows = await collection_of(documents.Step).find({}, {"status": 1, "attempt": 1}).to_list()
    assert {(row["status"], row["attempt"]) for row in rows} == {("RUNNING", 1)}
    running = {"status": "RUNNING", "revision": 2}
    assert await collection_of(documents.Execution).count_documents(running) == executions


async def test_processes_that_claim_at_once_get_each_step_once(database: Database, mongod: EmbeddedMongo) -> None:
    await many_steps(4, 240)
    meetings, processes = [], []
    for number in range(3):
        ours, theirs = forks.Pipe()
        process = forks.Process(target=claim_all, args=(number, mongod.uri, database.name, theirs), daemon=True)
        process.start()
        theirs.close()
        meetings.append(ours)
        processes.append(process)
    assert await next_answers(meetings) == ["ready"] * 3
    for meeting in meetings:
        meeting.send(None)
    first = await next_answers(meetings)

    for meeting in meetings:
        meeting.send(None)
    others = await next_answers(meetings)

    claimed = [*first, *(id for of_process in others for id in of_process)]
    for process in processes:
        process.join(within())
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(claimed) == len(set(claimed)) == 240
    assert all(id.startswith(documents.Step.kind) for id in claimed)


async def next_answers(meetings: list[Any]) -> list[Any]:
    """The next answer of each process."""
    return [await asyncio.to_thread(meeting.recv) for meeting in meetings]


def _report(what: str, took: float, seconds: list[float]) -> None:
    ranked = sorted(seconds)
    p50, p99 = (ranked[int(len(ranked) * share)] * 1000 for share in (0.5, 0.99))
    sys.stdout.write(f"\n{what}: {STEPS / took:,.0f} claims/s, p50 {p50:.0f} ms, p99 {p99:.0f} ms\n")


async def test_a_claim_that_is_given_up_keeps_nothing_from_others() -> None:
    await a_dag(a="", b="")
    impatient = [asyncio.create_task(claim(WORKER, f"impatient-{number}")) for number in range(20)]
    for task in impatient:
        await asyncio.sleep(random.uniform(0, 0.002))
        task.cancel()
    await asyncio.gather(*impatient, return_exceptions=True)

    await collection_of(documents.Step).update_many({}, {"$set": {"status": "READY"}})

    assert [bool(await claim(WORKER, "patient")) for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("outcome", ["SUCCEEDED", "FAILED"])
async def test_the_last_steps_end_together_and_so_does_the_execution(outcome: str) -> None:
    for _ in range(10):
        dag = await a_dag(a="", b="", c="", d="abc")
        steps = [await claim(WORKER, "w") for _ in range(3)]

        await asyncio.gather(*(_complete(step["_id"], "SUCCEEDED" if step is steps[0] else outcome) for step in steps))
        last = await claim(WORKER, "w")
        if last is not None:
            await _complete(last["_id"], outcome)

        statuses = await dag.statuses()
        assert statuses["d"] == ("SUCCEEDED" if outcome == "SUCCEEDED" else "CANCELLED")
        assert (await dag.stored_execution())["status"] == outcome


async def _complete(id: str, outcome: str) -> None:
    await in_transaction(
        lambda session: complete_activity(session, WORKER, id=id, worker="w", attempt=1, outcome=outcome)
    )


@asynccontextmanager
async def profiled(database: Database) -> AsyncIterator[list[dict[str, Any]]]:
    """The database's operations within the block, each with its plan."""
    operations: list[dict[str, Any]] = []
    await database.command("profile", 2)
    try:
        yield operations
    finally:
        await database.command("profile", 0)
        other = {"ns": {"$ne": f"{database.name}.system.profile"}, "command.profile": {"$exists": False}}
        operations += await database["system.profile"].find(other).to_list()
        await database.drop_collection("system.profile")


async def test_nothing_that_workers_do_scans_a_collection(database: Database, clock: Clock) -> None:
    await many_steps(6, 600)
    ended = new_dag(**{f"s{number}": "" for number in range(300)})
    for step in ended.steps.values():
        step.status = ActivityStatus.SUCCEEDED
    resources = [new_resource() for _ in range(50)]
    waiting = [documents.Transform(resource_ref=one.id, status=ActivityStatus.READY) for one in resources]
    await keep(*ended.steps.values(), *resources, *waiting)
    dag = await a_dag(a="", b="a", c="a")
    await a_rerun(dag)

    async with profiled(database) as operations:
        await _work_through(dag.execution.id, clock)

    lent = [one for one in operations if one["op"] == "update" and "borrowers" in str(one["command"].get("u"))]
    assert len(lent) >= 4
    scans = [one for one in operations if "COLLSCAN" in one.get("planSummary", "")]
    sorts = [one for one in operations if one.get("hasSortStage") and one["ns"].endswith((".steps", ".transforms"))]
    assert (scans, sorts) == ([], [])
    looks = [one for one in operations if one["op"] == "query" and one["ns"].endswith(".steps")]
    assert len(looks) > 10
    # A look reads some more than it takes, and an expired lease reads its execution's hundred steps. There are 900.
    assert max(one["docsExamined"] for one in looks) <= 250


async def a_rerun(dag: Dag) -> None:
    """An execution that reuses a step of another, and whose one step waits before all others."""
    execution = new.an_execution(new.a_twin(dag.owner), status=ActivityStatus.READY)
    reused = new.a_step(execution, status=ActivityStatus.SUCCEEDED, reused_from_ref=dag.steps["a"].id)
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    step = new.a_step(execution, ordinal=1, status=ActivityStatus.READY, created_at=long_ago)
    await keep(execution, reused, step, new.an_output(dag.steps["a"]))


def new_resource() -> documents.Resource:
    """A resource, only to be referred to."""
    return documents.Resource(
        organisation_ref="organisation_1", title="t", code_repo=documents.catalogue.resource.CodeRepo()
    )


async def _work_through(execution_id: str, clock: Clock) -> None:
    for number in range(10):
        activity = await claim(a_worker(number % 2), "w")
        viewer, id = a_worker(number % 2), activity["_id"]
        await extend_lease(viewer, id=id, worker="w", attempt=1, lease_seconds=60)
        line = {"timestamp": activity["start_timestamp"], "level": "INFO", "message": "m"}
        await in_transaction(
            lambda session, viewer=viewer, id=id, line=line: append_logs(  # type: ignore[misc]
                session, viewer, activity_id=id, attempt=1, first_sequence=1, entries=[line]
            )
        )
        outcome = "FAILED" if number % 3 == 0 else "SUCCEEDED"
        await in_transaction(
            lambda session, viewer=viewer, id=id, outcome=outcome: complete_activity(  # type: ignore[misc]
                session, viewer, id=id, worker="w", attempt=1, outcome=outcome
            )
        )
    for _ in range(3):
        await claim(WORKER, "w")
        clock.forward(601)
    await requeue_expired()
    await claim_activity(WORKER, worker="w", lease_seconds=60, kinds=["TRANSFORM"])
    await in_transaction(lambda session: cancel_execution(session, ADMIN, id=execution_id))
