"""Uploads: bytes announced, stored by the client at a signed URL, and swept when nothing comes to refer to them."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import documents
from documents.base import new_id, now
from documents.bucket import Bucket, the_bucket
from documents.upload import UploadPurpose, UploadStatus
from resolvers.checks import a_file_name
from resolvers.fetch import Row, collection_of
from resolvers.refusals import InvalidInput, LimitExceeded
from resolvers.signed_url import MOST_SECONDS, signed_url
from resolvers.viewer import Role, Viewer
from resolvers.writing import Outcome, Session, insert, require

KEPT = timedelta(hours=24)
"""How long bytes may wait for being registered."""
FORGOTTEN = timedelta(days=8)
"""How long after that the upload itself is remembered: longer than an idempotency key that may ask for it."""
LARGEST = {UploadPurpose.ARCHIVE: 10_000_000_000, UploadPurpose.OUTPUT: 50_000_000_000}
"""Bytes."""
MOST_OPEN = 1_000
"""Uploads of one viewer that nothing refers to yet."""
MOST_SWEPT = 1_000
"""Uploads in one sweep."""

OPEN = [UploadStatus.WAITING, UploadStatus.CHECKING, UploadStatus.CHECKED]
FOLDERS = {UploadPurpose.ARCHIVE: "archives", UploadPurpose.OUTPUT: "outputs"}
SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
MEDIA_TYPE = re.compile(r"[\w.+!#$&^-]{1,100}/[\w.+!#$&^-]{1,100}(; ?[\w-]{1,50}=[\w.-]{1,50})?", re.ASCII)


async def create_upload(
    session: Session, viewer: Viewer, *, purpose: str, file_name: str, media_type: str, size_bytes: int, sha256: str
) -> Outcome:
    """An upload of bytes that are announced with their size and hash. The object's name is made here."""
    require(viewer, Role.USER, Role.WORKER)
    bucket = the_bucket()
    if bucket is None:
        raise InvalidInput("This server keeps no files: PROVENANCE_BUCKET is not set.")
    for_what = UploadPurpose(purpose)
    await _refuse_too_many(viewer, session)
    id = new_id(documents.Upload.kind)
    upload = documents.Upload(
        id=id,
        viewer_key=viewer.key,
        purpose=for_what,
        file_name=a_file_name(file_name, "fileName"),
        media_type=a_media_type(media_type, "mediaType"),
        size=_a_size(size_bytes, LARGEST[for_what]),
        sha256=a_sha256(sha256, "sha256"),
        bucket=bucket.name,
        key=f"{bucket.prefix}{FOLDERS[for_what]}/{id}",
        expires_at=now() + KEPT,
    )
    return {"upload": await insert(upload, session)}


async def upload_targets(uploads: list[Row], viewer: Viewer) -> list[Row]:
    """For each upload the request that stores its bytes, signed for this answer."""
    bucket = the_bucket()
    if bucket is None:
        raise LookupError("no bucket is open")
    return [await _target(bucket, upload) for upload in uploads]


async def sweep_uploads(bucket: Bucket | None = None, at: datetime | None = None) -> int:
    """Remove the bytes of uploads that expired before anything referred to them; how many uploads were ended.

    Any number of processes may sweep at once. An upload whose bytes are being read is left until its lease lapses.
    """
    bucket, at = bucket or the_bucket(), at or now()
    if bucket is None:
        return 0
    await bucket.tidy()
    swept = 0
    async for upload in _expired(bucket, at):
        claimed = {"_id": upload["_id"], "status": upload["status"], "holder": upload.get("holder")}
        ended = await _uploads().update_one(claimed, {"$set": {"status": UploadStatus.SWEPT.value}})
        if ended.modified_count:
            await bucket.delete(upload["key"])
            swept += 1
    await _forget(bucket, at)
    return swept


def a_sha256(value: str, *path: str) -> str:
    """A SHA-256 in hexadecimal, in lower case."""
    digest = value.strip().lower()
    if not SHA256.fullmatch(digest):
        raise InvalidInput(f"{path[-1]} must be a SHA-256 as 64 hexadecimal digits, not {value[:100]!r}.", *path)
    return digest


def a_media_type(value: str, *path: str) -> str:
    """A media type such as `text/csv` or `text/csv; charset=utf-8`."""
    media_type = value.strip()
    if not MEDIA_TYPE.fullmatch(media_type):
        raise InvalidInput(f"{path[-1]} must be a media type such as text/csv, not {value[:100]!r}.", *path)
    return media_type


def has_expired(upload: Row, at: datetime) -> bool:
    """Whether the time for registering an upload is over."""
    expires_at: datetime = upload["expires_at"].replace(tzinfo=UTC)
    return expires_at <= at


def _a_size(size: int, most: int) -> int:
    if size < 0:
        raise InvalidInput(f"sizeBytes must not be negative, as {size} is.", "sizeBytes")
    if size > most:
        raise LimitExceeded(f"{size:,} bytes are too many; at most {most:,} are taken.", "sizeBytes")
    return size


async def _refuse_too_many(viewer: Viewer, session: Session) -> None:
    own = {"viewerKey": viewer.key, "status": {"$in": [status.value for status in OPEN]}}
    if await _uploads().count_documents(own, limit=MOST_OPEN, session=session) >= MOST_OPEN:
        raise LimitExceeded(f"{MOST_OPEN:,} of your uploads wait to be registered; register some of them first.")


async def _target(bucket: Bucket, upload: Row) -> Row:
    left = int((upload["expires_at"].replace(tzinfo=UTC) - now()).total_seconds())
    signed = await bucket.sign_upload(
        upload["key"], size=upload["size"], media_type=upload["media_type"], seconds=max(1, min(MOST_SECONDS, left))
    )
    return signed_url(signed)


async def _expired(bucket: Bucket, at: datetime) -> AsyncIterator[Row]:
    statuses = [status.value for status in (*OPEN, UploadStatus.REFUSED)]
    match = {"status": {"$in": statuses}, "expires_at": {"$lte": at}, "bucket": bucket.name}
    idle = {"$or": [{"status": {"$ne": UploadStatus.CHECKING.value}}, {"leaseExpiresAt": {"$lte": at}}]}
    async for upload in _uploads().find({**match, **idle}, limit=MOST_SWEPT):
        yield upload


async def _forget(bucket: Bucket, at: datetime) -> None:
    """Drop uploads that ended long ago, and what was stored at their URLs after all."""
    match = {"expires_at": {"$lte": at - FORGOTTEN}, "bucket": bucket.name}
    async for upload in _uploads().find({**match, "status": UploadStatus.SWEPT.value}, limit=MOST_SWEPT):
        await bucket.delete(upload["key"])
        await _uploads().delete_one({"_id": upload["_id"]})
    await _uploads().delete_many({**match, "status": UploadStatus.REGISTERED.value})


def _uploads() -> Any:
    return collection_of(documents.Upload)
