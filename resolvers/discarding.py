"""Ending what is on its way into a generation, and giving a generation up.

What was written of it already is removed by workers, in the background: that of a discarded generation altogether, else
that of each part with `leftovers`.
"""

import documents
from documents.activity import OPEN, ActivityStatus
from documents.base import now
from documents.generation import GenerationStatus
from documents.log_entry import LogLevel
from resolvers.fetch import Row, collection_of
from resolvers.filters import Filter
from resolvers.ingest.ingestion.lines import say
from resolvers.refusals import NotFound
from resolvers.runs import CANCELLED_BY_SOMEBODY, Move, an_error, move
from resolvers.writing import Session

UNENDED: Filter = {"status": {"$in": [one.value for one in OPEN]}}


async def stop(ingestion: Row, why: str, session: Session) -> Row | None:
    """The ingestion, cancelled with those of its parts that are not being folded in; None when it has ended already."""
    error = an_error(CANCELLED_BY_SOMEBODY, why)
    stopped = await move(documents.Ingestion, Move.CANCEL, {"_id": ingestion["_id"]}, {"error": error}, now(), session)
    if stopped is None:
        return None
    await _stop_parts({"ingestionRef": ingestion["_id"]}, session)
    return await say(ingestion["_id"], LogLevel.WARNING, f"Cancelled. {why}", session)


async def discard(generation: Row, why: str, session: Session) -> Row:
    """The generation, given up, with all that was on its way into it."""
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
    """Cancel the parts that have not ended. Those that were ever begun may have left rows behind."""
    parts = collection_of(documents.IngestionPart)
    # A part that is being folded in is let finish, so that archives stay whole.
    unended = UNENDED | {"folding": {"$ne": True}} | match
    ended = {"status": ActivityStatus.CANCELLED.value, "holds": False, "leaseExpiresAt": None, "end_timestamp": now()}
    begun = unended | {"attempt": {"$gt": 0}, "generationRef": {"$ne": None}}
    await parts.update_many(begun, {"$set": ended | {"leftovers": True}}, session=session)
    await parts.update_many(unended, {"$set": ended}, session=session)
