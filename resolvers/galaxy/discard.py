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
from resolvers.galaxy.ingestion_log import say
from resolvers.reads.rows import Row, collection_of
from resolvers.user_errors import NotFound

UNENDED: Filter = {"status": {"$in": [one.value for one in OPEN]}}


async def stop(ingestion: Row, why: str, session: Session) -> Row | None:
    """Cancel an ingestion and its parts, except those that are being merged; returns it, None when it has ended
    already."""
    error = activity_error(CANCELLED_CODE, why)
    stopped = await apply_transition(
        documents.Ingestion, Transition.CANCEL, {"_id": ingestion["_id"]}, {"error": error}, now(), session
    )
    if stopped is None:
        return None
    await _stop_parts({"ingestionRef": ingestion["_id"]}, session)
    return await say(ingestion["_id"], LogLevel.WARNING, f"Cancelled. {why}", session)


async def discard(generation: Row, why: str, session: Session) -> Row:
    """Discard a generation and cancel all ingestions into it; returns the generation."""
    given_up = {"status": GenerationStatus.DISCARDED.value, "activate": False}
    discarded: Row | None = await collection_of(documents.Generation).find_one_and_update(
        {"_id": generation["_id"]}, {"$set": given_up}, return_document=True, session=session
    )
    if discarded is None:
        raise NotFound("Generation", generation["_id"])
    into = {"instanceRef": generation["instanceRef"], "generationRef": generation["_id"]}
    coming = collection_of(documents.Ingestion).find(into | UNENDED, {"_id": 1}, session=session)
    for ingestion in await coming.to_list():
        await stop(ingestion, why, session)
    return discarded


async def _stop_parts(match: Filter, session: Session) -> None:
    """Cancel unended parts. Those that had begun may have left rows behind."""
    parts = collection_of(documents.IngestionPart)
    # A part that is being merged may finish, so that archives stay whole.
    unended = UNENDED | {"folding": {"$ne": True}} | match
    ended = {"status": ActivityStatus.CANCELLED.value, "holds": False, "leaseExpiresAt": None, "end_timestamp": now()}
    begun = unended | {"attempt": {"$gt": 0}, "generationRef": {"$ne": None}}
    await parts.update_many(begun, {"$set": ended | {"leftovers": True}}, session=session)
    await parts.update_many(unended, {"$set": ended}, session=session)
