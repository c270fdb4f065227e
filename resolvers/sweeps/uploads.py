"""The sweep of uploads: removing bytes that were not registered in time, and the uploads that announced them."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import documents
from documents.base import now
from documents.storage.bucket import Bucket, current_bucket
from documents.storage.upload import UploadStatus
from resolvers.reads.rows import Row, collection_of
from resolvers.storage.upload import OPEN_STATUSES

ENDED_UPLOAD_RETENTION = timedelta(days=8)
"""Time for which an upload is kept after it expired: longer than an idempotency key that may refer to it."""
SWEEP_BATCH_SIZE = 1_000
"""Uploads in one sweep."""


async def sweep_uploads(bucket: Bucket | None = None, at: datetime | None = None) -> int:
    """Remove the bytes of uploads that expired before being registered; returns how many uploads were ended.

    Any number of processes may sweep at once. An upload whose bytes are being read is left until its lease expires.
    """
    bucket, at = bucket or current_bucket(), at or now()
    if bucket is None:
        return 0
    await bucket.remove_partial_writes()
    swept = 0
    async for upload in _expired_uploads(bucket, at):
        unchanged = {"_id": upload["_id"], "status": upload["status"], "holder": upload.get("holder")}
        result = await collection_of(documents.Upload).update_one(
            unchanged, {"$set": {"status": UploadStatus.SWEPT.value}}
        )
        if result.modified_count:
            await bucket.delete(upload["key"])
            swept += 1
    await _delete_ended_uploads(bucket, at)
    return swept


async def _expired_uploads(bucket: Bucket, at: datetime) -> AsyncIterator[Row]:
    statuses = [status.value for status in (*OPEN_STATUSES, UploadStatus.REFUSED)]
    match = {"status": {"$in": statuses}, "expires_at": {"$lte": at}, "bucket": bucket.name}
    idle = {"$or": [{"status": {"$ne": UploadStatus.CHECKING.value}}, {"leaseExpiresAt": {"$lte": at}}]}
    async for upload in collection_of(documents.Upload).find({**match, **idle}, limit=SWEEP_BATCH_SIZE):
        yield upload


async def _delete_ended_uploads(bucket: Bucket, at: datetime) -> None:
    """Delete uploads that ended long ago, and bytes that were stored at their URLs after all."""
    uploads = collection_of(documents.Upload)
    match = {"expires_at": {"$lte": at - ENDED_UPLOAD_RETENTION}, "bucket": bucket.name}
    async for upload in uploads.find({**match, "status": UploadStatus.SWEPT.value}, limit=SWEEP_BATCH_SIZE):
        await bucket.delete(upload["key"])
        await uploads.delete_one({"_id": upload["_id"]})
    await uploads.delete_many({**match, "status": UploadStatus.REGISTERED.value})
