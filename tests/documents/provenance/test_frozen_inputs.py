"""Frozen inputs: the outputs that a step may take from the steps that it waits for."""

from typing import Any

import pytest

import documents
from documents.mongo.database import Database
from documents.provenance import frozen_inputs as module
from documents.provenance.frozen_inputs import frozen_inputs
from documents.provenance.used import Used
from documents.twins.output import OutputType
from tests.conftest import RoundTrips
from tests.support import builders as new
from tests.support.asking import ADMIN, ask
from tests.support.builders import keep

HASHES = [f"{number:064x}" for number in range(20)]


class Execution:
    """An execution of a and b; c waits for both. b succeeded at its second attempt. Outputs are kept in turns."""

    def __init__(self) -> None:
        self.twin = new.a_twin(new.a_user())
        self.execution = new.an_execution(self.twin)
        self.a = new.a_step(self.execution, key="a", ordinal=0, attempt=1)
        self.b = new.a_step(self.execution, key="b", ordinal=1, attempt=2)
        self.c = new.a_step(self.execution, key="c", ordinal=2, depends_on=[self.b.id, self.a.id])
        self.a1 = new.an_output(self.a, attempt=1, sha256=HASHES[1])
        self.b1 = new.an_output(self.b, attempt=2, sha256=HASHES[2])
        self.a2 = new.an_output(self.a, attempt=1)
        self.kept: list[documents.Document] = [self.a, self.b, self.c, self.a1, self.b1, self.a2]


async def frozen(database: Database, step: documents.Step) -> dict[str, Any]:
    return await frozen_inputs(database["steps"], step.id)


def used(*outputs: documents.Output) -> list[dict[str, Any]]:
    """The outputs as they are stored."""
    return [{"ref": output.id, "sha256": output.sha256} for output in outputs]


async def test_a_step_takes_the_outputs_of_the_attempts_that_succeeded_by_id_with_their_hashes(
    database: Database,
) -> None:
    execution = Execution()
    earlier = new.an_output(execution.b, attempt=1, sha256=HASHES[3])
    snapshot = new.an_output(execution.a, attempt=1, sha256=HASHES[4], output_type=OutputType.SNAPSHOT)
    imported = new.an_output(execution.a, attempt=0, sha256=HASHES[5])
    of_itself = new.an_output(execution.c, attempt=1)
    await keep(*execution.kept, earlier, snapshot, imported, of_itself)

    assert await frozen(database, execution.c) == {
        "used": used(execution.a1, execution.b1, execution.a2, imported),
        "used_truncated": False,
    }


async def test_the_order_is_that_of_input_files(database: Database) -> None:
    execution = Execution()
    await keep(*execution.kept)
    query = "query ($id: ID!) { node(id: $id) { ... on Step { inputFiles { nodes { outputId sha256 } } } } }"

    files = (await ask(query, ADMIN, id=execution.c.id))["node"]["inputFiles"]["nodes"]

    stored = (await frozen(database, execution.c))["used"]
    assert stored == [{"ref": file["outputId"], "sha256": file["sha256"]} for file in files]
    assert len(stored) == 3


async def test_what_the_step_was_told_to_use_stays_and_what_was_reported_later_goes(database: Database) -> None:
    execution = Execution()
    elsewhere = new.an_output(execution.c)
    fetched = Used(ref=elsewhere.id, sha256=HASHES[6], step_key="sea")
    at_a_url = Used(ref="external_2", assumed=True, declared=True)
    execution.c.used = [Used(ref="external_1"), fetched, at_a_url]
    await keep(*execution.kept)

    assert await frozen(database, execution.c) == {
        "used": [
            at_a_url.model_dump(by_alias=True),
            *used(execution.a1, execution.b1, execution.a2),
            fetched.model_dump(by_alias=True),
        ],
        "used_truncated": False,
    }


