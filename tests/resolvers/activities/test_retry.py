"""A released or failed activity waits before the next claim, so that a broken worker does not starve a healthy one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import documents
from documents.activities.activity import ActivityStatus
from documents.mongo.database import Database
from resolvers.access.viewer import Viewer
from resolvers.activities.active_workers import MAX_WORKERS, ActiveWorkers, Holder
from resolvers.activities.claim_queue import EXTRA_CANDIDATES, MAX_LATER
from resolvers.activities.lease import requeue_expired
from resolvers.reads.rows import collection_of
from tests.resolvers.activities.test_claim import many_steps, profiled
from tests.support.builders import everything_kept, keep
from tests.support.clock import Clock
from tests.support.runs import (
    WORKER,
    Dag,
    a_dag,
    a_worker,
    append,
    claim,
    complete,
    do,
    extend,
    fail,
    new_dag,
    refusals,
    state_of,
)

pytestmark = pytest.mark.usefixtures("database", "stopped")

OTHER = a_worker(2)
WAITING = """activity { id status attempt handedBack availableAt error { code message retryable } logs { nodes {
  sequence level message } } }"""


async def release(id: str, attempt: int, reason: str | None, worker: str = "worker-1", viewer: Viewer = WORKER) -> Any:
    """Release an activity; returns the payload."""
    given = {"id": id, "worker": worker, "attempt": attempt, "reason": reason}
    return await do("releaseActivity", WAITING, viewer, **given)


async def asked(worker: str = "worker-1", viewer: Viewer = WORKER) -> Any:
    """Claim an activity; returns the payload."""
    return await do("claimActivity", f"{WAITING} nextAvailableAt", viewer, worker=worker)


def seconds_until(at: str, clock: Clock) -> float:
    """The seconds from now until that time."""
    return (datetime.fromisoformat(at) - clock.datetime.now(UTC)).total_seconds()


async def test_a_retryable_failure_waits_longer_each_time_and_tells_until_when(clock: Clock) -> None:
    await a_dag(a="", b="")
    other = (await claim())["id"]
    step = (await claim())["id"]
    waits = []
    for attempt in (1, 2):
        await fail(step, attempt=attempt, retryable=True)
        nothing = await asked()
        waits.append(seconds_until(nothing["nextAvailableAt"], clock))
        assert nothing["activity"] is None
        clock.forward(waits[-1] + 1)
        await extend(other, attempt=1)
        assert (await asked())["activity"]["availableAt"] is None

    assert waits == [pytest.approx(10, abs=5), pytest.approx(60, abs=5)]


async def test_what_fails_for_good_is_available_never_again() -> None:
    await a_dag(a="")
    step = (await claim())["id"]

    ended = await do("completeActivity", WAITING, WORKER, id=step, worker="worker-1", attempt=1, outcome="FAILED")

    assert (ended["activity"]["status"], ended["activity"]["availableAt"]) == ("FAILED", None)
    assert await asked() == {"activity": None, "nextAvailableAt": None, "userErrors": []}


async def test_others_are_served_while_something_waits(clock: Clock) -> None:
    dag = await a_dag(a="", b="")
    first = await claim()
    await fail(first["id"], retryable=True)

    second = await claim()
    clock.forward(11)
    again = await claim(OTHER, "worker-2")

    assert [dag.key_of(one["id"]) for one in (first, second, again)] == ["a", "b", "a"]


async def test_a_cancelled_execution_has_nothing_that_is_available_again() -> None:
    dag = await a_dag(a="")
    await fail((await claim())["id"], retryable=True)

    await do("cancelExecution", "execution { id }", Viewer(WORKER.role.ADMIN), id=dag.execution.id)

    step = await documents.Step.get(dag.steps["a"].id)
    assert step is not None
    assert (step.status, step.available_at) == (ActivityStatus.CANCELLED, None)


@pytest.mark.parametrize("swept", [False, True])
async def test_the_first_expiry_costs_no_wait_and_the_second_does(clock: Clock, swept: bool) -> None:
    await a_dag(a="")
    seen = []
    for seconds in (61, 61, 60):
        claimed = await claim()
        seen.append(claimed and claimed["attempt"])
        clock.forward(seconds)
        if swept:
            await requeue_expired()
    seen.append((await claim())["attempt"])

    assert seen == [1, 2, None, 3]


async def test_a_reason_for_handing_back_is_told_in_the_log_and_the_error_and_costs_no_attempt(clock: Clock) -> None:
    await a_dag(a="")
    step = (await claim())["id"]
    await append(step, "begins")

    released = (await release(step, 1, "No space left on device"))["activity"]

    message = "Attempt 1: its worker worker-1 handed it back: No space left on device"
    assert (released["status"], released["attempt"], released["handedBack"]) == ("READY", 1, 1)
    assert released["error"] == {"code": "HANDED_BACK", "message": message, "retryable": True}
    assert released["logs"]["nodes"] == [
        {"sequence": 1, "level": "INFO", "message": "begins"},
        {"sequence": 2, "level": "WARNING", "message": message},
    ]
    assert 0 < seconds_until(released["availableAt"], clock) <= 2


async def test_handing_back_twice_with_a_reason_is_handing_back_once() -> None:
    await a_dag(a="")
    step = (await claim())["id"]
    first = await release(step, 1, "No space left on device")
    kept = await everything_kept()

    assert await release(step, 1, "No space left on device") == first
    assert await everything_kept() == kept


@pytest.mark.parametrize("reason", ["", "two\nlines", "r" * 1001])
async def test_a_reason_that_is_no_line_is_refused_and_the_step_kept(reason: str) -> None:
    await a_dag(a="")
    step = (await claim())["id"]
    kept = await everything_kept()

    assert refusals(await release(step, 1, reason)) == [("VALIDATION", ["input", "reason"])]
    assert await everything_kept() == kept


async def test_a_worker_that_hands_back_again_and_again_waits_ten_minutes_in_the_end(clock: Clock) -> None:
    dag = await a_dag(a="")
    step = dag.steps["a"].id
    waits = []
    for attempt in range(1, 14):
        assert await claim() is not None
        await release(step, attempt, "Docker does not run")
        waits.append(seconds_until((await asked())["nextAvailableAt"], clock))
        clock.forward(waits[-1] + 0.1)

    assert waits[:3] == [pytest.approx(2**n, abs=1) for n in (1, 2, 3)]
    assert waits[-1] == pytest.approx(600, abs=5)
    assert (await dag.statuses())["a"] == "READY"
    seen = []
    for attempt in (14, 15, 16):
        await claim()
        seen.append((await fail(step, attempt=attempt, retryable=True))["activity"]["status"])
        clock.forward(61)
    assert seen == ["READY", "READY", "FAILED"]


async def test_who_hands_back_leaves_it_to_others_who_need_not_wait_as_long(clock: Clock) -> None:
    dag = await a_dag(a="")
    step = dag.steps["a"].id
    for attempt in range(1, 6):
        await claim()
        await release(step, attempt, "Docker does not run")
        clock.forward(2 if attempt == 5 else 17)

    same = await claim()
    another = await claim(OTHER, "worker-2")

    assert same is None
    assert (another["id"], another["attempt"]) == (step, 6)


@pytest.mark.parametrize("how", ["hands back", "fails"])
async def test_twenty_steps_succeed_with_a_broken_worker_beside_a_healthy_one(clock: Clock, how: str) -> None:
    dag = await a_dag(**{chr(ord("a") + number): "" for number in range(20)})
    ended = 0
    for _ in range(1_000):
        await _healthy_ends_one()
        held = await claim(OTHER, "healthy")
        while (broken := await claim(worker="broken")) is not None:
            if how == "fails":
                await fail(broken["id"], worker="broken", attempt=broken["attempt"], retryable=True)
            else:
                await release(broken["id"], broken["attempt"], "No space left on device", "broken")
        ended += held is not None
        # Long enough that whatever waits for a time is available to the broken one before the healthy one has ended.
        clock.forward(25)
        if ended == 20:
            break
    await _healthy_ends_one()

    assert set((await dag.statuses()).values()) == {"SUCCEEDED"}
    assert (await dag.stored_execution())["status"] == "SUCCEEDED"


async def _healthy_ends_one() -> None:
    rows = collection_of(documents.Step).find({"status": "RUNNING", "worker": "healthy"})
    async for row in rows:
        done = await complete(row["_id"], OTHER, "healthy", attempt=row["attempt"])
        assert done["userErrors"] == []


async def test_the_last_attempt_is_kept_from_who_failed_only_while_there_are_others(clock: Clock) -> None:
    await a_dag(a="")
    for attempt in (1, 2):
        step = (await claim())["id"]
        await fail(step, attempt=attempt, retryable=True)
        clock.forward(61)
    await do("claimActivity", "activity { id }", OTHER, worker="other", kinds=["TRANSFORM"])
    others = (await claim(worker="for-transforms-there-is-none")), await fail(step, attempt=3, worker="nobody")
    assert others[0]["attempt"] == 3

    await release(step, 3, None, "for-transforms-there-is-none")
    kept_from = await asked()
    clock.forward(61)
    alone = await asked()

    assert kept_from["activity"] is None
    assert kept_from["nextAvailableAt"] is not None
    assert alone["activity"]["attempt"] == 4


async def test_claims_read_nothing_that_waits_for_its_time(database: Database, clock: Clock) -> None:
    await many_steps(1, 400)
    later = {"$set": {"availableAt": clock.datetime.now(UTC) + timedelta(seconds=300)}}
    await collection_of(documents.Step).update_many({}, later)
    dag = new_dag(a="")
    await keep(dag.execution, *dag.steps.values())

    async with profiled(database) as operations:
        claimed = await claim()
        nothing = await asked()
    clock.forward(301)
    again = await claim()

    assert claimed["id"] == dag.steps["a"].id
    assert seconds_until(nothing["nextAvailableAt"], clock) == pytest.approx(-1, abs=5)
    assert again is not None
    looks = [one for one in operations if one["op"] == "query" and one["ns"].endswith(".steps")]
    assert len(looks) >= 6
    assert max(one["docsExamined"] for one in looks) <= MAX_LATER
    assert sum(one["keysExamined"] for one in looks) <= MAX_LATER + 10
    assert [one for one in operations if one.get("hasSortStage") or "COLLSCAN" in one.get("planSummary", "")] == []


async def test_a_worker_that_hands_back_much_is_given_what_is_new(database: Database, clock: Clock) -> None:
    await many_steps(1, EXTRA_CANDIDATES + 20)
    at = clock.datetime.now(UTC)
    leaver = {"key": WORKER.key, "worker": "worker-1", "failures": 0, "hand_backs": 6, "until": at + timedelta(60)}
    handed_back = {"availableAt": at - timedelta(seconds=1), "left_by": [leaver]}
    await collection_of(documents.Step).update_many({}, {"$set": handed_back})
    dag = await a_dag(new="")

    claimed = await claim()
    nothing = await asked()
    by_another = await claim(OTHER, "worker-2")

    assert claimed["id"] == dag.steps["new"].id
    assert nothing["activity"] is None
    assert seconds_until(nothing["nextAvailableAt"], clock) == pytest.approx(timedelta(60).total_seconds(), abs=60)
    assert by_another is not None


async def test_an_old_process_of_the_same_name_extends_no_lease_but_its_own(clock: Clock) -> None:
    await a_dag(a="")
    step = (await claim())["id"]
    clock.forward(61)
    await claim()
    kept = await everything_kept()

    old = await extend(step, attempt=1)
    untold = await extend(step)
    assert await everything_kept() == kept
    present = await extend(step, attempt=2)

    assert old["userErrors"][0]["message"] == f"{step} is at attempt 2, which worker-1 holds."
    assert state_of(old) == ("RUNNING", ["RUNNING"])
    assert refusals(untold) == [("VALIDATION", ["input", "attempt"])]
    assert present["userErrors"] == []


async def test_a_lease_is_extended_without_an_attempt_while_it_can_be_but_one(clock: Clock) -> None:
    await a_dag(a="")
    step = (await claim())["id"]
    first = await extend(step)
    clock.forward(61)
    await claim(OTHER, "worker-2")
    second = await extend(step, OTHER, "worker-2")
    clock.forward(61)
    await _later_attempt_of("worker-1", step, clock)

    assert (first["userErrors"], second["userErrors"]) == ([], [])
    assert refusals(await extend(step)) == [("VALIDATION", ["input", "attempt"])]


async def _later_attempt_of(worker: str, step: str, clock: Clock) -> None:
    clock.forward(60)
    claimed = await claim(worker=worker)
    assert (claimed["id"], claimed["attempt"]) == (step, 3)


def test_active_workers_are_forgotten_when_they_are_silent_or_too_many() -> None:
    workers, at = ActiveWorkers(), datetime(2024, 1, 1, tzinfo=UTC)
    for number in range(MAX_WORKERS + 1):
        workers.note(Holder("key", f"w{number}"), {"step"}, at + timedelta(seconds=number))
    newest = Holder("key", f"w{MAX_WORKERS}")

    assert workers.has_other("step", {newest}, at)
    assert not workers.has_other("transform", set(), at)
    assert not workers.has_other("step", {newest}, at + timedelta(seconds=MAX_WORKERS - 1))
    assert not workers.has_other("step", {Holder("key", f"w{n}") for n in range(1, MAX_WORKERS + 1)}, at)


async def test_a_step_that_was_kept_before_there_were_waits_is_claimed() -> None:
    dag: Dag = await a_dag(a="")
    unset = dict.fromkeys(("availableAt", "left_by", "earlier_workers"), "")
    await collection_of(documents.Step).update_one({"_id": dag.steps["a"].id}, {"$unset": unset})

    claimed = await asked()

    assert claimed["activity"]["attempt"] == 1
