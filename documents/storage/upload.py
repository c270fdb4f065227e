"""Uploads: bytes on their way into the bucket."""

from enum import StrEnum
from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, Timestamp, now


class UploadPurpose(StrEnum):
    """The use of the uploaded bytes."""

    ARCHIVE = "ARCHIVE"
    OUTPUT = "OUTPUT"


class UploadStatus(StrEnum):
    """The status of an upload. The last three are terminal."""

    WAITING = "WAITING"
    CHECKING = "CHECKING"
    CHECKED = "CHECKED"
    REGISTERED = "REGISTERED"
    REFUSED = "REFUSED"
    SWEPT = "SWEPT"


class Upload(Document):
    """An object that a client may store, under a name that the server chose, with the bytes that the client announced.

    The upload belongs to the viewer with the key `viewer_key`. While it is CHECKING, `holder` reads its bytes until
    `lease_expires_at`; from CHECKED on `generation` is that of the bytes that were read. `registered_as` is the id of
    the document that refers to the object. Bytes that are not registered before `expires_at` are removed.
    """

    kind: ClassVar[str] = "upload"

    viewer_key: str = Field(alias="viewerKey")
    purpose: UploadPurpose
    file_name: str
    media_type: str
    size: int
    sha256: str
    bucket: str
    key: str
    status: UploadStatus = UploadStatus.WAITING
    holder: str | None = None
    lease_expires_at: Timestamp | None = Field(None, alias="leaseExpiresAt")
    generation: int | None = None
    refusal: str | None = None
    registered_as: str | None = Field(None, alias="registeredAs")
    created_at: Timestamp = Field(default_factory=now)
    expires_at: Timestamp

    class Settings:
        name = "uploads"
        indexes = [
            IndexModel([("viewerKey", 1), ("status", 1)]),
            IndexModel([("status", 1), ("expires_at", 1)]),
        ]
