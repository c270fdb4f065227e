"""Recording inputs of imported steps: the outputs of the step before, and data at the URLs among their parameters."""

import json
from itertools import chain
from typing import Any

import documents
from documents.activities.activity import ActivityStatus
from documents.mongo.transaction import Session
from documents.provenance.frozen_inputs import frozen_inputs
from documents.provenance.used import MAX_USED, Used, stored_used
from resolvers.imports.odtp.collection_import import ImportRun, stored_rows
from resolvers.provenance.external_data.external_state import reporter_of
from resolvers.provenance.external_data.parameter_urls import parameter_states
from resolvers.provenance.used import record_external_data, unique_used
from resolvers.reads.rows import Row, collection_of
from resolvers.writes.transaction import Outcome, run_in_transaction

STEPS_PER_TRANSACTION = 50
"""Each may use 10,000 outputs, and a transaction has a minute."""


async def import_used(run: ImportRun) -> None:
    """Record what the steps of the source used that have ended, unless it is recorded already.

    ODTP gives a step the whole output folder of the one before, and records nothing of it. Import the outputs first. A
    step of which nothing is known stays as it is: it may have read what ODTP did not keep.
    """
    async for rows in run.batches("steps", fields=["_id"]):
        steps = await _steps_without_used([f"step_{row.hex}" for row in rows if row.hex])
        for start in range(0, len(steps), STEPS_PER_TRANSACTION):
            await _record_used(steps[start : start + STEPS_PER_TRANSACTION])


async def _steps_without_used(ids: list[str]) -> list[Row]:
    ended = [ActivityStatus.SUCCEEDED.value, ActivityStatus.FAILED.value]
    match = {"_id": {"$in": ids}, "used": None, "status": {"$in": ended}, "claimed_by": None}
    fields = ["parameters", "dependsOn", "ordinal", "ownerRef", "public"]
    return await collection_of(documents.Step).find(match, fields).to_list()


async def _record_used(steps: list[Row]) -> None:
    before = await stored_rows(documents.Step, chain(*(step["dependsOn"] for step in steps)), "ordinal")

    async def work(session: Session) -> Outcome:
        for step in steps:
            # If the step between was refused, what this one took is not here.
            follows = any(before[id]["ordinal"] == step["ordinal"] - 1 for id in step["dependsOn"] if id in before)
            if fields := await _used_fields(step, session, follows=follows):
                unsaid = {"_id": step["_id"], "used": None}
                await collection_of(documents.Step).update_one(unsaid, {"$set": fields}, session=session)
        return {}

    await run_in_transaction(work)


async def _used_fields(step: Row, session: Session, *, follows: bool) -> Row:
    """The fields that say what a step used, among it the outputs of the step that it follows; empty where nothing is
    known."""
    frozen: Row = await frozen_inputs(collection_of(documents.Step), step["_id"], session) if follows else {}
    outputs = [Used.model_validate(used) for used in frozen.get("used", [])]
    states = parameter_states(_parameters(step))
    used = unique_used([*outputs, *await record_external_data(states, reporter_of(step), session, declared=True)])
    if not used:
        return {}
    truncated = bool(frozen.get("used_truncated")) or len(used) > MAX_USED
    return {"used": stored_used(used[:MAX_USED]), "used_truncated": truncated}


def _parameters(step: Row) -> dict[str, Any]:
    parameters = json.loads(step["parameters"])
    return parameters if isinstance(parameters, dict) else {}
