"""A generation of jobs: the data that one parser derived from the archives of one instance."""

from enum import StrEnum
from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, Timestamp, now


class GenerationStatus(StrEnum):
    """The status of a generation."""

    BUILDING = "BUILDING"
    READY = "READY"
    ACTIVE = "ACTIVE"
    RETIRED = "RETIRED"
    DISCARDED = "DISCARDED"


class Generation(Document):
    """A projection of an instance's archives by one parser version; `owner_refs` and `public` are copied from the
    instance.

    `archives` and `jobs` count the merged archives and their jobs, and `content_hash` is the sum of the digests of
    these jobs, in hexadecimal (resolvers/galaxy/report/digest.py). `folding` is the part that is being merged: one at a
    time. `activate` says that it becomes active as soon as it is READY.
    """

    kind: ClassVar[str] = "generation"

    instance_ref: str = Field(alias="instanceRef")
    owner_refs: list[str] = Field([], alias="ownerRefs")
    public: bool = False
    parser_version: str
    status: GenerationStatus = GenerationStatus.BUILDING
    activate: bool = False
    reason: str | None = None
    archives: int = 0
    jobs: int = 0
    content_hash: str | None = None
    folding: str | None = None
    emptied: bool = False
    created_at: Timestamp = Field(default_factory=now)
    activated_at: Timestamp | None = None

    class Settings:
        name = "generations"
        indexes = [
            IndexModel([("instanceRef", 1), ("_id", 1)]),
            IndexModel(
                [("instanceRef", 1)],
                name="one_active",
                unique=True,
                partialFilterExpression={"status": GenerationStatus.ACTIVE.value},
            ),
            IndexModel(
                [("emptied", 1)],
                name="to_be_emptied",
                partialFilterExpression={"status": GenerationStatus.DISCARDED.value, "emptied": False},
            ),
        ]
