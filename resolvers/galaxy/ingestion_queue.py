"""Queueing archives for workers: into an existing generation, or all of an instance's into a new one.

Rows of different parsers are never mixed in a generation, nor are rows of an archive and of the one that replaced it:
in these cases all archives are read again, into a generation that replaces the active one.
"""

from typing import Any

from pymongo.errors import DuplicateKeyError

import documents
from documents.activities.activity import ActivityStatus
from documents.base import now
from documents.galaxy.ingestion import IngestionKind
from documents.mongo.transaction import Session
from resolvers.activities.state_machine import LEASE_LAPSED
from resolvers.filters import Filter
from resolvers.galaxy.discard import discard_with_ingestions
from resolvers.galaxy.generation_switch import BUILDING, DISCARDED, READY, start_generation, switch_to
from resolvers.galaxy.readable_archives import READABLE
from resolvers.galaxy.report import PARSER_VERSION
from resolvers.galaxy.report.digest import RowsDigest
from resolvers.limits import MAX_INGESTION_REFS
from resolvers.reads.rows import Row, collection_of
from resolvers.writes.store import insert, lock_row
from resolvers.writes.transaction import RetryTransaction

ARCHIVE_REPLACED = "A report was replaced by another."


async def queue_ingest(
    instance: Row, archive_ids: list[str] | None, session: Session, *, dry_run: bool = False
) -> Row | None:
    """Queue those of these archives, or of all, that the instance's generation lacks; returns the ingestion, None if it
    lacks none.

    It is a REPROCESS that activates itself where the generation cannot take them. An archive that the generation's
    parser has refused counts as missing only where it is named.
    """
    fresh = await _lock_instance(instance, session)
    into = await _target_generation(fresh, session)
    # A dry run of a named archive is allowed even if the generation has it already.
    missing = await _missing_archives(fresh, archive_ids, None if dry_run and archive_ids else into, session)
    if not missing:
        return None
    if dry_run:
        return await _insert_ingestion(fresh, missing, session, dry_run=True)
    if into is None and fresh.get("activeGenerationRef") is None:
        into = await switch_to(await start_generation(fresh, session), session)
    if into is None:
        return await queue_reprocess(fresh, session, reason=await _parser_change(fresh, session), activate=True)
    if await _contains_superseded(into, missing, session):
        await _discard_outdated(fresh, missing, session)
        return await queue_reprocess(fresh, session, reason=ARCHIVE_REPLACED, activate=True)
    return await _insert_ingestion(fresh, missing, session, generation=into)


async def queue_reprocess(
    instance: Row, session: Session, *, reason: str, activate: bool, dry_run: bool = False
) -> Row:
    """Queue all archives of the instance for a new generation; returns the ingestion. Without archives it has
    succeeded."""
    fresh = await _lock_instance(instance, session)
    archives = await _missing_archives(fresh, None, None, session)
    generation = None if dry_run else await start_generation(fresh, session, reason=reason, activate=activate)
    if generation is not None and not archives:
        await _complete_empty(generation, session)
    return await _insert_ingestion(
        fresh, archives, session, IngestionKind.REPROCESS, generation=generation, reason=reason, dry_run=dry_run
    )


async def insert_empty_ingestion(instance: Row, session: Session, *, dry_run: bool) -> Row:
    """Insert an ingestion that has succeeded at once, because there is nothing to do, and return it."""
    into = None if dry_run else await _target_generation(instance, session)
    return await _insert_ingestion(instance, [], session, generation=into, dry_run=dry_run)


async def _lock_instance(instance: Row, session: Session) -> Row:
    """Write to the instance, so that concurrent additions, changes of access and switches conflict; returns it."""
    return await lock_row(documents.Instance, instance["_id"], "additions", session)


async def _target_generation(instance: Row, session: Session) -> Row | None:
    """The generation of this release's parser that takes new archives: the active one, else the newest.

    An inactive generation may have been switched away from, which an upload must not undo. While none is active, only
    one that is about to become active is taken.
    """
    active = instance.get("activeGenerationRef")
    usable: Filter = {
        "instanceRef": instance["_id"],
        "parser_version": PARSER_VERSION,
        "status": {"$ne": DISCARDED.value},
    }
    generations = collection_of(documents.Generation)
    if active is None:
        target = await generations.find_one(usable | {"activate": True}, session=session)
    else:
        target = await generations.find_one(usable | {"_id": active}, session=session)
        target = target or await generations.find_one(usable, sort=[("_id", -1)], session=session)
    return target


