"""A series of published versions under one name."""

from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, EmbeddedModel, Timestamp, now


class Subject(EmbeddedModel):
    """Properties that distinguish a dataset from others of the same name. None means unknown, empty means none.

    `document` is the path of its newest document in its pipeline, for datasets imported from a folder. `folder` and
    `query` are those of the address of the document's table; `thing` is the @id of the described dataset.
    """

    document: str | None = None
    folder: str | None = None
    query: str | None = None
    thing: str | None = None


class Dataset(Document):
    """A series of versions, whose next number is one above `latest_ordinal`.

    Its facts come from its newest document. Title and description that a client gave before the first version are kept
    as `given_…`, and are shown where that document says nothing.
    """

    kind: ClassVar[str] = "dataset"

    resource_ref: str = Field(alias="resourceRef")
    identifier: str
    subject: Subject | None = None
    """From the newest document; None where an earlier release published it."""
    title: str | None = None
    description: str | None = None
    given_title: str | None = Field(None, alias="givenTitle")
    given_description: str | None = Field(None, alias="givenDescription")
    publisher: str | None = None
    issued: Timestamp | None = None
    modified: Timestamp | None = None
    keywords: list[str] = []
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
            IndexModel([("updated_at", 1), ("_id", 1)]),
        ]
