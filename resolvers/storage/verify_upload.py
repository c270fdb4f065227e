"""Verifying uploads before a document refers to them: size and SHA-256 of the stored bytes.

Reading large uploads takes long, so it happens outside of transactions and outlives the request: the process that
claims the upload reads it, in a task that goes on when the request has given up waiting.
"""

import asyncio
import hashlib
import time
from contextvars import Context
from datetime import timedelta
from typing import Any

from bson import ObjectId

import documents
from documents.base import now
from documents.mongo.transaction import Session
from documents.storage.bucket import Bucket, ObjectInfo, ObjectNotFound, current_bucket
from documents.storage.upload import UploadPurpose, UploadStatus
from resolvers.access.policies import readable
from resolvers.access.viewer import Viewer
from resolvers.reads.rows import Row, collection_of
from resolvers.storage.upload import has_expired
from resolvers.user_errors import ChecksumMismatch, InProgress, InvalidState, NotFound

VERIFY_TIMEOUT = 6.0
"""Seconds that a request waits; it needs the rest of its time for the writes that follow."""
POLL_INTERVAL = 0.1
"""Seconds between two looks at an upload that another process reads."""
LEASE_TTL = timedelta(seconds=60)
LEASE_RENEWAL_INTERVAL = 15.0
"""Seconds."""
UPLOADED = "UPLOADED"
"""The status to which a client has to bring an upload before it can be registered."""

_verifications: set[asyncio.Task[bool]] = set()


async def verify_upload(
    viewer: Viewer, id: str, purpose: UploadPurpose, *path: str, timeout: float = VERIFY_TIMEOUT
) -> Row:
    """The viewer's upload, once its bytes were read and match the announcement, or if it is registered already.

    Raises NotFound, InvalidState when no bytes were stored or the upload has expired, ChecksumMismatch when they differ
    (they are deleted then), and InProgress when reading them takes longer than `timeout` in seconds: ask again.
    """
    deadline = time.monotonic() + timeout
    while True:
        upload = await _get_own_upload(viewer, id, purpose, path)
        if upload["status"] in (UploadStatus.CHECKED, UploadStatus.REGISTERED):
            return upload
        _check_not_ended(upload, path)
        left = deadline - time.monotonic()
        if left <= 0:
            raise InProgress(f"The bytes of {id} are still being read; ask again.", *path)
        verification = await _start_verification(upload)
        if verification is None:
            await asyncio.sleep(min(POLL_INTERVAL, left))
            continue
        await asyncio.wait({verification}, timeout=left)
        if verification.done() and not verification.result():
            raise InvalidState(
                f"No bytes are stored for {id} yet; send them to its target first.",
                *path,
                current=UploadStatus.WAITING.value,
                allowed=[UPLOADED],
            )


async def consume_upload(upload: Row, registered_as: str, session: Session, *path: str) -> int:
    """Register a document as the user of a checked upload; returns the generation of its bytes. Raises InvalidState."""
    consumed = await _uploads().find_one_and_update(
        {"_id": upload["_id"], "status": UploadStatus.CHECKED.value},
        {"$set": {"status": UploadStatus.REGISTERED.value, "registeredAs": registered_as}},
        session=session,
    )
    if consumed is None:
        latest = await _uploads().find_one({"_id": upload["_id"]}, session=session) or upload
        raise InvalidState(
            f"{upload['_id']} has been registered or removed.", *path, current=latest["status"], allowed=[UPLOADED]
        )
    generation: int = consumed["generation"]
    return generation


async def _get_own_upload(viewer: Viewer, id: str, purpose: UploadPurpose, path: tuple[str, ...]) -> Row:
    filters = [{"_id": id, "purpose": purpose.value}, readable(documents.Upload, viewer)]
    upload: Row | None = await _uploads().find_one({"$and": filters})
    if upload is None:
        raise NotFound("Upload", id, *path)
    return upload


def _check_not_ended(upload: Row, path: tuple[str, ...]) -> None:
    if upload["status"] == UploadStatus.REFUSED:
        raise ChecksumMismatch(upload["refusal"], *path)
    if upload["status"] == UploadStatus.SWEPT or has_expired(upload, now()):
        raise InvalidState(
            f"{upload['_id']} has expired; create a new upload.", *path, current="EXPIRED", allowed=[UPLOADED]
        )


