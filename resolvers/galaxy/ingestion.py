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
from resolvers.galaxy.discard import cancel_with_parts, discard_with_ingestions
from resolvers.galaxy.ingestion_queue import insert_empty_ingestion, queue_ingest, queue_reprocess
from resolvers.galaxy.instance import own_instance
from resolvers.limits import MAX_INGESTED_ARCHIVES
from resolvers.reads.rows import Row, collection_of
from resolvers.user_errors import InvalidInput, InvalidState, LimitExceeded, NotFound, Refusal, Refusals
from resolvers.validators import check_line, check_text
from resolvers.writes.store import get_readable
from resolvers.writes.transaction import Outcome

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
    line = check_line(reason, "reason")
    queued = await queue_reprocess(instance, session, reason=line, activate=activate, dry_run=dry_run)
    return {"ingestion": queued}


async def cancel_ingestion(session: Session, viewer: Viewer, *, id: str, reason: str | None = None) -> Outcome:
    """Cancel an ingestion with its incomplete parts, and return it. Raises NotFound, Forbidden, and InvalidState."""
    require_role(viewer, Role.USER, Role.WORKER)
    message = check_text(reason, "reason") or "The ingestion was cancelled."
    ingestion = await get_readable(documents.Ingestion, id, viewer, session, "id")
    await own_instance(ingestion["instanceRef"], viewer, session, "id")
    cancelled = await cancel_with_parts(ingestion, message, session)
    if cancelled is None:
        raise InvalidState(
            f"{id} is {ingestion['status']}; it has ended and cannot be cancelled.",
            "id",
            current=ingestion["status"],
            allowed=[status.value for status in OPEN],
        )
    if cancelled["kind"] == IngestionKind.REPROCESS.value and cancelled.get("generationRef"):
        unfinished = {"_id": cancelled["generationRef"], "status": GenerationStatus.BUILDING.value}
        generation = await collection_of(documents.Generation).find_one(unfinished, session=session)
        if generation is not None:
            await discard_with_ingestions(generation, message, session)
    return {"ingestion": cancelled}


async def counts(ingestions: list[Row], viewer: Viewer) -> list[Row]:
    """The counts of each ingestion so far, over archives that were read completely."""
    names = [name for name in Counts.model_fields if name != "archives"]
    sums: Row = {name: {"$sum": f"$counts.{name}"} for name in names}
    sums["archives"] = {"$sum": {"$cond": [{"$eq": ["$status", ActivityStatus.SUCCEEDED.value]}, 1, 0]}}
    by_id = await _sum_parts(ingestions, sums)
    return [by_id.get(ingestion["_id"]) or dict.fromkeys(Counts.model_fields, 0) for ingestion in ingestions]


async def progress(ingestions: list[Row], viewer: Viewer) -> list[Row]:
    """The progress of each ingestion."""
    sums = {
        "completed": {"$sum": "$done"},
        "total": {"$sum": "$declared"},
        "rejected": {"$sum": "$counts.rejected"},
        "unknown": {"$sum": {"$cond": [{"$eq": [{"$ifNull": ["$declared", None]}, None]}, 1, 0]}},
    }
    by_id = await _sum_parts(ingestions, sums)
    rows = [by_id.get(ingestion["_id"]) or dict.fromkeys(sums, 0) for ingestion in ingestions]
    return [{"unit": UNIT, **row, "total": None if row["unknown"] else row["total"]} for row in rows]


async def _sum_parts(ingestions: list[Row], sums: Row) -> dict[str, Row]:
    """Compute sums over the parts of each ingestion that has any; returns them by the ingestion's id."""
    ids = [ingestion["_id"] for ingestion in ingestions]
    stages: list[dict[str, Any]] = [
        {"$match": {"ingestionRef": {"$in": ids}}},
        {"$group": {"_id": "$ingestionRef", **sums}},
    ]
    return {row["_id"]: row async for row in await collection_of(documents.IngestionPart).aggregate(stages)}


async def _check_archives(instance_id: str, ids: Sequence[str], session: Session) -> None:
    if len(ids) > MAX_INGESTED_ARCHIVES:
        raise LimitExceeded(
            f"{len(ids):,} archives are too many; at most {MAX_INGESTED_ARCHIVES:,} are allowed.", "archiveIds"
        )
    match = {"_id": {"$in": ids}, "instanceRef": instance_id}
    projection = {"current": 1, "quarantine": 1, "supersededByRef": 1}
    rows = collection_of(documents.Archive).find(match, projection, session=session)
    archives = {row["_id"]: row async for row in rows}
    checks = [_refusal(id, archives.get(id), str(number)) for number, id in enumerate(ids)]
    if refusals := [refusal for refusal in checks if refusal is not None]:
        raise Refusals(refusals)


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
