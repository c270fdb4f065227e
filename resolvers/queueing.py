"""Queueing archives for workers: into a generation that is there, or all of an instance's into one of their own.

What one parser read is never mixed with what another read, and what an archive held is not kept beside that of the
archive which replaced it: then all archives are read anew, into a generation that takes the active one's place.
"""

from typing import Any

from pymongo.errors import DuplicateKeyError

import documents
from documents.activity import ActivityStatus
from documents.base import now
from documents.ingestion import IngestionKind
from resolvers.discarding import discard
from resolvers.fetch import Row, collection_of
from resolvers.filters import Filter
from resolvers.ingest.archives import READABLE
from resolvers.ingest.report.digest import RowsDigest
from resolvers.ingest.report.version import PARSER_VERSION
from resolvers.refusals import NotFound
from resolvers.runs import LEASE_LAPSED
from resolvers.switching import BUILDING, DISCARDED, READY, begun, switch
from resolvers.writing import Again, Session, insert

MOST_REMEMBERED = 1_000
"""Ingestions that an archive tells of: the last ones."""
REPLACED = "A report was replaced by another."


async def queue_ingest(
    instance: Row, archive_ids: list[str] | None, session: Session, *, dry_run: bool = False
) -> Row | None:
    """An ingestion of those of these archives, or of all, that the instance's generation lacks; None when it has all.

    It is a REPROCESS that activates itself where the generation cannot take them. An archive that the generation's
    parser has refused is lacking only where it is named.
    """
    fresh = await _marked(instance, session)
    into = await _destination(fresh, session)
    # Whoever names an archive and only wants to know what is in it may have it already.
    lacking = await _lacking(fresh, archive_ids, None if dry_run and archive_ids else into, session)
    if not lacking:
        return None
    if dry_run:
        return await _queued(fresh, lacking, session, dry_run=True)
    if into is None and fresh.get("activeGenerationRef") is None:
        into = await switch(await begun(fresh, session), session)
    if into is None:
        return await queue_reprocess(fresh, session, reason=await _another_parser(fresh, session), activate=True)
    if await _holds_replaced(into, lacking, session):
        await _discard_outdated(fresh, lacking, session)
        return await queue_reprocess(fresh, session, reason=REPLACED, activate=True)
    return await _queued(fresh, lacking, session, generation=into)


async def queue_reprocess(
    instance: Row, session: Session, *, reason: str, activate: bool, dry_run: bool = False
) -> Row:
    """An ingestion of all archives of the instance into a generation of their own. Without archives it is done."""
    fresh = await _marked(instance, session)
    archives = await _lacking(fresh, None, None, session)
    generation = None if dry_run else await begun(fresh, session, reason=reason, activate=activate)
    if generation is not None and not archives:
        await _complete(generation, session)
    return await _queued(
        fresh, archives, session, IngestionKind.REPROCESS, generation=generation, reason=reason, dry_run=dry_run
    )


async def nothing_queued(instance: Row, session: Session, *, dry_run: bool) -> Row:
    """An ingestion that has succeeded at once, because there was nothing to do."""
    into = None if dry_run else await _destination(instance, session)
    return await _queued(instance, [], session, generation=into, dry_run=dry_run)


async def _marked(instance: Row, session: Session) -> Row:
    """The instance as it is. Written to, so that nobody adds to it, publishes it or switches beside this."""
    fresh: Row | None = await collection_of(documents.Instance).find_one_and_update(
        {"_id": instance["_id"]}, {"$inc": {"additions": 1}}, return_document=True, session=session
    )
    if fresh is None:
        raise NotFound("Instance", instance["_id"])
    return fresh


async def _destination(instance: Row, session: Session) -> Row | None:
    """The generation of this release's parser that takes new archives: the active one, else the newest of all.

    One that is not active may be so because somebody switched back from it, which an upload must not undo. While none
    is active, only one that is about to become so is taken.
    """
    active = instance.get("activeGenerationRef")
    usable: Filter = {
        "instanceRef": instance["_id"],
        "parser_version": PARSER_VERSION,
        "status": {"$ne": DISCARDED.value},
    }
    generations = collection_of(documents.Generation)
    if active is None:
        found = await generations.find_one(usable | {"activate": True}, session=session)
    else:
        found = await generations.find_one(usable | {"_id": active}, session=session)
        found = found or await generations.find_one(usable, sort=[("_id", -1)], session=session)
    return found


async def _another_parser(instance: Row, session: Session) -> str:
    active = await collection_of(documents.Generation).find_one(
        {"_id": instance["activeGenerationRef"]}, {"parser_version": 1}, session=session
    )
    before = active["parser_version"] if active else "another"
    return f"Version {PARSER_VERSION} of the reader took the place of version {before}."