async def test_an_output_is_listed_once(database: Database) -> None:
    execution = Execution()
    fetched = Used(ref=execution.b1.id, step_key="sea")
    execution.c.used = [fetched]
    await keep(*execution.kept)

    assert (await frozen(database, execution.c))["used"] == [
        *used(execution.a1),
        fetched.model_dump(by_alias=True),
        *used(execution.a2),
    ]


async def test_what_a_reused_step_left_is_taken_in_the_place_of_the_one_that_reuses_it(database: Database) -> None:
    execution = Execution()
    again = new.an_execution(execution.twin)
    reused = new.a_step(again, key="b", ordinal=0, reused_from_ref=execution.b.id)
    gone = new.a_step(again, key="a", ordinal=1, attempt=1, reused_from_ref="step_gone")
    after = new.a_step(again, key="c", ordinal=2, depends_on=[reused.id, gone.id])
    of_gone = new.an_output(gone, attempt=1)
    await keep(*execution.kept, reused, gone, after, of_gone)

    assert (await frozen(database, after))["used"] == used(execution.b1)


async def test_a_step_whose_predecessors_left_nothing_used_nothing(database: Database) -> None:
    execution = Execution()
    await keep(execution.a, execution.b, execution.c, new.an_output(execution.b, attempt=1))

    assert await frozen(database, execution.c) == {"used": [], "used_truncated": False}


async def test_there_is_nothing_of_a_step_that_is_not_there(database: Database) -> None:
    assert await frozen_inputs(database["steps"], "step_none") == {}


@pytest.mark.parametrize(("most", "truncated"), [(1, True), (2, True), (3, False), (4, False)])
async def test_of_more_outputs_than_may_be_listed_those_of_the_first_steps_are(
    database: Database, monkeypatch: pytest.MonkeyPatch, most: int, truncated: bool
) -> None:
    execution = Execution()
    await keep(*execution.kept)
    monkeypatch.setattr(module, "MAX_USED", most)

    first = [execution.a1, execution.a2, execution.b1][:most]
    assert await frozen(database, execution.c) == {
        "used": used(*sorted(first, key=lambda output: output.id)),
        "used_truncated": truncated,
    }


async def test_files_to_fetch_are_kept_before_outputs(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    execution = Execution()
    execution.c.used = [Used(ref=f"output_f{number}", step_key="sea") for number in range(2)]
    await keep(*execution.kept)
    monkeypatch.setattr(module, "MAX_USED", 3)

    stored = await frozen(database, execution.c)

    assert [artifact["ref"] for artifact in stored["used"]] == [execution.a1.id, "output_f0", "output_f1"]
    assert stored["used_truncated"] is True


async def test_ten_thousand_outputs_of_a_hundred_steps_take_one_round_trip(
    database: Database, round_trips: RoundTrips
) -> None:
    execution = new.an_execution(new.a_twin(new.a_user()))
    before = [new.a_step(execution, key=f"s{n}", ordinal=n, attempt=1) for n in range(100)]
    after = new.a_step(execution, key="after", ordinal=100, depends_on=[step.id for step in before])
    outputs = [new.an_output(step, attempt=1) for step in before for _ in range(100)]
    await keep(*before, after, *outputs, one_more := new.an_output(before[0], attempt=1))

    with round_trips.counting() as seen:
        stored = await frozen(database, after)

    assert seen == [("aggregate", "steps")]
    assert stored == {"used": used(*outputs[:-1], one_more), "used_truncated": True}


async def test_steps_are_found_by_what_they_used(database: Database) -> None:
    plan = await database["steps"].find({"used.ref": {"$in": ["output_1", "output_2"]}}).explain()

    (stage,) = [stage for stage in _stages(plan["queryPlanner"]["winningPlan"]) if stage["stage"] == "IXSCAN"]
    assert (stage["indexName"], stage["isPartial"]) == ("used.ref_1__id_1", True)


def _stages(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """A stage of a plan and those below it."""
    below = [plan[name] for name in ("queryPlan", "inputStage") if name in plan]
    return [*([plan] if "stage" in plan else []), *(stage for one in below for stage in _stages(one))]
