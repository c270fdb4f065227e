"""Frozen inputs: the outputs of other steps that a step may take, as they are when the step is claimed.

The steps that it waits for have ended by then, and outputs are only registered while their step runs, so a list that is
computed again is the same.
"""

from typing import Any

from pymongo import ReadPreference
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection

from documents.provenance.used import MAX_USED

Row = dict[str, Any]


async def frozen_inputs(steps: AsyncCollection[Row], id: str, session: AsyncClientSession | None = None) -> Row:
    """The fields of a step that freeze what it uses, `used` and `used_truncated`; empty when there is no such step.

    `used` holds the artifacts that the step was told to use and the outputs, except snapshots, of the attempts that
    succeeded of the steps that it waits for, or of the steps that these reuse, in the order of their ids. There are at
    most MAX_USED; of more outputs those of the first steps are listed, and `used_truncated` is true. One round trip,
    which reads no output beyond those.
    """
    # A secondary may not have the outputs of a step that has just ended.
    on_primary = steps.with_options(read_preference=ReadPreference.PRIMARY)
    async with await on_primary.aggregate(_stages(id), session=session) as rows:
        async for row in rows:
            return _fields(row["declared"], row["outputs"])
    return {}


def _fields(declared: list[Row], outputs: list[Row]) -> Row:
    """The fields to store, from the artifacts that the step was told to use and one output more than may be listed."""
    refs = {artifact["ref"] for artifact in declared}
    taken = [{"ref": output["_id"], "sha256": output.get("sha256")} for output in outputs]
    room = MAX_USED - len(declared)
    used = [*declared, *(output for output in taken[:room] if output["ref"] not in refs)]
    return {"used": sorted(used, key=lambda artifact: str(artifact["ref"])), "used_truncated": len(taken) > room}


def _stages(id: str) -> list[Row]:
    """The stages that find what a step was told to use, and the outputs of the steps that it waits for."""
    # Files to fetch that were stored before there was `declared` have a step key alone.
    declared = {"$or": ["$$used.declared", {"$ne": [{"$ifNull": ["$$used.stepKey", None]}, None]}]}
    told = {"$filter": {"input": {"$ifNull": ["$used", []]}, "as": "used", "cond": declared}}
    return [
        {"$match": {"_id": id}},
        _lookup("steps", "dependsOn", "_id", "outputs", _outputs_of_dependency()),
        {"$project": {"_id": 0, "declared": told, "outputs": 1}},
    ]


def _outputs_of_dependency() -> list[Row]:
    """The stages that turn steps into the outputs that may be taken from them, step by step until there are enough."""
    itself = {"_id": "$_id", "attempt": "$attempt"}
    ran = {"$cond": [{"$ifNull": ["$reusedFrom", False]}, {"$first": "$reused"}, itself]}
    # Imported outputs have attempt 0.
    of_attempt = {"$in": ["$attempt", [0, "$$attempt"]]}
    enough: Row = {"$limit": MAX_USED + 1}
    to_take: list[Row] = [
        {"$match": {"output_type": "output", "$expr": of_attempt}},
        {"$sort": {"_id": 1}},
        enough,
        {"$project": {"sha256": 1}},
    ]
    return [
        {"$sort": {"_id": 1}},
        _lookup("steps", "reusedFrom", "_id", "reused", [{"$project": {"attempt": 1}}]),
        {"$project": {"ran": ran}},
        _lookup("outputs", "ran._id", "stepRef", "output", to_take, attempt="$ran.attempt"),
        {"$unwind": "$output"},
        {"$replaceRoot": {"newRoot": "$output"}},
        enough,
    ]


def _lookup(collection: str, local: str, foreign: str, name: str, stages: list[Row], **variables: str) -> Row:
    """The stage that stores as `name` what the stages make of the rows whose `foreign` is in `local`."""
    lookup = {"from": collection, "localField": local, "foreignField": foreign, "as": name, "pipeline": stages}
    return {"$lookup": lookup | ({"let": variables} if variables else {})}
