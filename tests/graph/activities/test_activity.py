"""Claiming, reporting and cancelling, as workers and owners do."""

from datetime import UTC, datetime
from typing import Any

import pytest

import documents
from documents.activities.activity import ActivityStatus
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from resolvers.sweeps.sweep_loop import sweep
from tests.support import builders as new
from tests.support.asking import ADMIN, answer, ask
from tests.support.builders import everything_kept, keep
from tests.support.clock import Clock
from tests.support.runs import (
    WORKER,
    a_dag,
    a_worker,
    append,
    cancel,
    claim,
    complete,
    do,
    extend,
    fail,
    refusals,
    state_of,
)

pytestmark = pytest.mark.usefixtures("database")

OTHER = a_worker(2)
NOTHING_WAITS = None


async def test_the_oldest_is_claimed_first_and_null_when_none_waits() -> None:
    first, second = await a_dag(a="", b="a"), await a_dag(a="")

    claimed = [await claim() for _ in range(3)]

    assert [one and one["id"] for one in claimed] == [first.steps["a"].id, second.steps["a"].id, NOTHING_WAITS]
    assert (claimed[0]["status"], claimed[0]["attempt"], claimed[0]["worker"]) == ("RUNNING", 1, "worker-1")


async def test_a_claim_lasts_as_long_as_it_asks_for(clock: Clock) -> None:
    await a_dag(a="")
    before = datetime.now(UTC)

    claimed = await claim(leaseSeconds=100)

    until = datetime.fromisoformat(claimed["leaseExpiresAt"])
    assert 100 <= (until - before).total_seconds() < 110
    clock.forward(90)
    assert await claim() is None
    clock.forward(20)
    assert (await claim(OTHER, "worker-2"))["attempt"] == 2


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"worker": " "}, ["input", "worker"]),
        ({"worker": "two\nlines"}, ["input", "worker"]),
        ({"worker": "w" * 201}, ["input", "worker"]),
        ({"worker": "w", "leaseSeconds": 0}, ["input", "leaseSeconds"]),
        ({"worker": "w", "leaseSeconds": 3601}, ["input", "leaseSeconds"]),
    ],
)
async def test_a_claim_that_makes_no_sense_is_refused_and_takes_nothing(given: Any, path: list[str]) -> None:
    await a_dag(a="")
    kept = await everything_kept()

    payload = await do("claimActivity", "activity { id }", WORKER, **given)

    assert payload["activity"] is None
    assert refusals(payload) == [("VALIDATION", path)]
    assert await everything_kept() == kept


@pytest.mark.parametrize("viewer", [ANONYMOUS, Viewer(Role.USER, "user_000000000000000000000001")])
async def test_only_workers_claim_and_report(viewer: Viewer) -> None:
    dag = await a_dag(a="")
    step = dag.steps["a"].id
    kept = await everything_kept()

    payloads = [
        await do("claimActivity", "activity { id }", viewer, worker="w"),
        await extend(step, viewer),
        await complete(step, viewer),
        await append(step, "line", viewer=viewer),
    ]

    assert [refusals(payload) for payload in payloads] == [[("FORBIDDEN", ["input"])]] * 4
    assert await everything_kept() == kept


async def test_a_diamond_runs_to_its_end_in_order() -> None:
    dag = await a_dag(a="", b="a", c="a", d="bc")

    order = []
    while claimed := await claim():
        order.append(dag.key_of(claimed["id"]))
        assert (await dag.stored_execution())["status"] == "RUNNING"
        assert (await complete(claimed["id"]))["activity"]["status"] == "SUCCEEDED"

    assert order == ["a", "b", "c", "d"]
    execution = await dag.stored_execution()
    stored = documents.Step.get_pymongo_collection()
    first, last = [await stored.find_one({"_id": dag.steps[key].id}) for key in "ad"]
    assert first is not None
    assert last is not None
    assert execution["status"] == "SUCCEEDED"
    assert execution["start_timestamp"] == first["start_timestamp"]
    assert execution["end_timestamp"] == last["end_timestamp"]
    assert execution["revision"] == 3


async def test_what_waits_for_two_is_ready_once_both_have_succeeded() -> None:
    dag = await a_dag(a="", b="", c="ab")
    first, second = await claim(), await claim()

    await complete(second["id"])
    between = await dag.statuses()
    await complete(first["id"])

    assert between == {"a": "RUNNING", "b": "SUCCEEDED", "c": "PENDING"}
    assert await dag.statuses() == {"a": "SUCCEEDED", "b": "SUCCEEDED", "c": "READY"}


