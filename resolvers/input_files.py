"""What a step may take as its input: the outputs of the steps that it waits for, or of those that these reuse."""

from typing import NamedTuple

from pydantic import BaseModel, Field

import documents
from documents.output import AccessControl, OutputType
from documents.step import Borrower
from resolvers import fetch
from resolvers.fetch import Row, collection_of
from resolvers.policies import readable
from resolvers.refusals import InvalidInput
from resolvers.viewer import Viewer

MOST_AT_ONCE = 100
"""Files of one step in an answer."""


class InputFile(BaseModel):
    """An output, and the key of the step whose place it takes in the execution."""

    id: str = Field(alias="_id")
    step_key: str
    owner_ref: str = Field(alias="ownerRef")
    runners: list[str] = Field(default_factory=list)
    borrowers: list[Borrower] = Field(default_factory=list)
    file_name: str
    file_size: int | None = None
    file_type: str | None = None
    sha256: str | None = None
    bucket: str = Field(alias="s3_bucket")
    key: str = Field(alias="s3_key")
    generation: int | None = None
    access_control: AccessControl


class Source(NamedTuple):
    """A step whose outputs are taken in its own place, or in that of the step that reuses it."""

    id: str
    attempt: int
    key: str


async def input_files(
    steps: list[Row], viewer: Viewer, *, first: int | None = MOST_AT_ONCE, after: str | None = None
) -> list[list[Row]]:
    """For each step its input files by their ids, those after the output `after`. Reads for all steps at once."""
    most = MOST_AT_ONCE if first is None else first
    if not 1 <= most <= MOST_AT_ONCE:
        raise InvalidInput(f"first must be between 1 and {MOST_AT_ONCE}, not {most}.", code="BAD_USER_INPUT")
    sources = await _sources(steps, viewer)
    found = await _outputs({source for some in sources for source in some}, viewer, most, after or "")
    return [
        sorted(
            (output | {"step_key": source.key} for source in some for output in found.get(source.id, [])),
            key=lambda row: str(row["_id"]),
        )[:most]
        for some in sources
    ]


async def _sources(steps: list[Row], viewer: Viewer) -> list[list[Source]]:
    """For each step those whose outputs it takes."""
    awaited = await _steps({id for step in steps for id in _awaited(step)}, viewer)
    reused = await _steps({one["reusedFrom"] for one in awaited.values() if _reuses(one)}, viewer)
    return [
        [
            Source(ran["_id"], ran["attempt"], awaited[id]["key"])
            for id in _awaited(step)
            if id in awaited and (ran := reused.get(awaited[id]["reusedFrom"]) if _reuses(awaited[id]) else awaited[id])
        ]
        for step in steps
    ]


async def _steps(ids: set[str], viewer: Viewer) -> dict[str, Row]:
    return await fetch.by_ids(documents.Step, ids, frozenset({"key", "attempt", "reusedFrom"}), viewer)


def _awaited(step: Row) -> list[str]:
    return step.get("dependsOn") or []


def _reuses(step: Row) -> bool:
    return step.get("reusedFrom") is not None


async def _outputs(sources: set[Source], viewer: Viewer, most: int, after: str) -> dict[str, list[Row]]:
    """The first outputs of each source, of the attempt that succeeded, by the source's id. What was imported has 0."""
    if not sources:
        return {}
    made = sorted({(source.id, source.attempt) for source in sources})
    wanted = {
        "$or": [{"stepRef": id, "attempt": {"$in": [0, attempt]}, "_id": {"$gt": after}} for id, attempt in made],
        "output_type": OutputType.OUTPUT.value,
    }
    match = {"$and": [wanted, readable(documents.Output, viewer)]}
    first = {"$firstN": {"input": "$$ROOT", "n": most}}
    pipeline: list[Row] = [{"$match": match}, {"$sort": {"_id": 1}}, {"$group": {"_id": "$stepRef", "outputs": first}}]
    cursor = await collection_of(documents.Output).aggregate(pipeline)
    return {row["_id"]: row["outputs"] async for row in cursor}
