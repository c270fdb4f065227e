"""Claims freeze the outputs that a step may take."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from pymongo.errors import PyMongoError

import documents
from documents.provenance import frozen_inputs
from documents.twins.output import OutputType
from resolvers.access.viewer import Role, Viewer
from resolvers.activities import claim as module
from resolvers.activities.claim_queue import candidates
from tests.conftest import RoundTrips
from tests.support import builders as new
from tests.support.builders import everything_kept, keep
from tests.support.clock import Clock
from tests.support.runs import WORKER, Dag, a_dag, a_worker, claim, complete, do, fail

pytestmark = pytest.mark.usefixtures("database")

OTHER = a_worker(2)
HASH = "0a" * 32


async def stored_row(step: documents.Step) -> dict[str, Any]:
    """A step as it is stored now."""
    row: dict[str, Any] | None = await documents.Step.get_pymongo_collection().find_one({"_id": step.id})
    assert row is not None
    return row


async def run(dag: Dag, key: str, *outputs: documents.Output, attempt: int = 1) -> None:
    """Claim the step, keep outputs of it, and let it succeed."""
    claimed = await claim()
    assert dag.key_of(claimed["id"]) == key
    await keep(*outputs)
    await complete(claimed["id"], attempt=attempt)


def used(*outputs: documents.Output) -> list[dict[str, Any]]:
    """The outputs as they are stored."""
    return [{"ref": output.id, "sha256": output.sha256} for output in outputs]


async def test_the_steps_of_a_diamond_use_what_their_predecessors_left() -> None:
    dag = await a_dag(a="", b="a", c="a", d="bc")
    a, b, c = (dag.steps[key] for key in "abc")
    of_a = [new.an_output(a, attempt=1, sha256=HASH), new.an_output(a, attempt=1)]
    of_b, of_c = new.an_output(b, attempt=1, sha256="0b" * 32), new.an_output(c, attempt=1)
    snapshot = new.an_output(a, attempt=1, output_type=OutputType.SNAPSHOT)

    await run(dag, "a", *of_a, snapshot)
    before = {key: (await stored_row(dag.steps[key]))["used"] for key in "abcd"}
    await run(dag, "b", of_b)
    await run(dag, "c", of_c)
    await run(dag, "d")

    assert before == dict.fromkeys("abcd")
    after = {key: await stored_row(dag.steps[key]) for key in "abcd"}
    assert {key: row["used"] for key, row in after.items()} == {
        "a": None,
        "b": used(*of_a),
        "c": used(*of_a),
        "d": used(of_b, of_c),
    }
    assert [row["used_truncated"] for row in after.values()] == [False] * 4


async def test_a_step_whose_predecessor_left_no_output_uses_nothing_and_a_first_one_says_nothing() -> None:
    dag = await a_dag(a="", b="a")

    await run(dag, "a", new.an_output(dag.steps["a"], attempt=1, output_type=OutputType.SNAPSHOT))
    await claim()

    assert [(await stored_row(dag.steps[key]))["used"] for key in "ab"] == [None, []]


@pytest.mark.parametrize("silent", [False, True])
async def test_a_new_attempt_begins_with_the_frozen_outputs_alone(clock: Clock, silent: bool) -> None:
    dag = await a_dag(a="", b="a")
    output, b = new.an_output(dag.steps["a"], attempt=1, sha256=HASH), dag.steps["b"]
    await run(dag, "a", output)
    await claim()
    reported = {"ref": "external_1", "sha256": None, "stepKey": None}
    await documents.Step.get_pymongo_collection().update_one({"_id": b.id}, {"$push": {"used": reported}})

    if not silent:
        await fail(b.id, retryable=True)
    clock.forward(10_000)
    again = await claim(OTHER, "worker-2")

    assert (again["id"], again["attempt"]) == (b.id, 2)
    assert (await stored_row(b))["used"] == used(output)


async def test_a_step_takes_the_outputs_of_the_attempt_that_succeeded(clock: Clock) -> None:
    dag = await a_dag(a="", b="a")
    a = dag.steps["a"]
    failed, succeeded = new.an_output(a, attempt=1), new.an_output(a, attempt=2)
    await claim()
    await keep(failed)
    await fail(a.id, retryable=True)
    clock.forward(10_000)

    await run(dag, "a", succeeded, attempt=2)
    await claim()

    assert (await stored_row(dag.steps["b"]))["used"] == used(succeeded)


async def test_a_re_run_takes_the_outputs_of_the_steps_that_it_reuses() -> None:
    dag = await a_dag(a="", b="a", c="b")
    of_a, of_b = new.an_output(dag.steps["a"], attempt=1), new.an_output(dag.steps["b"], attempt=1)
    await keep(new.a_component_version(new.a_component(), id=dag.steps["a"].component_version_ref))
    await run(dag, "a", of_a)
    await run(dag, "b", of_b)
    await fail((await claim())["id"])
    first = await rerun(dag, dag.execution.id, "FROM_STEP", fromStepId=dag.steps["b"].id)
    waiting = [row["used"] for row in first]
    claimed = await claim()
    await keep(of_b_again := new.an_output(documents.Step.model_validate(first[1]), attempt=1))
    await complete(claimed["id"])
    await fail((await claim())["id"])

    second = await rerun(dag, first[0]["executionRef"], "FROM_FAILURE")
    await claim()

    assert waiting == [None, None, None]
    assert await used_by(first) == [None, used(of_a), used(of_b_again)]
    assert await used_by(second) == [None, None, used(of_b_again)]


async def rerun(dag: Dag, execution_id: str, strategy: str, **given: Any) -> list[dict[str, Any]]:
    """Let the owner run an execution again; returns its new steps in order."""
    owner, given = Viewer(Role.USER, dag.owner.id), {"executionId": execution_id, "strategy": strategy, **given}
    payload = await do("rerunExecution", "execution { id }", owner, **given)
    assert payload["userErrors"] == []
    match = {"executionRef": payload["execution"]["id"]}
    return await documents.Step.get_pymongo_collection().find(match, sort=[("ordinal", 1)]).to_list()


async def used_by(steps: list[dict[str, Any]]) -> list[Any]:
    return [(await stored_row(documents.Step.model_validate(step)))["used"] for step in steps]


async def test_of_too_many_outputs_the_first_are_kept_and_the_step_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    dag = await a_dag(a="", b="a")
    outputs = [new.an_output(dag.steps["a"], attempt=1) for _ in range(4)]
    monkeypatch.setattr(frozen_inputs, "MAX_USED", 3)
    await run(dag, "a", *outputs)

    assert await claim() is not None

    row = await stored_row(dag.steps["b"])
    assert (row["used"], row["used_truncated"]) == (used(*outputs[:3]), True)


@pytest.mark.parametrize("keyed", [False, True])
async def test_a_claim_reads_once_more_for_a_step_that_waits_for_others_and_never_for_another(
    round_trips: RoundTrips, keyed: bool
) -> None:
    dag = await a_dag(a="", b="", c="a")
    await run(dag, "a", new.an_output(dag.steps["a"], attempt=1))

    with round_trips.counting() as of_b:
        first = await claim(idempotencyKey="first" if keyed else None)
    with round_trips.counting() as of_c:
        second = await claim(idempotencyKey="second" if keyed else None)

    assert [dag.key_of(claimed["id"]) for claimed in (first, second)] == ["b", "c"]
    assert ("aggregate", "steps") not in of_b
    assert sorted(of_c) == sorted([*of_b, ("aggregate", "steps")])


async def test_of_many_claimers_one_gets_the_step_and_it_is_frozen_once() -> None:
    dag = await a_dag(a="", b="a")
    output = new.an_output(dag.steps["a"], attempt=1, sha256=HASH)
    await run(dag, "a", output)

    claimed = await asyncio.gather(*(claim(a_worker(number % 2), f"worker-{number}") for number in range(10)))

    (step,) = [one for one in claimed if one]
    row = await stored_row(dag.steps["b"])
    assert (step["id"], row["attempt"], row["used"]) == (row["_id"], 1, used(output))


async def test_of_two_processes_that_read_the_same_the_slower_one_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dag = await a_dag(a="", b="a")
    await run(dag, "a", new.an_output(dag.steps["a"], attempt=1))
    slower = module.ClaimRequest("slower", WORKER, timedelta(minutes=1))
    async with candidates((documents.Step,), slower.holder) as choice:
        (waiting,) = choice.rows
    kept: list[Any] = []

    async def be_overtaken(*_: Any) -> dict[str, Any]:
        monkeypatch.undo()
        kept.append((await claim(OTHER, "faster"), await everything_kept()))
        return {"used": [], "used_truncated": True}

    monkeypatch.setattr(module, "frozen_inputs", be_overtaken)
    claimed = await module._claim(waiting, slower)

    ((faster, after_faster),) = kept
    assert (claimed, faster["id"], faster["attempt"]) == (None, dag.steps["b"].id, 1)
    assert await everything_kept() == after_faster


async def test_a_claim_that_ends_between_reading_and_leasing_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    dag = await a_dag(a="", b="a")
    output = new.an_output(dag.steps["a"], attempt=1)
    await run(dag, "a", output)
    before = await everything_kept()

    async def lost(*_: Any) -> None:
        raise PyMongoError("the process was killed")

    with monkeypatch.context() as patch:
        patch.setattr(module, "_lease", lost)
        with pytest.raises(PyMongoError):
            await module.claim_activity(WORKER, worker="w", lease_seconds=60)
    after = await everything_kept()
    claimed = await claim()

    assert after == before
    assert (claimed["id"], claimed["attempt"]) == (dag.steps["b"].id, 1)
    assert (await stored_row(dag.steps["b"]))["used"] == used(output)
