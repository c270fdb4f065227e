"""A user's project, which groups its executions and results."""

from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, Timestamp, now


class DigitalTwin(Document):
    """A project that executions belong to. Its owner, readers and `public` decide who may read everything below it.

    `additions` is incremented with each execution and result, so that adding one conflicts with a concurrent change of
    the twin's access.
    """

    kind: ClassVar[str] = "twin"

    owner_ref: str = Field(alias="userRef")
    name: str
    status: str = "active"
    public: bool = False
    reader_refs: list[str] = Field([], alias="readerRefs")
    additions: int = 0
    created_at: Timestamp = Field(default_factory=now)
    updated_at: Timestamp = Field(default_factory=now)
    revision: int = 1

    class Settings:
        name = "digitalTwins"
        indexes = [
            IndexModel([("userRef", 1), ("name", 1)], unique=True),
            IndexModel([("userRef", 1), ("_id", 1)]),
            IndexModel([("public", 1), ("_id", 1)]),
            IndexModel([("readerRefs", 1), ("_id", 1)]),
            IndexModel([("name", 1), ("_id", 1)]),
            IndexModel([("status", 1), ("_id", 1)]),
            IndexModel([("created_at", 1), ("_id", 1)]),
            IndexModel([("updated_at", 1), ("_id", 1)]),
        ]