async def test_a_failure_cancels_what_waited_for_it_and_the_rest_goes_on() -> None:
    dag = await a_dag(a="", b="a", c="b", d="", e="d")
    await fail((await claim())["id"])

    between, still_running = await dag.statuses(), (await dag.stored_execution())["status"]
    for _ in range(2):
        await complete((await claim())["id"])

    assert between == {"a": "FAILED", "b": "CANCELLED", "c": "CANCELLED", "d": "READY", "e": "PENDING"}
    assert still_running == "RUNNING"
    assert (await dag.stored_execution())["status"] == "FAILED"
    assert await claim() is None
    step = await documents.Step.get(dag.steps["c"].id)
    assert step is not None
    assert step.error is not None
    assert (step.error.code, step.error.message) == (
        "DEPENDENCY_FAILED",
        "Step a is FAILED, and this one waited for it.",
    )


async def test_a_retryable_failure_is_tried_three_times(clock: Clock) -> None:
    dag = await a_dag(a="", b="a")

    seen = []
    for attempt in (1, 2, 3):
        clock.forward(61)
        claimed = await claim()
        assert (claimed["attempt"], claimed["error"]) == (attempt, None)
        seen.append((await fail(claimed["id"], attempt=attempt, retryable=True))["activity"])

    assert [(one["status"], one["attempt"], one["error"]["code"]) for one in seen] == [
        ("READY", 1, "BROKEN"),
        ("READY", 2, "BROKEN"),
        ("FAILED", 3, "BROKEN"),
    ]
    assert await dag.statuses() == {"a": "FAILED", "b": "CANCELLED"}
    assert (await dag.stored_execution())["status"] == "FAILED"
    assert await claim() is None


async def test_a_failure_without_a_reason_is_a_failure() -> None:
    dag = await a_dag(a="")

    ended = (await complete((await claim())["id"], outcome="FAILED"))["activity"]

    assert (ended["status"], ended["error"]) == ("FAILED", None)
    assert (await dag.stored_execution())["status"] == "FAILED"


@pytest.mark.parametrize("swept", [False, True])
async def test_an_expired_lease_gives_the_step_to_the_next_with_another_attempt(clock: Clock, swept: bool) -> None:
    dag = await a_dag(a="")
    first = await claim()
    clock.forward(61)
    if swept:
        assert await sweep() == 1
        assert await dag.statuses() == {"a": "READY"}

    second = await claim(OTHER, "worker-2")

    assert (second["id"], second["attempt"], second["worker"]) == (first["id"], 2, "worker-2")
    assert (await dag.stored_execution())["status"] == "RUNNING"


@pytest.mark.parametrize("swept", [False, True])
async def test_the_third_expiry_fails_the_step_and_cancels_what_waited_for_it(clock: Clock, swept: bool) -> None:
    dag = await a_dag(a="", b="a")
    for _ in range(3):
        assert await claim() is not None
        clock.forward(121)
    if swept:
        assert await sweep() == 1

    assert await claim() is None

    assert await dag.statuses() == {"a": "FAILED", "b": "CANCELLED"}
    assert (await dag.stored_execution())["status"] == "FAILED"
    step = await documents.Step.get(dag.steps["a"].id)
    assert step is not None
    assert step.error is not None
    assert (step.error.code, step.attempt) == ("LEASE_LAPSED", 3)


async def test_an_extended_lease_does_not_expire(clock: Clock) -> None:
    await a_dag(a="")
    step = (await claim())["id"]

    for _ in range(5):
        clock.forward(50)
        assert (await extend(step))["userErrors"] == []

    assert await claim(OTHER, "worker-2") is None
    assert (await complete(step))["activity"]["status"] == "SUCCEEDED"


@pytest.mark.parametrize("swept", [False, True])
async def test_reports_after_the_lease_are_refused_and_change_nothing(clock: Clock, swept: bool) -> None:
    await a_dag(a="")
    step = (await claim())["id"]
    clock.forward(61)
    if swept:
        await sweep()
    kept = await everything_kept()

    late = [await extend(step), await complete(step), await fail(step), await append(step, "late")]

    assert [state_of(payload) for payload in late] == [("READY", ["RUNNING"])] * 4
    assert await everything_kept() == kept


