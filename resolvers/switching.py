"""Generations as they come to be, and which of them readers see."""

import documents
from documents.base import now
from documents.generation import GenerationStatus
from resolvers.fetch import Row, collection_of
from resolvers.ingest.report.version import PARSER_VERSION
from resolvers.refusals import NotFound
from resolvers.writing import Session, insert

BUILDING, READY, ACTIVE, RETIRED, DISCARDED = GenerationStatus


async def begun(instance: Row, session: Session, *, reason: str | None = None, activate: bool = False) -> Row:
    """A generation of the instance by this release's parser, with nothing in it yet."""
    generation = documents.Generation(
        instance_ref=instance["_id"],
        owner_refs=instance["ownerRefs"],
        public=instance["public"],
        parser_version=PARSER_VERSION,
        reason=reason,
        activate=activate,
    )
    return await insert(generation, session)


async def switch(generation: Row, session: Session) -> Row:
    """The generation, which readers of its instance see from now on; the one that they saw is RETIRED."""
    generations, instance = collection_of(documents.Generation), generation["instanceRef"]
    # First, because an instance has one that is active at most.
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
    seen = {"$set": {"activeGenerationRef": generation["_id"]}, "$inc": {"additions": 1}}
    await collection_of(documents.Instance).update_one({"_id": instance}, seen, session=session)
    if active is None:
        raise NotFound("Generation", generation["_id"])
    return active
