"""Registering archives: reports whose bytes are stored already, each once."""

from dataclasses import dataclass
from typing import Any

import documents
from documents.base import new_id
from documents.upload import UploadPurpose
from resolvers.fetch import Row, collection_of
from resolvers.instance import own_instance
from resolvers.queueing import queue_ingest
from resolvers.refusals import AlreadyExists, ChecksumMismatch, InvalidInput, NotFound
from resolvers.report_metadata import Metadata, an_identifier, read_metadata
from resolvers.resource import json_text
from resolvers.uploaded import checked, use
from resolvers.viewer import Role, Viewer
from resolvers.writing import Outcome, Session, insert_unless_there, require, visible


@dataclass(frozen=True)
class Report:
    """A report that arrived: what it is called, what it says of itself, and the upload that holds its bytes."""

    identifier: str
    metadata: Metadata
    upload: Row


async def before_registering(viewer: Viewer, *, upload_id: str, **rest: Any) -> None:
    """Have the bytes of an upload read, which must not happen within a transaction."""
    require(viewer, Role.USER, Role.WORKER)
    await checked(viewer, upload_id, UploadPurpose.ARCHIVE, "uploadId")


async def register_archive(
    session: Session, viewer: Viewer, *, instance_id: str, identifier: str, upload_id: str, metadata: Any
) -> Outcome:
    """An uploaded report as an archive of the viewer's own instance, or the archive that it already is.

    Raises ChecksumMismatch when its metadata belongs to other bytes, and AlreadyExists when the instance has another
    report of this identifier that this one does not say to supersede.
    """
    require(viewer, Role.USER, Role.WORKER)
    await own_instance(instance_id, viewer, session, "instanceId")
    upload = await visible(documents.Upload, upload_id, viewer, session, "uploadId")
    called = an_identifier(identifier, "identifier")
    said = read_metadata(json_text(metadata, "metadata") or "null", called, "metadata")
    archive, existed = await archived(instance_id, Report(called, said, upload), session)
    return {"archive": archive, "already_existed": existed}


async def archived(instance_id: str, report: Report, session: Session) -> tuple[Row, bool]:
    """The archive of a report, and whether it was there before; a new one is queued unless the instance says otherwise.

    Raises ChecksumMismatch, AlreadyExists and NotFound.
    """
    _check_bytes(report)
    earlier = await _earlier(instance_id, report, session)
    if earlier is not None:
        return earlier, True
    # A write, not a look: who publishes the instance at the same time finds what is added here.
    instance: Row | None = await collection_of(documents.Instance).find_one_and_update(
        {"_id": instance_id}, {"$inc": {"additions": 1}}, return_document=True, session=session
    )
    if instance is None:
        raise NotFound("Instance", instance_id)
    id = new_id(documents.Archive.kind)
    await _make_way(id, instance_id, report, session)
    generation = await use(report.upload, id, session, "uploadId")
    archive = await insert_unless_there(_archive(id, instance, report, generation), session)
    if instance.get("ingests", True) and archive["quarantine"] is None:
        await queue_ingest(instance, [id], session)
    return archive, False


def _check_bytes(report: Report) -> None:
    announced, found = report.metadata.sha256, report.upload["sha256"]
    if announced not in (None, found):
        raise ChecksumMismatch(
            f"The SHA-256 of the archive is {found}, and report_hash in its metadata is {announced}.", "metadata"
        )


async def _earlier(instance_id: str, report: Report, session: Session) -> Row | None:
    """The archive that has the same identifier and bytes already, and metadata that does not want to replace it."""
    same = {"instanceRef": instance_id, "identifier": report.identifier, "sha256": report.upload["sha256"]}
    if report.metadata.supersedes is not None:
        same["metadata"] = report.metadata.text
    found: Row | None = await collection_of(documents.Archive).find_one(same, sort=[("_id", -1)], session=session)
    return found


async def _make_way(id: str, instance_id: str, report: Report, session: Session) -> None:
    """Let the archive that has the identifier be superseded by the one with this id, if the report says so."""
    archives, wanted = collection_of(documents.Archive), report.metadata.supersedes
    held = {"instanceRef": instance_id, "identifier": report.identifier, "current": True}
    current = await archives.find_one(held, session=session)
    if current is None and wanted is None:
        return
    if current is None:
        raise InvalidInput(f"There is no report {report.identifier} to supersede.", "metadata")
    if current["sha256"] != wanted:
        raise AlreadyExists(
            f"Report {report.identifier} is here with other bytes, sha256:{current['sha256']}. To replace it, name "
            "that hash as supersedes in the metadata.",
            "identifier",
        )
    replaced = {"$set": {"current": False, "supersededByRef": id}}
    await archives.update_one({"_id": current["_id"]}, replaced, session=session)


def _archive(id: str, instance: Row, report: Report, generation: int) -> documents.Archive:
    said, upload = report.metadata, report.upload
    return documents.Archive(
        id=id,
        instance_ref=instance["_id"],
        owner_refs=instance["ownerRefs"],
        public=instance["public"],
        identifier=report.identifier,
        schema_version=said.schema_version,
        generated_at=said.generated_at,
        sha256=upload["sha256"],
        size_bytes=upload["size"],
        bucket=upload["bucket"],
        key=upload["key"],
        generation=generation,
        metadata=said.text,
        declared_jobs=said.declared_jobs,
        active_users=said.active_users,
        total_users=said.total_users,
        quarantine=said.quarantine,
    )
