"""Verifying uploads before a document refers to them: size and SHA-256 of the stored bytes.

Reading large uploads takes long, so it happens outside of transactions and of the request that asked for it: the
process that claims the upload reads it, in a task that goes on when the request has given up waiting.
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
"""Seconds that a request waits; its later steps need the rest of its time with the database."""
LEASE_TTL = timedelta(seconds=60)
LEASE_RENEWAL_INTERVAL = 15.0
UPLOADED = "UPLOADED"
"""The status to which a client has to bring an upload before it can be registered."""

_verifications: set[asyncio.Task[bool]] = set()


async def verify_upload(
    viewer: Viewer, id: str, purpose: UploadPurpose, *path: str, patience: float = VERIFY_TIMEOUT
) -> Row:
    """The viewer's upload, once its bytes were read and match the announcement, or if it is registered already.

    Raises NotFound, InvalidState when no bytes were stored or the upload has expired, ChecksumMismatch when they differ
    (they are deleted then), and InProgress when reading them takes longer than `patience`: ask again.
    """
    deadline = time.monotonic() + patience
    while True:
        upload = await _get_own_upload(viewer, id, purpose, path)
        if upload["status"] in (UploadStatus.CHECKED, UploadStatus.REGISTERED):
            return upload
        _check_not_ended(upload, path)
        left = deadline - time.monotonic()
        if left <= 0:
            raise InProgress(f"The bytes of {id} are still being read; ask again.", *path)
        reading = await _start_verification(upload)
        if reading is None:
            await asyncio.sleep(min(0.1, left))
            continue
        await asyncio.wait({reading}, timeout=left)
        if reading.done() and not reading.result():
            raise InvalidState(
                f"No bytes are stored for {id} yet; send them to its target first.",
                *path,
                current=UploadStatus.WAITING.value,
                allowed=[UPLOADED],
            )


async def consume_upload(upload: Row, registered_as: str, session: Session, *path: str) -> int:
    """Register a document as the user of a checked upload; returns the generation of its bytes. Raises InvalidState."""
    used = await _uploads().find_one_and_update(
        {"_id": upload["_id"], "status": UploadStatus.CHECKED.value},
        {"$set": {"status": UploadStatus.REGISTERED.value, "registeredAs": registered_as}},
        session=session,
    )
    if used is None:
        now_is = await _uploads().find_one({"_id": upload["_id"]}, session=session) or upload
        raise InvalidState(
            f"{upload['_id']} has been registered or removed.", *path, current=now_is["status"], allowed=[UPLOADED]
        )
    generation: int = used["generation"]
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
    """The task that reads the bytes, None while another process reads them."""
    holder = str(ObjectId())
    free = [
        {"status": UploadStatus.WAITING.value},
        {"status": UploadStatus.CHECKING.value, "leaseExpiresAt": {"$lt": now()}},
    ]
    claim = {"status": UploadStatus.CHECKING.value, "holder": holder, "leaseExpiresAt": now() + LEASE_TTL}
    claimed = await _uploads().update_one({"_id": upload["_id"], "$or": free}, {"$set": claim})
    bucket = current_bucket()
    if not claimed.modified_count or bucket is None:
        return None
    # In a context of its own: the request's deadline for the database is some seconds away.
    work = _Verification(bucket, upload, holder).run()
    task = asyncio.get_running_loop().create_task(work, context=Context())
    _verifications.add(task)
    task.add_done_callback(_done)
    return task


def _done(task: asyncio.Task[bool]) -> None:
    _verifications.discard(task)
    if not task.cancelled():
        # Waiting requests get the error; when none waits, the next one reads again.
        task.exception()


class _Verification:
    """Reads the bytes of one upload on behalf of its holder."""

    def __init__(self, bucket: Bucket, upload: Row, holder: str) -> None:
        self._bucket = bucket
        self._upload = upload
        self._held = {"_id": upload["_id"], "holder": holder, "status": UploadStatus.CHECKING.value}
        self._renewed = time.monotonic()

    async def run(self) -> bool:
        """Read and check the bytes; returns whether there were any."""
        try:
            stored = await self._bucket.stat(self._upload["key"])
            problem = await self._problem(stored) if stored else None
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

    async def _problem(self, stored: ObjectInfo) -> str | None:
        """The difference between the bytes and the announcement, None when they match."""
        id, size, sha256 = self._upload["_id"], self._upload["size"], self._upload["sha256"]
        if stored.size != size:
            return (
                f"{id} has {stored.size:,} bytes, not the {size:,} announced. They were removed; create a new upload."
            )
        if stored.encoding:
            return f"{id} was stored with Content-Encoding {stored.encoding[:50]}. It was removed; create a new upload."
        found = await self._sha256(stored.generation)
        if found != sha256:
            return f"The SHA-256 of {id} is {found}, not {sha256}. Its bytes were removed; create a new upload."
        return None

    async def _sha256(self, generation: int) -> str:
        digest = hashlib.sha256()
        async for chunk in self._bucket.read(self._upload["key"], generation):
            await asyncio.to_thread(digest.update, chunk)
            await self._renew()
        return digest.hexdigest()

    async def _renew(self) -> None:
        if time.monotonic() - self._renewed > LEASE_RENEWAL_INTERVAL:
            self._renewed = time.monotonic()
            await _uploads().update_one(self._held, {"$set": {"leaseExpiresAt": now() + LEASE_TTL}})

    async def _end(self, status: UploadStatus, **facts: Any) -> bool:
        ended = await _uploads().update_one(self._held, {"$set": {"status": status.value, "holder": None, **facts}})
        return bool(ended.modified_count)


def _uploads() -> Any:
    return collection_of(documents.Upload)