async def _start_verification(upload: Row) -> asyncio.Task[bool] | None:
    """Claim the upload and start the task that reads its bytes; returns None while another process reads them."""
    holder = str(ObjectId())
    free = [
        {"status": UploadStatus.WAITING.value},
        {"status": UploadStatus.CHECKING.value, "leaseExpiresAt": {"$lt": now()}},
    ]
    claim = {"status": UploadStatus.CHECKING.value, "holder": holder, "leaseExpiresAt": now() + LEASE_TTL}
    result = await _uploads().update_one({"_id": upload["_id"], "$or": free}, {"$set": claim})
    bucket = current_bucket()
    if not result.modified_count or bucket is None:
        return None
    # In a context of its own: the request's deadline for the database is some seconds away.
    work = _Verification(bucket, upload, holder).run()
    task = asyncio.get_running_loop().create_task(work, context=Context())
    _verifications.add(task)
    task.add_done_callback(_retrieve_error)
    return task


def _retrieve_error(task: asyncio.Task[bool]) -> None:
    _verifications.discard(task)
    if not task.cancelled():
        # Waiting requests get the error; when none waits, asyncio must not log it, since the next request reads again.
        task.exception()


class _Verification:
    """Reads the bytes of one upload on behalf of its holder."""

    def __init__(self, bucket: Bucket, upload: Row, holder: str) -> None:
        self._bucket = bucket
        self._upload = upload
        self._claim = {"_id": upload["_id"], "holder": holder, "status": UploadStatus.CHECKING.value}
        self._renewed_at = time.monotonic()

    async def run(self) -> bool:
        """Read and verify the bytes; returns whether there are any."""
        try:
            stored = await self._bucket.stat(self._upload["key"])
            problem = await self._find_problem(stored) if stored else None
        except ObjectNotFound:
            stored = problem = None
        except BaseException:
            await asyncio.shield(self._end(UploadStatus.WAITING))
            raise
        if stored is None:
            await self._end(UploadStatus.WAITING)
        elif problem is None:
            await self._end(UploadStatus.CHECKED, generation=stored.generation)
        elif await self._end(UploadStatus.REFUSED, refusal=problem):
            await self._bucket.delete(self._upload["key"])
        return stored is not None

    async def _find_problem(self, stored: ObjectInfo) -> str | None:
        """A sentence about the difference between the bytes and the announcement, None when they match."""
        id, size, sha256 = self._upload["_id"], self._upload["size"], self._upload["sha256"]
        if stored.size != size:
            return (
                f"{id} has {stored.size:,} bytes, not the {size:,} announced. They were removed; create a new upload."
            )
        if stored.encoding:
            return f"{id} was stored with Content-Encoding {stored.encoding[:50]}. It was removed; create a new upload."
        actual = await self._compute_sha256(stored.generation)
        if actual != sha256:
            return f"The SHA-256 of {id} is {actual}, not {sha256}. Its bytes were removed; create a new upload."
        return None

    async def _compute_sha256(self, generation: int) -> str:
        digest = hashlib.sha256()
        async for chunk in self._bucket.read(self._upload["key"], generation):
            await asyncio.to_thread(digest.update, chunk)
            await self._renew_if_due()
        return digest.hexdigest()

    async def _renew_if_due(self) -> None:
        if time.monotonic() - self._renewed_at > LEASE_RENEWAL_INTERVAL:
            self._renewed_at = time.monotonic()
            await _uploads().update_one(self._claim, {"$set": {"leaseExpiresAt": now() + LEASE_TTL}})

    async def _end(self, status: UploadStatus, **facts: Any) -> bool:
        """Give up the claim and set the status; returns False where another process has taken the upload over."""
        values = {"status": status.value, "holder": None, **facts}
        result = await _uploads().update_one(self._claim, {"$set": values})
        return bool(result.modified_count)


def _uploads() -> Any:
    return collection_of(documents.Upload)
