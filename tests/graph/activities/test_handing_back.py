"""Workers that stop hand back what they hold."""

from typing import Any

import pytest

import documents
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from resolvers.activities.lease import requeue_expired
from tests.support.builders import everything_kept, keep
from tests.support.clock import Clock
from tests.support.runs import ACTIVITY, WORKER, a_dag, a_worker, append, claim, complete, do, fail, refusals, state_of

pytestmark = pytest.mark.usefixtures("database")

OTHER = a_worker(2)


async def release(id: str, viewer: Viewer = WORKER, worker: str = "worker-1", attempt: int = 1, **given: str) -> Any:
    """Release an activity; returns the payload."""
    return await do("releaseActivity", ACTIVITY, viewer, id=id, worker=worker, attempt=attempt, **given)


async def test_what_is_handed_back_waits_at_once_and_its_log_goes_on() -> None:
    dag = await a_dag(a="")
    await claim()
    await append(dag.steps["a"].id, "one", "two")

    released = (await release(dag.steps["a"].id))["activity"]
    again = await claim(OTHER, "worker-2")
    await append(again["id"], "three", attempt=2, viewer=OTHER)

    assert (released["status"], released["leaseExpiresAt"], released["error"]["code"]) == ("READY", None, "HANDED_BACK")
    assert (again["id"], again["attempt"], again["error"]) == (dag.steps["a"].id, 2, None)
    lines = documents.LogEntry.get_pymongo_collection().find({}, sort=[("sequence", 1)])
    assert [(row["sequence"], row["attempt"], row["logstring"]) async for row in lines] == [
        (1, 1, "one"),
        (2, 1, "two"),
        (3, 2, "three"),
    ]


async def test_attempts_that_were_handed_back_are_none_of_the_three(clock: Clock) -> None:
    dag = await a_dag(a="")
    id = dag.steps["a"].id
    for attempt in (1, 2, 3, 4):
        await claim()
        await release(id, attempt=attempt)

    seen = []
    for attempt in (5, 6, 7):
        await claim()
        seen.append((await fail(id, attempt=attempt, retryable=True))["activity"]["status"])
        clock.forward(61)

    assert seen == ["READY", "READY", "FAILED"]


async def test_attempts_that_were_handed_back_do_not_count_when_leases_expire_either(clock: Clock) -> None:
    dag = await a_dag(a="")
    await claim()
    await release(dag.steps["a"].id)

    seen = []
    for _ in range(3):
        await claim()
        clock.forward(121)
        await requeue_expired()
        seen.append((await dag.statuses())["a"])

    assert seen == ["READY", "READY", "FAILED"]


async def test_an_expired_attempt_is_claimed_again_though_others_were_handed_back_before(clock: Clock) -> None:
    dag = await a_dag(a="")
    await claim()
    await release(dag.steps["a"].id)

    seen = []
    for _ in range(4):
        claimed = await claim()
        clock.forward(121)
        seen.append(claimed and claimed["attempt"])

    assert seen == [2, 3, 4, None]
    assert await dag.statuses() == {"a": "FAILED"}


async def test_handing_back_twice_is_handing_back_once() -> None:
    dag = await a_dag(a="")
    await claim()
    await release(dag.steps["a"].id)
    kept = await everything_kept()

    again = await release(dag.steps["a"].id)

    assert again["activity"]["status"] == "READY"
    assert await everything_kept() == kept


async def test_nobody_hands_back_what_they_do_not_hold(clock: Clock) -> None:
    dag = await a_dag(a="", b="")
    held, ended = (await claim())["id"], (await claim())["id"]
    await complete(ended)
    kept = await everything_kept()

    payloads = [
        await release(held, OTHER),
        await release(held, worker="worker-2"),
        await release(held, attempt=2),
        await release(ended),
        await release("step_ffffffffffffffffffffffff"),
        await release(dag.execution.id),
        await release(held, ANONYMOUS),
        await release(held, Viewer(Role.USER, dag.owner.id)),
    ]
    clock.forward(61)
    payloads.append(await release(held))

    codes = [refusals(payload)[0][0] for payload in payloads]
    assert codes == ["NOT_FOUND", *["INVALID_STATE"] * 3, *["NOT_FOUND"] * 2, *["FORBIDDEN"] * 2, "INVALID_STATE"]
    assert state_of(payloads[3]) == ("SUCCEEDED", ["RUNNING"])
    assert await everything_kept() == kept


async def test_a_report_on_what_was_handed_back_is_refused() -> None:
    dag = await a_dag(a="")
    await claim()
    await release(dag.steps["a"].id)
    kept = await everything_kept()

    payloads = [await fail(dag.steps["a"].id, retryable=True), await complete(dag.steps["a"].id)]

    assert [state_of(payload) for payload in payloads] == [("READY", ["RUNNING"])] * 2
    assert await everything_kept() == kept


@pytest.mark.parametrize("another_waits", [False, True])
async def test_a_transform_is_handed_back_whether_or_not_another_waits(another_waits: bool) -> None:
    organisation = documents.Organisation(url="https://weather.example")
    resource = documents.Resource(organisation_ref=organisation.id, landing_page="https://weather.example/rain")
    transform = documents.Transform(resource_ref=resource.id, status="READY")
    await keep(organisation, resource, transform)
    claimed = await claim(kinds=["TRANSFORM"])
    if another_waits:
        await keep(documents.Transform(resource_ref=resource.id, status="READY"))

    first, second = await release(claimed["id"]), await release(claimed["id"])
    again = await claim(OTHER, "worker-2", kinds=["TRANSFORM"])

    assert (first["userErrors"], second["userErrors"]) == ([], [])
    assert (again["id"], again["attempt"]) == (transform.id, 2)


@pytest.mark.parametrize("another_waits", [False, True])
async def test_a_transform_handed_back_with_a_reason_waits_and_keeps_its_turn(
    clock: Clock, another_waits: bool
) -> None:
    organisation = documents.Organisation(url="https://weather.example")
    resource = documents.Resource(organisation_ref=organisation.id, landing_page="https://weather.example/rain")
    transform = documents.Transform(resource_ref=resource.id, status="READY")
    await keep(organisation, resource, transform)
    claimed = await claim(kinds=["TRANSFORM"])
    if another_waits:
        await keep(documents.Transform(resource_ref=resource.id, status="READY"))

    released = await release(claimed["id"], reason="No space left on device")
    await requeue_expired()
    too_early = await claim(OTHER, "worker-2", kinds=["TRANSFORM"])
    clock.forward(3)
    again = await claim(OTHER, "worker-2", kinds=["TRANSFORM"])

    assert (released["userErrors"], too_early) == ([], None)
    assert (again["id"], again["attempt"]) == (transform.id, 2)
    (line,) = await documents.LogEntry.find_all().to_list()
    assert line.message == "Attempt 1: its worker worker-1 handed it back: No space left on device"
