"""Workers that repeat a claim or a report under its idempotency key, because they know of no answer."""

import asyncio
from typing import Any

import pytest

import documents
from tests.conftest import RoundTrips
from tests.support.asking import answer
from tests.support.builders import everything_kept
from tests.support.clock import Clock
from tests.support.runs import (
    ACTIVITY,
    WORKER,
    Dag,
    a_dag,
    a_worker,
    cancel,
    claim,
    complete,
    do,
    extend,
    fail,
    refusals,
    state_of,
)
from tests.support.runs import append as append_lines

pytestmark = pytest.mark.usefixtures("database", "stopped")

OTHER = a_worker(2)
KEY = {"idempotencyKey": "a key"}


async def claim_once(key: str = "a key", **given: Any) -> Any:
    """Claim an activity under a key; returns the payload."""
    return await do("claimActivity", ACTIVITY, WORKER, worker="worker-1", idempotencyKey=key, **given)


async def test_a_claim_that_is_repeated_is_the_same_claim_and_costs_no_attempt() -> None:
    dag = await a_dag(a="", b="")

    answers = [await claim_once() for _ in range(5)]

    assert answers == [answers[0]] * 5
    claimed = answers[0]["activity"]
    assert (claimed["id"], claimed["status"], claimed["attempt"]) == (dag.steps["a"].id, "RUNNING", 1)
    assert await dag.statuses() == {"a": "RUNNING", "b": "READY"}
    assert (await complete(claimed["id"]))["activity"]["status"] == "SUCCEEDED"


async def test_a_claim_is_repeated_with_the_lease_that_it_has_by_now(clock: Clock) -> None:
    dag = await a_dag(a="")
    first = await claim_once()
    clock.forward(30)
    extended = await extend(dag.steps["a"].id, leaseSeconds=600)

    again = await claim_once()

    assert again["activity"] == extended["activity"]
    assert again["activity"]["leaseExpiresAt"] > first["activity"]["leaseExpiresAt"]


@pytest.mark.parametrize("waiting", ["a", "abc"])
async def test_claims_under_one_key_at_the_same_moment_are_one_claim(waiting: str) -> None:
    dag = await a_dag(**dict.fromkeys(waiting, ""))

    answers = await asyncio.gather(*(claim_once() for _ in range(5)))

    assert {one["activity"]["id"] for one in answers} == {dag.steps["a"].id}
    assert list((await dag.statuses()).values()) == ["RUNNING", *["READY"] * (len(waiting) - 1)]


async def test_the_claim_of_a_transform_is_repeated_as_well() -> None:
    organisation = documents.Organisation(url="https://office.example")
    resource = documents.Resource(organisation_ref=organisation.id, title="births")
    waits = documents.Transform(resource_ref=resource.id, status="READY")
    for one in (organisation, resource, waits):
        await one.insert()

    answers = [await claim_once() for _ in range(2)]

    assert answers[0] == answers[1]
    assert (answers[0]["activity"]["id"], answers[0]["activity"]["attempt"]) == (waits.id, 1)


async def over(dag: Dag) -> None:
    await complete(dag.steps["a"].id)


async def cancelled(dag: Dag) -> None:
    await cancel(dag.execution.id)


async def handed_back(dag: Dag) -> None:
    await do("releaseActivity", ACTIVITY, WORKER, id=dag.steps["a"].id, worker="worker-1", attempt=1)


async def claimed_again(dag: Dag) -> None:
    await handed_back(dag)
    assert (await claim())["attempt"] == 2


async def claimed_by_another(dag: Dag) -> None:
    await handed_back(dag)
    assert (await claim(OTHER, "worker-2"))["attempt"] == 2


@pytest.mark.parametrize(
    ("meanwhile", "stands"),
    [
        (over, "SUCCEEDED"),
        (cancelled, "CANCELLED"),
        (handed_back, "READY"),
        (claimed_again, "RUNNING"),
        (claimed_by_another, "RUNNING"),
    ],
)
async def test_a_claim_that_is_over_is_not_repeated(meanwhile: Any, stands: str) -> None:
    dag = await a_dag(a="")
    await claim_once()
    await meanwhile(dag)
    before = await everything_kept()

    again = await claim_once()

    assert again["activity"] is None
    assert refusals(again) == [("INVALID_STATE", ["input", "idempotencyKey"])]
    assert state_of(again) == (stands, ["RUNNING"])
    assert "Claim with a new idempotencyKey." in again["userErrors"][0]["message"]
    assert await everything_kept() == before


async def test_a_claim_whose_lease_has_expired_is_not_repeated_and_another_key_claims_anew(clock: Clock) -> None:
    dag = await a_dag(a="")
    await claim_once()
    clock.forward(61)

    again = await claim_once()
    anew = await claim_once("another key")

    assert state_of(again) == ("READY", ["RUNNING"])
    assert (anew["activity"]["id"], anew["activity"]["attempt"]) == (dag.steps["a"].id, 2)


async def test_a_key_is_free_while_nothing_waits_and_who_has_nothing_to_do_writes_nothing(
    round_trips: RoundTrips,
) -> None:
    with round_trips.counting() as seen:
        nothing = await claim_once()
    dag = await a_dag(a="")
    something = await claim_once()

    assert nothing == {"activity": None, "userErrors": []}
    assert {command for command, _ in seen} == {"find"}
    assert something["activity"]["id"] == dag.steps["a"].id


