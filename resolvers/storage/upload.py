"""Uploads: bytes that a client announces, stores at a signed URL, and registers by a document that refers to them."""

import re
from datetime import UTC, datetime
from typing import Any

import documents
from documents.base import new_id, now
from documents.mongo.transaction import Session
from documents.storage.bucket import Bucket, current_bucket
from documents.storage.upload import UploadPurpose, UploadStatus
from resolvers.access.quota import current_meter
from resolvers.access.quota_sizes import QuotaName
from resolvers.access.roles import require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.limits import (
    MAX_ARCHIVE_BYTES,
    MAX_OPEN_UPLOADS,
    MAX_OUTPUT_BYTES,
    MAX_SIGNED_URL_SECONDS,
    UPLOAD_LIFETIME,
)
from resolvers.reads.rows import Row, collection_of
from resolvers.storage.signed_url import signed_url
from resolvers.user_errors import InvalidInput, LimitExceeded
from resolvers.validators import check_file_name
from resolvers.writes.store import insert
from resolvers.writes.transaction import Outcome

MAX_UPLOAD_BYTES = {UploadPurpose.ARCHIVE: MAX_ARCHIVE_BYTES, UploadPurpose.OUTPUT: MAX_OUTPUT_BYTES}
"""Maximum size of an upload, by purpose."""

OPEN_STATUSES = [UploadStatus.WAITING, UploadStatus.CHECKING, UploadStatus.CHECKED]
FOLDERS = {UploadPurpose.ARCHIVE: "archives", UploadPurpose.OUTPUT: "outputs"}
SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
# RFC 9110, section 8.3.1, in ASCII: the media type becomes a header of signed URLs.
TOKEN = r"[\w!#$%&'*+.^`|~-]+"
QUOTED = r'"(?:[\x20!#-\[\]-~]|\\[\x20-~])*"'
MEDIA_TYPE = re.compile(rf"{TOKEN}/{TOKEN}(?: *; *{TOKEN}=(?:{TOKEN}|{QUOTED}))*", re.ASCII)
MAX_MEDIA_TYPE_LENGTH = 500
"""Characters."""


async def create_upload(
    session: Session,
    viewer: Viewer,
    *,
    purpose: UploadPurpose,
    file_name: str,
    media_type: str,
    size_bytes: int,
    sha256: str,
) -> Outcome:
    """Announce an upload with size and hash of its bytes, and return it. The object's name is made here."""
    require_role(viewer, Role.USER, Role.WORKER)
    bucket = current_bucket()
    if bucket is None:
        raise InvalidInput("This server stores no files: PROVENANCE_BUCKET is not set.")
    await _check_open_uploads(viewer, session)
    meter = current_meter()
    if meter is not None:
        await meter.check(viewer, QuotaName.UPLOADS)
    id = new_id(documents.Upload.kind)
    upload = documents.Upload(
        id=id,
        viewer_key=viewer.key,
        purpose=purpose,
        file_name=check_file_name(file_name, "fileName"),
        media_type=check_media_type(media_type, "mediaType"),
        size=_check_size(size_bytes, MAX_UPLOAD_BYTES[purpose]),
        sha256=check_sha256(sha256, "sha256"),
        bucket=bucket.name,
        key=f"{bucket.prefix}{FOLDERS[purpose]}/{id}",
        expires_at=now() + UPLOAD_LIFETIME,
    )
    row = await insert(upload, session)
    if meter is not None:
        await meter.add(viewer, QuotaName.UPLOADS)
    return {"upload": row}


async def upload_targets(uploads: list[Row], viewer: Viewer) -> list[Row]:
    """The signed request that stores each upload's bytes, made for this answer."""
    bucket = current_bucket()
    if bucket is None:
        raise LookupError("no bucket is open")
    return [await _target(bucket, upload) for upload in uploads]


def check_sha256(value: str, *path: str) -> str:
    """A SHA-256 in hexadecimal, in lower case."""
    digest = value.strip().lower()
    if not SHA256.fullmatch(digest):
        raise InvalidInput(f"{path[-1]} must be a SHA-256 as 64 hexadecimal digits, not {value[:100]!r}.", *path)
    return digest


def check_media_type(value: str, *path: str) -> str:
    """A media type such as `text/csv` or `text/csv; charset=utf-8; header=present`."""
    media_type = value.strip()
    if len(media_type) > MAX_MEDIA_TYPE_LENGTH or not MEDIA_TYPE.fullmatch(media_type):
        raise InvalidInput(f"{path[-1]} must be a media type such as text/csv, not {value[:100]!r}.", *path)
    return media_type


def has_expired(upload: Row, at: datetime) -> bool:
    """Whether the time for registering an upload is over."""
    expires_at: datetime = upload["expires_at"].replace(tzinfo=UTC)
    return expires_at <= at


def _check_size(size: int, limit: int) -> int:
    if size < 0:
        raise InvalidInput(f"sizeBytes must not be negative, but is {size}.", "sizeBytes")
    if size > limit:
        raise LimitExceeded(f"{size:,} bytes are too many; at most {limit:,} are allowed.", "sizeBytes")
    return size


async def _check_open_uploads(viewer: Viewer, session: Session) -> None:
    own = {"viewerKey": viewer.key, "status": {"$in": [status.value for status in OPEN_STATUSES]}}
    if await _uploads().count_documents(own, limit=MAX_OPEN_UPLOADS, session=session) >= MAX_OPEN_UPLOADS:
        raise LimitExceeded(f"{MAX_OPEN_UPLOADS:,} of your uploads wait to be registered; register some of them first.")


async def _target(bucket: Bucket, upload: Row) -> Row:
    left = int((upload["expires_at"].replace(tzinfo=UTC) - now()).total_seconds())
    signed = await bucket.sign_upload(
        upload["key"],
        size=upload["size"],
        media_type=upload["media_type"],
        seconds=max(1, min(MAX_SIGNED_URL_SECONDS, left)),
    )
    return signed_url(signed)


def _uploads() -> Any:
    return collection_of(documents.Upload)
