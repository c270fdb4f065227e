"""Cancelling ingestions into a generation, and discarding generations.

Rows that they had already written are removed by workers, in the background: all rows of a discarded generation, else
those of each part with `leftovers`.
"""

import documents
from documents.activities.activity import OPEN, ActivityStatus
from documents.activities.log_entry import LogLevel
from documents.base import now
from documents.galaxy.generation import GenerationStatus
from documents.mongo.transaction import Session
from resolvers.activities.state_machine import CANCELLED_CODE, Transition, activity_error, apply_transition
from resolvers.filters import Filter
from resolvers.galaxy.ingestion_log import append_ingestion_line
from resolvers.reads.rows import Row, collection_of
from resolvers.user_errors import NotFound

UNFINISHED: Filter = {"status": {"$in": [status.value for status in OPEN]}}


async def cancel_with_parts(ingestion: Row, why: str, session: Session) -> Row | None:
    """Cancel an ingestion and its parts, except those that are being merged; returns it, None when it has ended."""
    error = activity_error(CANCELLED_CODE, why)
    cancelled = await apply_transition(
        documents.Ingestion, Transition.CANCEL, {"_id": ingestion["_id"]}, {"error": error}, now(), session
    )
    if cancelled is None:
        return None
    await _cancel_parts({"ingestionRef": ingestion["_id"]}, session)
    return await append_ingestion_line(ingestion["_id"], LogLevel.WARNING, f"Cancelled. {why}", session)


async def discard_with_ingestions(generation: Row, why: str, session: Session) -> Row:
    """Discard a generation and cancel all ingestions into it; returns the generation."""
    values = {"status": GenerationStatus.DISCARDED.value, "activate": False}
    discarded: Row | None = await collection_of(documents.Generation).find_one_and_update(
        {"_id": generation["_id"]}, {"$set": values}, return_document=True, session=session
    )
    if discarded is None:
        raise NotFound("Generation", generation["_id"])
    into = {"instanceRef": generation["instanceRef"], "generationRef": generation["_id"]}
    ingestions = collection_of(documents.Ingestion).find(into | UNFINISHED, {"_id": 1}, session=session)
    for ingestion in await ingestions.to_list():
        await cancel_with_parts(ingestion, why, session)
    return discarded


async def _cancel_parts(match: Filter, session: Session) -> None:
    """Cancel unfinished parts. Those that had begun may have left rows behind."""
    parts = collection_of(documents.IngestionPart)
    # A part that is being merged may finish, so that archives stay whole.
    unfinished = UNFINISHED | {"folding": {"$ne": True}} | match
    values = {"status": ActivityStatus.CANCELLED.value, "holds": False, "leaseExpiresAt": None, "end_timestamp": now()}
    begun = unfinished | {"attempt": {"$gt": 0}, "generationRef": {"$ne": None}}
    await parts.update_many(begun, {"$set": values | {"leftovers": True}}, session=session)
    await parts.update_many(unfinished, {"$set": values}, session=session)
