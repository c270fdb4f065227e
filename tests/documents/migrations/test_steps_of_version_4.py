"""Steps that version 4 let workers claim say afterwards which outputs they could take."""

from typing import Any

import pytest

from documents.embedded_mongod.server import EmbeddedMongo
from documents.migrations import migrate, plan, step_0005_frozen_inputs
from documents.migrations.schema_version import COLLECTION, ID
from documents.mongo.database import Database
from documents.provenance import frozen_inputs
from tests.documents.migrations.killing import killed_after

HASH = "0a" * 32
FILE: dict[str, Any] = {"ref": "output_e", "sha256": HASH, "stepKey": "sea"}
TAKEN: list[dict[str, Any]] = [{"ref": "output_a1", "sha256": HASH}, {"ref": "output_a2", "sha256": None}]
DIAMOND = [*TAKEN, {"ref": "output_b2", "sha256": None}]


def a_step(id: str, status: str, after: list[str], attempt: int = 1, **fields: Any) -> dict[str, Any]:
    """A step as version 4 kept it, in part; a worker claimed it unless it had no attempt."""
    claimed_by = "token_1" if attempt else None
    row = {"_id": id, "status": status, "dependsOn": after, "attempt": attempt, "claimed_by": claimed_by}
    return {**row, "reusedFrom": None, "used": None, **fields}


def an_output(id: str, step: str, attempt: int, sha256: str | None = None, type: str = "output") -> dict[str, Any]:
    """An output as version 4 kept it, in part."""
    return {"_id": id, "stepRef": step, "attempt": attempt, "output_type": type, "sha256": sha256}


STEPS = [
    a_step("step_a", "SUCCEEDED", []),
    a_step("step_b", "SUCCEEDED", ["step_a"], 2),
    a_step("step_c", "RUNNING", ["step_a", "step_b"]),
    a_step("step_d", "READY", ["step_b"], 1, used=[FILE]),
    a_step("step_e", "PENDING", ["step_c"], 0, used=[FILE]),
    a_step("step_f", "SUCCEEDED", ["step_a"], claimed_by=None),
    a_step("step_g", "SUCCEEDED", [], 0, reusedFrom="step_a"),
    a_step("step_h", "FAILED", ["step_g"], used=[]),
    a_step("step_i", "CANCELLED", ["step_empty"]),
    a_step("step_j", "SUCCEEDED", ["step_a"]),
    a_step("step_k", "SUCCEEDED", [], used=[]),
]
OUTPUTS = [
    an_output("output_a1", "step_a", 1, HASH),
    an_output("output_a2", "step_a", 0),
    an_output("output_a3", "step_a", 1, type="snapshot"),
    an_output("output_b1", "step_b", 1),
    an_output("output_b2", "step_b", 2),
]
USED: dict[str, list[dict[str, Any]]] = {
    "step_b": TAKEN,
    "step_c": DIAMOND,
    "step_d": [{"ref": "output_b2", "sha256": None}, FILE],
    "step_h": TAKEN,
    "step_i": [],
    "step_j": TAKEN,
}
"""Artifacts that the claimed steps used which wait for others."""
EXPECTED = [
    row | ({"used": USED[row["_id"]], "used_truncated": False} if row["_id"] in USED else {})
    for row in STEPS
]  # fmt: skip


async def store(database: Database) -> None:
    """Make a database with steps as version 4 left it."""
    await database[COLLECTION].insert_one({"_id": ID, "version": 4})
    await database.steps.insert_many(row | {"executionRef": "execution_1", "key": row["_id"]} for row in STEPS)
    await database.outputs.insert_many(row | {"file_name": row["_id"]} for row in OUTPUTS)


async def steps(database: Database) -> list[dict[str, Any]]:
    return await database.steps.find({}, {"executionRef": 0, "key": 0}, sort=[("_id", 1)]).to_list()


async def test_claimed_steps_say_what_they_could_take_and_all_others_stay(old: Database) -> None:
    await store(old)
    outputs = await old.outputs.find().to_list()
    planned = await plan(old)

    await migrate(old)

    assert [(step.version, rows) for step, rows in planned.steps] == [(5, len(USED)), (6, 0), (7, 0)]
    assert await steps(old) == EXPECTED
    assert await old.outputs.find().to_list() == outputs


async def test_of_too_many_outputs_the_first_are_kept(old: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await store(old)
    monkeypatch.setattr(frozen_inputs, "MAX_USED", 2)

    await migrate(old)

    found = {row["_id"]: row for row in await steps(old)}
    assert (found["step_c"]["used"], found["step_c"]["used_truncated"]) == (DIAMOND[:2], True)
    assert (found["step_b"]["used"], found["step_b"]["used_truncated"]) == (TAKEN, False)


async def test_a_step_that_a_newer_server_claimed_is_left_alone(old: Database) -> None:
    await store(old)
    await old.steps.update_one({"_id": "step_c"}, {"$set": {"used": [FILE], "used_truncated": False}})

    await migrate(old)

    found = {row["_id"]: row["used"] for row in await steps(old)}
    assert found == {row["_id"]: row["used"] for row in EXPECTED} | {"step_c": [FILE]}


async def test_batches_are_small(old: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await store(old)
    monkeypatch.setattr(step_0005_frozen_inputs, "BATCH_SIZE", 4)
    told: list[tuple[str, int, int]] = []

    await migrate(old, lambda *progress: told.append(progress))

    progress = [(done, total) for does, done, total in told if does == step_0005_frozen_inputs.STEP.description]
    assert progress == [(0, 6), (4, 6), (6, 6), (6, 6)]
    assert await steps(old) == EXPECTED


async def test_killed_in_the_middle_it_goes_on(old: Database, mongod: EmbeddedMongo) -> None:
    await store(old)
    async with killed_after(1, mongod, old, released=True):
        written = await old.steps.count_documents({"used_truncated": False})

    await migrate(old)

    assert written == 4
    assert await steps(old) == EXPECTED
