"""Reports uploaded by servers themselves: their bytes are stored as they come, then registered, or deleted again."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import documents
from documents.base import new_id, now
from documents.storage.bucket import Bucket
from documents.storage.upload import UploadPurpose, UploadStatus
from resolvers.galaxy.archive import Report, find_or_insert_archive
from resolvers.reads.fetch import Row, collection_of
from resolvers.storage.upload import FOLDERS, KEPT, LARGEST
from resolvers.user_errors import InvalidState, LimitExceeded
from resolvers.writes.transaction import Outcome, Session, run_in_transaction

MOST_LISTED = 100_000
"""Reports of an instance that are listed to it. Further ones are still recognised when they are sent again."""
MOST_BYTES = LARGEST[UploadPurpose.ARCHIVE]
MEDIA_TYPE = "application/gzip"


async def reports_of(instance_id: str) -> dict[str, str]:
    """The SHA-256 of each report of the instance, by identifier."""
    have = {"instanceRef": instance_id, "current": True}
    wanted = {"_id": 0, "identifier": 1, "sha256": 1}
    cursor = collection_of(documents.Archive).find(have, wanted, sort=[("identifier", 1)], limit=MOST_LISTED)
    return {row["identifier"]: row["sha256"] async for row in cursor}


async def create_upload(instance_id: str, bucket: Bucket) -> documents.Upload:
    """Reserve an upload for the bytes of a report before they come, so that unregistered bytes are swept."""
    id = new_id(documents.Upload.kind)
    upload = documents.Upload(
        id=id,
        # No viewer has the key of an instance, so nobody else can register these bytes.
        viewer_key=instance_id,
        purpose=UploadPurpose.ARCHIVE,
        file_name="report.tar.gz",
        media_type=MEDIA_TYPE,
        size=0,
        sha256="",
        bucket=bucket.name,
        key=f"{bucket.prefix}{FOLDERS[UploadPurpose.ARCHIVE]}/{id}",
        expires_at=now() + KEPT,
    )
    await upload.insert()
    return upload


async def store_bytes(upload: documents.Upload, bucket: Bucket, chunks: AsyncIterator[bytes]) -> Row:
    """Store the bytes; returns their size and hash. Raises LimitExceeded, and errors of `chunks`."""
    digest, size = hashlib.sha256(), 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal size
        async for chunk in chunks:
            size += len(chunk)
            if size > MOST_BYTES:
                raise LimitExceeded(f"A report has at most {MOST_BYTES:,} bytes.")
            digest.update(chunk)
            yield chunk

    kept = await bucket.write(upload.key, counted(), MEDIA_TYPE)
    return {"size": size, "sha256": digest.hexdigest(), "generation": kept.generation}


async def register_report(instance_id: str, upload: documents.Upload, report: Report) -> Row:
    """Register a report as an archive; returns it, or the existing one. Raises what find_or_insert_archive raises."""
    facts = {name: report.upload[name] for name in ("size", "sha256", "generation")}
    checked = await _uploads().find_one_and_update(
        {"_id": upload.id, "status": UploadStatus.WAITING.value},
        {"$set": {**facts, "status": UploadStatus.CHECKED.value}},
        return_document=True,
    )
    if checked is None:
        raise InvalidState("Storing the report took too long.", current="EXPIRED", allowed=["UPLOADED"])
    whole = Report(report.identifier, report.metadata, checked)

    async def work(session: Session) -> Outcome:
        archive, _ = await find_or_insert_archive(instance_id, whole, session)
        return {"archive": archive}

    archive: Row = (await run_in_transaction(work))["archive"]
    return archive


async def discard_upload(upload: documents.Upload, bucket: Bucket) -> None:
    """Delete bytes that no archive refers to."""
    ended = await _uploads().delete_one({"_id": upload.id, "status": {"$ne": UploadStatus.REGISTERED.value}})
    if ended.deleted_count:
        await bucket.delete(upload.key)


def _uploads() -> Any:
    return collection_of(documents.Upload)
