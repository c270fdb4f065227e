"""Reports that servers send themselves: their bytes are stored as they come, then registered, or dropped again."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import documents
from documents.base import new_id, now
from documents.bucket import Bucket
from documents.upload import UploadPurpose, UploadStatus
from resolvers.archive import Report, archived
from resolvers.fetch import Row, collection_of
from resolvers.refusals import InvalidState, LimitExceeded
from resolvers.uploads import FOLDERS, KEPT, LARGEST
from resolvers.writing import Outcome, Session, committed

MOST_LISTED = 100_000
"""Reports of one instance that it is told of. Those beyond are known all the same when they come again."""
MOST_BYTES = LARGEST[UploadPurpose.ARCHIVE]
MEDIA_TYPE = "application/gzip"


async def reports_of(instance_id: str) -> dict[str, str]:
    """The SHA-256 of each report that the instance has sent, by identifier."""
    have = {"instanceRef": instance_id, "current": True}
    wanted = {"_id": 0, "identifier": 1, "sha256": 1}
    cursor = collection_of(documents.Archive).find(have, wanted, sort=[("identifier", 1)], limit=MOST_LISTED)
    return {row["identifier"]: row["sha256"] async for row in cursor}


async def expected(instance_id: str, bucket: Bucket) -> documents.Upload:
    """A place for the bytes of a report, noted before they come: what nobody registers is swept like any upload."""
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


async def stored(upload: documents.Upload, bucket: Bucket, chunks: AsyncIterator[bytes]) -> Row:
    """What is known of the bytes when all are stored. Raises LimitExceeded, and what `chunks` raise."""
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


async def registered(instance_id: str, upload: documents.Upload, report: Report) -> Row:
    """The archive of a report: the one there is, when it is here already. Raises what `archived` raises."""
    facts = {name: report.upload[name] for name in ("size", "sha256", "generation")}
    checked = await _uploads().find_one_and_update(
        {"_id": upload.id, "status": UploadStatus.WAITING.value},
        {"$set": {**facts, "status": UploadStatus.CHECKED.value}},
        return_document=True,
    )
    if checked is None:
        raise InvalidState("It took too long to store the report.", current="EXPIRED", allowed=["UPLOADED"])
    whole = Report(report.identifier, report.metadata, checked)

    async def work(session: Session) -> Outcome:
        archive, _ = await archived(instance_id, whole, session)
        return {"archive": archive}

    archive: Row = (await committed(work))["archive"]
    return archive


async def dropped(upload: documents.Upload, bucket: Bucket) -> None:
    """Keep nothing of bytes that no archive has come to refer to."""
    ended = await _uploads().delete_one({"_id": upload.id, "status": {"$ne": UploadStatus.REGISTERED.value}})
    if ended.deleted_count:
        await bucket.delete(upload.key)


def _uploads() -> Any:
    return collection_of(documents.Upload)
