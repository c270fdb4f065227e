"""A publisher."""

from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, Timestamp, now


class Organisation(Document):
    """A publisher of statistics, known by its URL.

    `additions` is incremented with each resource, so that adding one conflicts with a concurrent merge of the
    organisation.
    """

    kind: ClassVar[str] = "organisation"

    url: str
    name: str | None = None
    additions: int = 0
    created_at: Timestamp = Field(default_factory=now)
    updated_at: Timestamp = Field(default_factory=now)
    revision: int = 1

    class Settings:
        name = "organisations"
        indexes = [
            IndexModel([("url", 1)], unique=True),
            IndexModel([("name", 1), ("_id", 1)]),
            IndexModel([("created_at", 1), ("_id", 1)]),
        ]