async def _parser_change(instance: Row, session: Session) -> str:
    """The reason of an ingestion that another version of the parser makes necessary."""
    active = await collection_of(documents.Generation).find_one(
        {"_id": instance["activeGenerationRef"]}, {"parser_version": 1}, session=session
    )
    before = active["parser_version"] if active else "another"
    return f"Version {PARSER_VERSION} of the parser took the place of version {before}."


async def _missing_archives(
    instance: Row, archive_ids: list[str] | None, into: Row | None, session: Session
) -> list[Row]:
    """Readable archives that the generation lacks, oldest first."""
    match: Filter = READABLE | {"instanceRef": instance["_id"]}
    if archive_ids is not None:
        match |= {"_id": {"$in": archive_ids}}
    projection = {"identifier": 1, "declared_jobs": 1}
    cursor = collection_of(documents.Archive).find(match, projection, sort=[("_id", 1)], session=session)
    archives = await cursor.to_list()
    if into is None or not archives:
        return archives
    present: list[Filter] = [{"holds": True}]
    if archive_ids is None:
        present.append({"status": ActivityStatus.FAILED.value, "error.code": {"$ne": LEASE_LAPSED}})
    match = {"generationRef": into["_id"], "$or": present}
    if archive_ids is not None:
        match |= {"archiveRef": {"$in": archive_ids}}
    parts = collection_of(documents.IngestionPart).find(match, {"archiveRef": 1}, session=session)
    present_ids = {part["archiveRef"] async for part in parts}
    return [archive for archive in archives if archive["_id"] not in present_ids]


async def _contains_superseded(generation: Row, archives: list[Row], session: Session) -> bool:
    """Whether the generation contains an archive that one of these replaced."""
    superseded = {
        "instanceRef": generation["instanceRef"],
        "identifier": {"$in": [archive["identifier"] for archive in archives]},
        "current": False,
    }
    rows = collection_of(documents.Archive).find(superseded, {"_id": 1}, session=session)
    ids = [row["_id"] async for row in rows]
    match = {"generationRef": generation["_id"], "archiveRef": {"$in": ids}, "holds": True}
    return await collection_of(documents.IngestionPart).find_one(match, session=session) is not None


async def _discard_outdated(instance: Row, archives: list[Row], session: Session) -> None:
    """Discard generations that are due to become active, and would be outdated by then."""
    building = {"instanceRef": instance["_id"], "status": BUILDING.value, "activate": True}
    for generation in await collection_of(documents.Generation).find(building, session=session).to_list():
        if await _contains_superseded(generation, archives, session):
            await discard_with_ingestions(generation, ARCHIVE_REPLACED, session)


async def _complete_empty(generation: Row, session: Session) -> None:
    """Make a generation without archives READY, and activate it if requested."""
    values: dict[str, Any] = {"status": READY.value, "content_hash": str(RowsDigest())}
    await collection_of(documents.Generation).update_one({"_id": generation["_id"]}, {"$set": values}, session=session)
    if generation["activate"]:
        await switch_to(generation, session)


async def _insert_ingestion(
    instance: Row,
    archives: list[Row],
    session: Session,
    kind: IngestionKind = IngestionKind.INGEST,
    *,
    generation: Row | None = None,
    reason: str | None = None,
    dry_run: bool = False,
) -> Row:
    """Insert an ingestion with a part for each archive, and return it; without any archive it has succeeded already."""
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
            declared=sum(state["count"] for state in archive["declared_jobs"]) if archive["declared_jobs"] else None,
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
        raise RetryTransaction from error
    change = {"$push": {"ingestionRefs": {"$each": [parts[0].ingestion_ref], "$slice": -MAX_INGESTION_REFS}}}
    archives = {"_id": {"$in": [part.archive_ref for part in parts]}}
    await collection_of(documents.Archive).update_many(archives, change, session=session)
