"""A project of a user: a name for everything that was run for it."""

from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, Timestamp, now


class DigitalTwin(Document):
    """A project that executions run for. `owner_ref` and `public` decide who may read what lies below it.

    `additions` rises with each execution and result, so that none is added behind the back of who publishes the twin.
    """

    kind: ClassVar[str] = "twin"

    owner_ref: str = Field(alias="userRef")
    name: str
    status: str = "active"
    public: bool = False
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
            IndexModel([("name", 1), ("_id", 1)]),
            IndexModel([("status", 1), ("_id", 1)]),
            IndexModel([("created_at", 1), ("_id", 1)]),
            IndexModel([("updated_at", 1), ("_id", 1)]),
        ]
