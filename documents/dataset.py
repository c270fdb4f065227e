"""A series of published versions under one name."""

from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, Timestamp, now


class Dataset(Document):
    """A series of versions. `latest_ordinal` hands out the numbers of new ones."""

    kind: ClassVar[str] = "dataset"

    resource_ref: str = Field(alias="resourceRef")
    identifier: str
    title: str | None = None
    description: str | None = None
    publisher: str | None = None
    issued: Timestamp | None = None
    modified: Timestamp | None = None
    keywords: list[str] = Field(default_factory=list)
    latest_ordinal: int = Field(0, alias="latestOrdinal")
    latest_version_ref: str | None = Field(None, alias="latestVersionRef")
    latest_sha256: str | None = Field(None, alias="latestSha256")
    created_at: Timestamp = Field(default_factory=now)
    updated_at: Timestamp = Field(default_factory=now)
    revision: int = 1

    class Settings:
        name = "datasets"
        indexes = [
            IndexModel([("resourceRef", 1), ("identifier", 1)], unique=True),
            IndexModel([("resourceRef", 1), ("_id", 1)]),
            IndexModel([("identifier", 1), ("_id", 1)]),
            IndexModel([("title", 1), ("_id", 1)]),
            IndexModel([("publisher", 1), ("_id", 1)]),
            IndexModel([("keywords", 1), ("_id", 1)]),
            IndexModel([("modified", 1), ("_id", 1)]),
            IndexModel([("created_at", 1), ("_id", 1)]),
        ]