async def test_reports_of_an_old_attempt_are_refused_and_change_nothing(clock: Clock) -> None:
    await a_dag(a="")
    step = (await claim())["id"]
    clock.forward(61)
    await claim(OTHER, "worker-2")
    kept = await everything_kept()

    late = [await extend(step), await complete(step), await fail(step), await append(step, "late")]

    assert [state_of(payload) for payload in late] == [("RUNNING", ["RUNNING"])] * 4
    assert late[0]["userErrors"][0]["message"] == f"{step} is at attempt 2, which worker-2 holds."
    assert await everything_kept() == kept


async def test_what_another_holds_is_not_reported_on_even_under_its_name() -> None:
    dag = await a_dag(a="", b="")
    step = (await claim())["id"]
    await claim(OTHER, "worker-2")
    kept = await everything_kept()

    payloads = [
        await extend(step, OTHER, "worker-1"),
        await complete(step, OTHER, "worker-1"),
        await complete(step, WORKER, "worker-2"),
        await append(step, "line", viewer=OTHER),
    ]

    assert [state_of(payload) for payload in payloads] == [("RUNNING", ["RUNNING"])] * 4
    assert await everything_kept() == kept
    assert (await dag.stored_execution())["runners"] == [WORKER.key, OTHER.key]


async def test_a_stranger_is_told_of_no_step() -> None:
    await a_dag(a="")
    step = (await claim())["id"]

    payloads = [await extend(step, OTHER), await complete(step, OTHER), await append(step, "line", viewer=OTHER)]
    unknown = await complete("step_000000000000000000000000", OTHER)

    assert [refusals(one) for one in payloads] == [
        [("NOT_FOUND", ["input", "id"])],
        [("NOT_FOUND", ["input", "id"])],
        [("NOT_FOUND", ["input", "activityId"])],
    ]
    assert [one["message"].replace(step, "") for one in payloads[1]["userErrors"]] == [
        one["message"].replace("step_000000000000000000000000", "") for one in unknown["userErrors"]
    ]


@pytest.mark.parametrize("id", ["", "step_", "execution_000000000000000000000001", "nonsense"])
async def test_what_is_no_activity_is_not_found(id: str) -> None:
    payloads = [await extend(id), await complete(id), await append(id, "line")]

    assert [refusals(one)[0][0] for one in payloads] == ["NOT_FOUND"] * 3


async def test_an_administrator_reports_on_whatever_runs() -> None:
    dag = await a_dag(a="")
    step = (await claim())["id"]

    assert (await complete(step, ADMIN))["activity"]["status"] == "SUCCEEDED"
    assert await dag.statuses() == {"a": "SUCCEEDED"}


@pytest.mark.parametrize("outcome", ["SUCCEEDED", "FAILED"])
async def test_the_same_report_again_answers_the_same_and_changes_nothing(outcome: str) -> None:
    await a_dag(a="", b="a")
    step = (await claim())["id"]
    first = await complete(step, outcome=outcome)
    kept = await everything_kept()

    again = await complete(step, outcome=outcome)
    other = await complete(step, outcome="FAILED" if outcome == "SUCCEEDED" else "SUCCEEDED")

    assert again == first
    assert state_of(other) == (outcome, ["RUNNING"])
    assert await everything_kept() == kept


async def test_a_retryable_failure_may_be_reported_again_until_the_step_is_claimed(clock: Clock) -> None:
    await a_dag(a="")
    step = (await claim())["id"]
    first = await fail(step, retryable=True)

    again = await fail(step, retryable=True)
    clock.forward(11)
    await claim(OTHER, "worker-2")
    too_late = await fail(step, retryable=True)

    assert again == first
    assert state_of(too_late) == ("RUNNING", ["RUNNING"])


async def test_a_step_takes_no_details_of_a_transform_and_success_no_error() -> None:
    await a_dag(a="")
    step = (await claim())["id"]
    kept = await everything_kept()
    details: Any = {"validated": True, "logs": "https://logs.example", "notebook": "https://notebook.example"}

    payload = await complete(step, error={"code": "A\nB", "message": "m"}, **details)
    failed = await complete(step, outcome="FAILED", error={"code": "A\nB", "message": "m" * 10_001})

    assert refusals(payload) == [("VALIDATION", ["input", name]) for name in ("error", "validated", "logs", "notebook")]
    assert refusals(failed) == [
        ("VALIDATION", ["input", "error", "code"]),
        ("VALIDATION", ["input", "error", "message"]),
    ]
    assert await everything_kept() == kept


