"""Registering archives: reports whose bytes are stored already, each registered once."""

from dataclasses import dataclass
from typing import Any

import documents
from documents.base import new_id
from documents.mongo.transaction import Session
from documents.storage.upload import UploadPurpose
from resolvers.access.roles import require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.catalogue.resource import json_text
from resolvers.galaxy.ingestion_queue import queue_ingest
from resolvers.galaxy.instance import own_instance
from resolvers.galaxy.report_metadata import Metadata, check_identifier, read_metadata
from resolvers.reads.rows import Row, collection_of
from resolvers.storage.verify_upload import consume_upload, verify_upload
from resolvers.user_errors import AlreadyExists, ChecksumMismatch, InvalidInput
from resolvers.writes.store import get_readable, insert_or_retry, lock_row
from resolvers.writes.transaction import Outcome


@dataclass(frozen=True)
class Report:
    """A received report: its identifier, its metadata, and the upload that holds its bytes."""

    identifier: str
    metadata: Metadata
    upload: Row


async def verify_archive_upload(viewer: Viewer, *, upload_id: str) -> None:
    """Verify the bytes of an upload, which must not happen within a transaction."""
    require_role(viewer, Role.USER, Role.WORKER)
    await verify_upload(viewer, upload_id, UploadPurpose.ARCHIVE, "uploadId")


async def register_archive(
    session: Session, viewer: Viewer, *, instance_id: str, identifier: str, upload_id: str, metadata: Any
) -> Outcome:
    """Register an uploaded report as an archive of the viewer's own instance; returns that, or the existing archive.

    Raises ChecksumMismatch when its metadata belongs to other bytes, and AlreadyExists when the instance has another
    report of this identifier that this one does not claim to supersede.
    """
    require_role(viewer, Role.USER, Role.WORKER)
    await own_instance(instance_id, viewer, session, "instanceId")
    upload = await get_readable(documents.Upload, upload_id, viewer, session, "uploadId")
    check_identifier(identifier, "identifier")
    parsed = read_metadata(json_text(metadata, "metadata") or "null", identifier, "metadata")
    archive, existed = await find_or_insert_archive(instance_id, Report(identifier, parsed, upload), session)
    return {"archive": archive, "already_existed": existed}


async def find_or_insert_archive(instance_id: str, report: Report, session: Session) -> tuple[Row, bool]:
    """Find or insert the archive of a report; returns it, and whether it existed. A new one is queued if the instance
    ingests.

    Raises ChecksumMismatch, AlreadyExists and NotFound.
    """
    _check_hash(report)
    existing = await _existing_archive(instance_id, report, session)
    if existing is not None:
        return existing, True
    # Written to, so that this conflicts with a concurrent change of the instance's access.
    instance = await lock_row(documents.Instance, instance_id, "additions", session)
    id = new_id(documents.Archive.kind)
    await _supersede(id, instance_id, report, session)
    generation = await consume_upload(report.upload, id, session, "uploadId")
    archive = await insert_or_retry(_new_archive(id, instance, report, generation), session)
    if instance.get("ingests", True) and archive["quarantine"] is None:
        await queue_ingest(instance, [id], session)
    return archive, False


def _check_hash(report: Report) -> None:
    announced, actual = report.metadata.sha256, report.upload["sha256"]
    if announced not in (None, actual):
        raise ChecksumMismatch(
            f"The SHA-256 of the archive is {actual}, and report_hash in its metadata is {announced}.", "metadata"
        )


async def _existing_archive(instance_id: str, report: Report, session: Session) -> Row | None:
    """The archive with this identifier and these bytes, if it exists; when the report supersedes one, also with its
    metadata."""
    match = {"instanceRef": instance_id, "identifier": report.identifier, "sha256": report.upload["sha256"]}
    if report.metadata.supersedes is not None:
        match["metadata"] = report.metadata.text
    archive: Row | None = await collection_of(documents.Archive).find_one(match, sort=[("_id", -1)], session=session)
    return archive


async def _supersede(id: str, instance_id: str, report: Report, session: Session) -> None:
    """Supersede the archive that has the identifier by the one with this id, if the report says so."""
    archives, superseded_hash = collection_of(documents.Archive), report.metadata.supersedes
    match = {"instanceRef": instance_id, "identifier": report.identifier, "current": True}
    current = await archives.find_one(match, session=session)
    if current is None and superseded_hash is None:
        return
    if current is None:
        raise InvalidInput(f"No report {report.identifier} exists to be superseded.", "metadata")
    if current["sha256"] != superseded_hash:
        raise AlreadyExists(
            f"Report {report.identifier} is here with other bytes, sha256:{current['sha256']}. To replace it, name "
            "that hash as supersedes in the metadata.",
            "identifier",
        )
    change = {"$set": {"current": False, "supersededByRef": id}}
    await archives.update_one({"_id": current["_id"]}, change, session=session)


def _new_archive(id: str, instance: Row, report: Report, generation: int) -> documents.Archive:
    metadata, upload = report.metadata, report.upload
    return documents.Archive(
        id=id,
        instance_ref=instance["_id"],
        owner_refs=instance["ownerRefs"],
        public=instance["public"],
        identifier=report.identifier,
        schema_version=metadata.schema_version,
        generated_at=metadata.generated_at,
        sha256=upload["sha256"],
        size_bytes=upload["size"],
        bucket=upload["bucket"],
        key=upload["key"],
        generation=generation,
        metadata=metadata.text,
        declared_jobs=metadata.declared_jobs,
        active_users=metadata.active_users,
        total_users=metadata.total_users,
        quarantine=metadata.quarantine,
    )