async def test_a_key_adds_two_writes_to_a_claim(round_trips: RoundTrips) -> None:
    await a_dag(a="", b="", c="")
    await claim()

    async def round_trips_of(**given: Any) -> list[tuple[str, str]]:
        with round_trips.counting() as seen:
            await claim(**given)
        return [(command, collection) for command, collection in seen if command != "commitTransaction"]

    without, under_a_key = await round_trips_of(), await round_trips_of(**KEY)

    keys = "idempotency_keys"
    looks, claims = without[:-1], without[-1]
    assert under_a_key == [*looks, ("insert", keys), claims, ("update", keys)]


async def test_a_claim_under_a_key_that_asks_for_something_else_is_refused() -> None:
    dag = await a_dag(a="", b="")
    await claim_once()

    other = await claim_once(leaseSeconds=120)

    assert refusals(other) == [("IDEMPOTENCY_MISMATCH", ["input", "idempotencyKey"])]
    assert (await dag.statuses())["b"] == "READY"


async def test_a_key_is_one_workers_own() -> None:
    await a_dag(a="", b="")
    mine = await claim_once()

    theirs = await do("claimActivity", ACTIVITY, OTHER, worker="worker-1", **KEY)

    assert mine["activity"]["id"] != theirs["activity"]["id"]


async def test_a_lease_is_extended_once_under_a_key_and_not_said_to_last_when_it_does_not(clock: Clock) -> None:
    dag = await a_dag(a="")
    await claim()
    id = dag.steps["a"].id
    extended = await extend(id, leaseSeconds=100, idempotencyKey="a key")
    clock.forward(50)

    repeated = await extend(id, leaseSeconds=100, idempotencyKey="a key")
    clock.forward(51)
    expired = await extend(id, leaseSeconds=100, idempotencyKey="a key")

    assert repeated == extended
    assert state_of(expired) == ("READY", ["RUNNING"])


async def test_a_failure_reported_again_is_the_same_report_although_the_next_attempt_has_begun(clock: Clock) -> None:
    dag = await a_dag(a="")
    await claim()
    id = dag.steps["a"].id
    await fail(id, retryable=True, **KEY)
    clock.forward(3600)
    assert (await claim(OTHER, "worker-2"))["attempt"] == 2
    before = await everything_kept()

    again = await fail(id, retryable=True, **KEY)
    without_a_key = await fail(id, retryable=True)

    assert again["userErrors"] == []
    assert (again["activity"]["id"], again["activity"]["status"], again["activity"]["attempt"]) == (id, "RUNNING", 2)
    assert refusals(without_a_key) == [("INVALID_STATE", ["input", "id"])]
    assert await everything_kept() == before


LAST = """mutation ($input: CompleteActivityInput!) { completeActivity(input: $input) {
  activity { id status ... on Step { execution { id status digitalTwin { id } } } } userErrors { code } } }"""


async def test_the_report_that_ends_an_execution_is_answered_with_it_again() -> None:
    dag = await a_dag(a="")
    await claim()
    report = {"id": dag.steps["a"].id, "worker": "worker-1", "attempt": 1, "outcome": "SUCCEEDED", **KEY}

    first = await answer(LAST, WORKER, input=report)
    again = await answer(LAST, WORKER, input=report)

    execution = {"id": dag.execution.id, "status": "SUCCEEDED", "digitalTwin": None}
    assert first["data"]["completeActivity"]["activity"]["execution"] == execution
    assert again == first


async def test_who_handed_back_is_not_shown_what_became_of_it_once_others_have_ended_the_execution() -> None:
    dag = await a_dag(a="")
    await claim()
    given = {"id": dag.steps["a"].id, "worker": "worker-1", "attempt": 1, **KEY}
    first = await do("releaseActivity", ACTIVITY, WORKER, **given)
    await claim(OTHER, "worker-2")
    while_it_runs = await do("releaseActivity", ACTIVITY, WORKER, **given)
    await complete(dag.steps["a"].id, OTHER, "worker-2", attempt=2)

    again = await do("releaseActivity", ACTIVITY, WORKER, **given)

    assert first["activity"]["status"] == "READY"
    assert while_it_runs["activity"]["attempt"] == 2
    assert again["activity"] is None
    assert again["userErrors"] == [
        {
            "__typename": "NotFound",
            "code": "NOT_FOUND",
            "message": f"No Step with id {dag.steps['a'].id}.",
            "path": ["input", "idempotencyKey"],
        }
    ]


async def test_lines_appended_again_are_answered_as_before_although_the_attempt_is_over() -> None:
    dag = await a_dag(a="")
    await claim()
    id = dag.steps["a"].id
    entries = [{"timestamp": "2024-01-01T00:00:00Z", "message": "one"}]
    given = {"activityId": id, "attempt": 1, "firstSequence": 1, "entries": entries, **KEY}
    first = await do("appendLogs", "nextSequence", WORKER, **given)
    await complete(id)

    again = await do("appendLogs", "nextSequence", WORKER, **given)

    assert again == first == {"nextSequence": 2, "userErrors": []}
    assert refusals(await append_lines(id, "two", first=2)) == [("INVALID_STATE", ["input", "activityId"])]