async def test_cancelling_ends_what_waits_and_what_runs_and_tells_the_worker_at_its_next_report() -> None:
    dag = await a_dag(a="", b="", c="b")
    done = (await claim())["id"]
    await complete(done)
    running = (await claim())["id"]

    cancelled = await cancel(dag.execution.id, Viewer(Role.USER, dag.owner.id), reason="No longer needed.")

    assert cancelled["userErrors"] == []
    assert cancelled["execution"]["status"] == "CANCELLED"
    assert cancelled["execution"]["endTimestamp"] is not None
    assert await dag.statuses() == {"a": "SUCCEEDED", "b": "CANCELLED", "c": "CANCELLED"}
    kept = await everything_kept()
    late = [await extend(running), await complete(running), await append(running, "line")]
    assert [state_of(payload) for payload in late] == [("CANCELLED", ["RUNNING"])] * 3
    assert await everything_kept() == kept
    step = await documents.Step.get(dag.steps["c"].id)
    assert step is not None
    assert step.error is not None
    assert (step.error.code, step.error.message) == ("CANCELLED", "No longer needed.")
    assert await claim() is None


async def test_what_has_ended_is_not_cancelled() -> None:
    dag = await a_dag(a="")
    await complete((await claim())["id"])
    kept = await everything_kept()

    payload = await cancel(dag.execution.id)

    assert payload["execution"] is None
    assert state_of(payload) == ("SUCCEEDED", ["PENDING", "READY", "RUNNING"])
    assert await everything_kept() == kept


async def test_only_the_owner_cancels() -> None:
    dag = await a_dag(a="")
    await claim()
    stranger = Viewer(Role.USER, "user_000000000000000000000009")
    kept = await everything_kept()

    assert refusals(await cancel(dag.execution.id, stranger)) == [("NOT_FOUND", ["input", "id"])]
    assert refusals(await cancel(dag.execution.id, WORKER)) == [("FORBIDDEN", ["input", "id"])]
    assert await everything_kept() == kept


async def test_an_execution_without_steps_is_cancelled_too() -> None:
    dag = await a_dag()

    assert (await cancel(dag.execution.id))["execution"]["status"] == "CANCELLED"


async def test_who_runs_an_execution_reads_it_while_it_runs() -> None:
    dag = await a_dag(a="", b="a", c="")
    output = new.an_output(dag.steps["b"])
    await keep(output)
    ids = [dag.execution.id, *(step.id for step in dag.steps.values()), output.id, dag.execution.digital_twin_ref]

    before = await _seen(ids, WORKER)
    step = (await claim())["id"]
    while_it_runs, by_others = await _seen(ids, WORKER), await _seen(ids, OTHER)
    await complete(step)
    between = await _seen(ids, WORKER)
    await cancel(dag.execution.id)
    after = await _seen(ids, WORKER)

    all_but_the_twin = [True] * 4 + [False, False]
    assert before == by_others == after == [False] * 6
    assert while_it_runs == between == all_but_the_twin


async def test_a_second_runner_reads_what_the_first_one_left() -> None:
    dag = await a_dag(a="", b="")
    first = (await claim())["id"]
    output = new.an_output(dag.steps["a"], attempt=1)
    await keep(output)
    await complete(first)

    await claim(OTHER, "worker-2")

    assert await _seen([output.id, first, dag.execution.id], OTHER) == [True] * 3


async def test_imported_runs_are_nobodys_and_never_expire(clock: Clock) -> None:
    dag = await a_dag(a="")
    step = dag.steps["a"].id
    running = {"status": ActivityStatus.RUNNING.value, "attempt": 1}
    await documents.Step.get_pymongo_collection().update_one({"_id": step}, {"$set": running})
    clock.forward(1_000_000)
    kept = await everything_kept()

    assert await claim() is None
    assert await sweep() == 0
    assert state_of(await complete(step, ADMIN)) == ("RUNNING", ["RUNNING"])
    assert await everything_kept() == kept


async def test_later_claims_of_a_runner_write_nothing_but_the_step(round_trips: Any) -> None:
    await a_dag(**{f"s{number}": "" for number in range(5)})
    await claim()

    with round_trips.counting() as seen:
        await claim()

    writes = [one for one in seen if one[0] in ("findAndModify", "update", "insert", "commitTransaction")]
    assert writes == [("findAndModify", "steps")]


