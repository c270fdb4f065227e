"""Bytes on their way into the bucket."""

from enum import StrEnum
from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, Timestamp, now


class UploadPurpose(StrEnum):
    """What the bytes will be."""

    ARCHIVE = "ARCHIVE"
    OUTPUT = "OUTPUT"


class UploadStatus(StrEnum):
    """How far an upload has come. The last three are terminal."""

    WAITING = "WAITING"
    CHECKING = "CHECKING"
    CHECKED = "CHECKED"
    REGISTERED = "REGISTERED"
    REFUSED = "REFUSED"
    SWEPT = "SWEPT"


class Upload(Document):
    """An object that a client was allowed to store, under a name of ours, with the bytes that it announced.

    It belongs to the viewer with the key `viewer_key`. While it is CHECKING, `holder` reads its bytes until
    `lease_expires_at`; from CHECKED on `generation` is that of the bytes that were read. `registered_as` is the id of
    what refers to the object. Before `expires_at` the bytes must be registered; later they are removed.
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