async def _lacking(instance: Row, archive_ids: list[str] | None, into: Row | None, session: Session) -> list[Row]:
    """Archives that can be read and that the generation has not, oldest first."""
    match: Filter = READABLE | {"instanceRef": instance["_id"]}
    if archive_ids is not None:
        match |= {"_id": {"$in": archive_ids}}
    known = {"identifier": 1, "declared_jobs": 1}
    archives = collection_of(documents.Archive).find(match, known, sort=[("_id", 1)], session=session)
    found = await archives.to_list()
    if into is None or not found:
        return found
    had: list[Filter] = [{"holds": True}]
    if archive_ids is None:
        had.append({"status": ActivityStatus.FAILED.value, "error.code": {"$ne": LEASE_LAPSED}})
    of_it: Filter = {"generationRef": into["_id"], "$or": had}
    if archive_ids is not None:
        of_it |= {"archiveRef": {"$in": archive_ids}}
    parts = collection_of(documents.IngestionPart).find(of_it, {"archiveRef": 1}, session=session)
    there = {part["archiveRef"] async for part in parts}
    return [archive for archive in found if archive["_id"] not in there]


async def _holds_replaced(generation: Row, archives: list[Row], session: Session) -> bool:
    """Whether the generation has what one of these archives replaced."""
    held = {"generationRef": generation["_id"], "archiveRef": {"$in": await _replaced(generation, archives, session)}}
    return await collection_of(documents.IngestionPart).find_one(held | {"holds": True}, session=session) is not None


async def _replaced(generation: Row, archives: list[Row], session: Session) -> list[str]:
    earlier = {
        "instanceRef": generation["instanceRef"],
        "identifier": {"$in": [archive["identifier"] for archive in archives]},
        "current": False,
    }
    found = collection_of(documents.Archive).find(earlier, {"_id": 1}, session=session)
    return [row["_id"] async for row in found]


async def _discard_outdated(instance: Row, archives: list[Row], session: Session) -> None:
    """Give up what is on its way to become active, and would be outdated by then."""
    coming = {"instanceRef": instance["_id"], "status": BUILDING.value, "activate": True}
    for generation in await collection_of(documents.Generation).find(coming, session=session).to_list():
        if await _holds_replaced(generation, archives, session):
            await discard(generation, REPLACED, session)


async def _complete(generation: Row, session: Session) -> None:
    """End the building of a generation in which there is nothing."""
    empty: dict[str, Any] = {"status": READY.value, "content_hash": str(RowsDigest())}
    await collection_of(documents.Generation).update_one({"_id": generation["_id"]}, {"$set": empty}, session=session)
    if generation["activate"]:
        await switch(generation, session)


async def _queued(
    instance: Row,
    archives: list[Row],
    session: Session,
    kind: IngestionKind = IngestionKind.INGEST,
    *,
    generation: Row | None = None,
    reason: str | None = None,
    dry_run: bool = False,
) -> Row:
    """An ingestion of these archives, a part for each; without any it has succeeded already."""
    status, at = ActivityStatus.READY if archives else ActivityStatus.SUCCEEDED, now()
    ingestion = documents.Ingestion(
        instance_ref=instance["_id"],
        owner_refs=instance["ownerRefs"],
        public=instance["public"],
        purpose=kind,
        dry_run=dry_run,
        reason=reason,
        generation_ref=generation["_id"] if generation else None,
        status=status,
        created_at=at,
        ended_at=None if archives else at,
    )
    row = await insert(ingestion, session)
    parts = [
        documents.IngestionPart(
            ingestion_ref=ingestion.id,
            instance_ref=instance["_id"],
            generation_ref=ingestion.generation_ref,
            archive_ref=archive["_id"],
            declared=sum(one["count"] for one in archive["declared_jobs"]) if archive["declared_jobs"] else None,
        )
        for archive in archives
    ]
    if parts:
        await _insert_parts(parts, session)
    return row


async def _insert_parts(parts: list[documents.IngestionPart], session: Session) -> None:
    try:
        await documents.IngestionPart.insert_many(parts, session=session)
    except DuplicateKeyError as error:
        raise Again from error
    taken_up = {"$push": {"ingestionRefs": {"$each": [parts[0].ingestion_ref], "$slice": -MOST_REMEMBERED}}}
    archives = {"_id": {"$in": [part.archive_ref for part in parts]}}
    await collection_of(documents.Archive).update_many(archives, taken_up, session=session)
