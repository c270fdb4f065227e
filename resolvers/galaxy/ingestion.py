"""Ingestions: requesting and cancelling them, and the sums of their parts."""

from collections.abc import Sequence
from typing import Any

import documents
from documents.activities.activity import OPEN, ActivityStatus
from documents.base import EmbeddedModel
from documents.galaxy.generation import GenerationStatus
from documents.galaxy.ingestion import IngestionKind
from documents.mongo.transaction import Session
from resolvers.access.roles import require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.galaxy.discard import discard, stop
from resolvers.galaxy.ingestion_queue import insert_empty_ingestion, queue_ingest, queue_reprocess
from resolvers.galaxy.instance import own_instance
from resolvers.reads.rows import Row, collection_of
from resolvers.user_errors import InvalidInput, InvalidState, LimitExceeded, NotFound, Refusal, Refusals
from resolvers.validators import check_line, check_text
from resolvers.writes.store import get_readable
from resolvers.writes.transaction import Outcome

MOST_NAMED = 1_000
"""Archives that one call may name."""
UNIT = "jobs"


class Progress(EmbeddedModel):
    """Progress of an ingestion. `total` is None while the size of an archive is unknown."""

    unit: str
    completed: int
    total: int | None
    rejected: int


class Counts(EmbeddedModel):
    """Sums of the counts of an ingestion's archives."""

    archives: int
    jobs: int
    metrics: int
    datasets: int
    parameters: int
    duplicates: int
    rejected: int


async def ingest_archives(
    session: Session,
    viewer: Viewer,
    *,
    instance_id: str,
    archive_ids: Sequence[str] | None = None,
    dry_run: bool = False,
) -> Outcome:
    """Ingest the archives that the instance's generation lacks; returns the ingestion, which has succeeded at once if
    there are none.

    Raises NotFound, Forbidden, and Refusals with every archive that cannot be ingested.
    """
    require_role(viewer, Role.USER, Role.WORKER)
    instance = await own_instance(instance_id, viewer, session, "instanceId")
    ids = None if archive_ids is None else list(dict.fromkeys(archive_ids))
    if ids is not None:
        await _check_archives(instance_id, archive_ids or [], session)
    queued = await queue_ingest(instance, ids, session, dry_run=dry_run)
    return {"ingestion": queued or await insert_empty_ingestion(instance, session, dry_run=dry_run)}


async def reprocess_archives(
    session: Session, viewer: Viewer, *, instance_id: str, reason: str, activate: bool = False, dry_run: bool = False
) -> Outcome:
    """Ingest all archives of the instance into a new generation beside the active one; returns the ingestion."""
    require_role(viewer, Role.USER, Role.WORKER)
    instance = await own_instance(instance_id, viewer, session, "instanceId")
    said = check_line(reason, "reason")
    queued = await queue_reprocess(instance, session, reason=said, activate=activate, dry_run=dry_run)
    return {"ingestion": queued}


async def cancel_ingestion(session: Session, viewer: Viewer, *, id: str, reason: str | None = None) -> Outcome:
    """Cancel an ingestion with its incomplete parts, and return it. Raises NotFound, Forbidden, and InvalidState."""
    require_role(viewer, Role.USER, Role.WORKER)
    message = check_text(reason, "reason") or "The ingestion was cancelled."
    ingestion = await get_readable(documents.Ingestion, id, viewer, session, "id")
    await own_instance(ingestion["instanceRef"], viewer, session, "id")
    stopped = await stop(ingestion, message, session)
    if stopped is None:
        raise InvalidState(
            f"{id} is {ingestion['status']}; it has ended and cannot be cancelled.",
            "id",
            current=ingestion["status"],
            allowed=[status.value for status in OPEN],
        )
    if stopped["kind"] == IngestionKind.REPROCESS.value and stopped.get("generationRef"):
        unfinished = {"_id": stopped["generationRef"], "status": GenerationStatus.BUILDING.value}
        generation = await collection_of(documents.Generation).find_one(unfinished, session=session)
        if generation is not None:
            await discard(generation, message, session)
    return {"ingestion": stopped}


async def counts(ingestions: list[Row], viewer: Viewer) -> list[Row]:
    """The counts of each ingestion so far, over archives that were read to their end."""
    names = [name for name in Counts.model_fields if name != "archives"]
    sums: Row = {name: {"$sum": f"$counts.{name}"} for name in names}
    sums["archives"] = {"$sum": {"$cond": [{"$eq": ["$status", ActivityStatus.SUCCEEDED.value]}, 1, 0]}}
    found = await _of_parts(ingestions, sums)
    return [found.get(one["_id"]) or dict.fromkeys(Counts.model_fields, 0) for one in ingestions]


async def progress(ingestions: list[Row], viewer: Viewer) -> list[Row]:
    """The progress of each ingestion."""
    sums = {
        "completed": {"$sum": "$done"},
        "total": {"$sum": "$declared"},
        "rejected": {"$sum": "$counts.rejected"},
        "unknown": {"$sum": {"$cond": [{"$eq": [{"$ifNull": ["$declared", None]}, None]}, 1, 0]}},
    }
    found = await _of_parts(ingestions, sums)
    return [_progress(found.get(one["_id"]) or dict.fromkeys(sums, 0)) for one in ingestions]


def _progress(sums: Row) -> Row:
    return {"unit": UNIT, **sums, "total": None if sums["unknown"] else sums["total"]}


async def _of_parts(ingestions: list[Row], sums: Row) -> dict[str, Row]:
    """Sums over the parts of each ingestion that has any."""
    ids = [one["_id"] for one in ingestions]
    stages: list[dict[str, Any]] = [
        {"$match": {"ingestionRef": {"$in": ids}}},
        {"$group": {"_id": "$ingestionRef", **sums}},
    ]
    return {row["_id"]: row async for row in await collection_of(documents.IngestionPart).aggregate(stages)}


async def _check_archives(instance_id: str, ids: Sequence[str], session: Session) -> None:
    if len(ids) > MOST_NAMED:
        raise LimitExceeded(f"{len(ids)} archives; at most {MOST_NAMED:,} are named at once.", "archiveIds")
    named = {"_id": {"$in": ids}, "instanceRef": instance_id}
    said = {"current": 1, "quarantine": 1, "supersededByRef": 1}
    found = collection_of(documents.Archive).find(named, said, session=session)
    known = {row["_id"]: row async for row in found}
    refusals = [_refusal(id, known.get(id), str(number)) for number, id in enumerate(ids)]
    if wrong := [one for one in refusals if one is not None]:
        raise Refusals(wrong)


def _refusal(id: str, archive: Row | None, number: str) -> Refusal | None:
    """The reason why an archive cannot be ingested, None when it can."""
    path = "archiveIds", number
    if archive is None:
        return NotFound("Archive", id, *path)
    if archive.get("quarantine") is not None:
        return InvalidInput(f"{id} cannot be ingested by this release: {archive['quarantine']}", *path)
    if not archive["current"]:
        return InvalidInput(f"{id} was replaced by {archive['supersededByRef']}, which is ingested instead.", *path)
    return None