async def _seen(ids: list[str], viewer: Viewer) -> list[bool]:
    found = await ask("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", viewer, ids=ids)
    return [one is not None for one in found["nodes"]]


async def test_a_claim_shows_the_step_with_all_that_it_needs() -> None:
    dag = await a_dag(a="", b="a")
    await complete((await claim())["id"])

    found = await answer(
        """mutation { claimActivity(input: {worker: "w", kinds: [STEP]}) { activity { ... on Step {
          key parameters dependsOn { key status } execution { id status } } } } }""",
        WORKER,
    )

    assert found == {
        "data": {
            "claimActivity": {
                "activity": {
                    "key": "b",
                    "parameters": {},
                    "dependsOn": [{"key": "a", "status": "SUCCEEDED"}],
                    "execution": {"id": dag.execution.id, "status": "RUNNING"},
                }
            }
        }
    }


LAST = """mutation ($last: CompleteActivityInput!, $next: CompleteActivityInput!) {
  last: completeActivity(input: $last) { activity { id status ... on Step { outputs { nodes { id } }
    execution { id status digitalTwin { id } steps { nodes { key status } } } } } userErrors { code } }
  next: completeActivity(input: $next) { activity { id } userErrors { code } } }"""


async def test_the_report_that_ends_an_execution_is_answered_with_it() -> None:
    dag = await a_dag(a="", b="a")
    await complete((await claim())["id"])
    step = (await claim())["id"]
    output = new.an_output(dag.steps["b"], attempt=1)
    await keep(output)
    report = {"id": step, "worker": "worker-1", "attempt": 1, "outcome": "SUCCEEDED"}

    found = [await answer(LAST, WORKER, last=report, next=report) for _ in range(2)]

    shown = {"id": step, "status": "SUCCEEDED", "outputs": {"nodes": [{"id": output.id}]}}
    steps = [{"key": "a", "status": "SUCCEEDED"}, {"key": "b", "status": "SUCCEEDED"}]
    execution = {"id": dag.execution.id, "status": "SUCCEEDED", "digitalTwin": None, "steps": {"nodes": steps}}
    last = {"activity": shown | {"execution": execution}, "userErrors": []}
    assert found == [{"data": {"last": last, "next": {"activity": {"id": step}, "userErrors": []}}}] * 2
    assert await _seen([dag.execution.id, step, output.id], WORKER) == [False] * 3


async def test_the_report_that_ended_an_execution_long_ago_is_not_answered_with_it_any_more(clock: Clock) -> None:
    dag = await a_dag(a="")
    step = (await claim())["id"]
    report = {"id": step, "worker": "worker-1", "attempt": 1, "outcome": "SUCCEEDED"}
    await answer(LAST, WORKER, last=report, next=report)

    clock.forward(6.9 * 24 * 3600)
    within_a_week = await answer(LAST, WORKER, last=report, next=report)
    clock.forward(0.2 * 24 * 3600)
    later = await answer(LAST, WORKER, last=report, next=report)

    assert within_a_week["data"]["last"]["activity"]["execution"]["id"] == dag.execution.id
    assert later["data"]["last"] == {"activity": None, "userErrors": [{"code": "INVALID_STATE"}]}


async def test_what_a_report_shows_is_shown_in_its_own_answer_alone() -> None:
    dag = await a_dag(a="")
    twin = dag.execution.digital_twin_ref
    step = (await claim())["id"]
    late = {"id": dag.steps["a"].id, "worker": "another", "attempt": 1, "outcome": "SUCCEEDED"}
    hidden = {"id": step, "worker": "worker-1", "attempt": 1, "outcome": "SUCCEEDED"}

    found = await answer(LAST, WORKER, last=hidden, next=late)

    execution = found["data"]["last"]["activity"]["execution"]
    assert (execution["status"], execution["digitalTwin"]) == ("SUCCEEDED", None)
    assert found["data"]["next"] == {"activity": None, "userErrors": [{"code": "INVALID_STATE"}]}
    assert twin not in str(found)
    by_another = await answer(LAST, OTHER, last=hidden, next=hidden)
    assert by_another == {
        "data": {name: {"activity": None, "userErrors": [{"code": "NOT_FOUND"}]} for name in ("last", "next")}
    }
