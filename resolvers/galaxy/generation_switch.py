"""Writes to generations: inserting an empty one, and making one active in the place of another."""

import documents
from documents.base import now
from documents.galaxy.generation import GenerationStatus
from documents.mongo.transaction import Session
from resolvers.galaxy.report import PARSER_VERSION
from resolvers.reads.rows import Row, collection_of
from resolvers.user_errors import NotFound
from resolvers.writes.store import insert

BUILDING, READY, ACTIVE, RETIRED, DISCARDED = GenerationStatus


async def start_generation(
    instance: Row, session: Session, *, reason: str | None = None, activate: bool = False
) -> Row:
    """Insert a new, empty generation of the instance for this release's parser, and return it."""
    generation = documents.Generation(
        instance_ref=instance["_id"],
        owner_refs=instance["ownerRefs"],
        public=instance["public"],
        parser_version=PARSER_VERSION,
        reason=reason,
        activate=activate,
    )
    return await insert(generation, session)


async def switch_to(generation: Row, session: Session) -> Row:
    """Make the generation active and return it; the one that was active becomes RETIRED."""
    generations, instance = collection_of(documents.Generation), generation["instanceRef"]
    # First, because an instance has at most one active generation.
    await generations.update_many(
        {"instanceRef": instance, "status": ACTIVE.value, "_id": {"$ne": generation["_id"]}},
        {"$set": {"status": RETIRED.value}},
        session=session,
    )
    active: Row | None = await generations.find_one_and_update(
        {"_id": generation["_id"]},
        {"$set": {"status": ACTIVE.value, "activate": False, "activated_at": now()}},
        return_document=True,
        session=session,
    )
    change = {"$set": {"activeGenerationRef": generation["_id"]}, "$inc": {"additions": 1}}
    await collection_of(documents.Instance).update_one({"_id": instance}, change, session=session)
    if active is None:
        raise NotFound("Generation", generation["_id"])
    return active
