"""A report of a server, as it was uploaded."""

from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, EmbeddedModel, JsonText, Timestamp, now


class StateCount(EmbeddedModel):
    """The number of jobs that a report claims to hold in one state."""

    state: str
    count: int


class Archive(Document):
    """The raw bytes of one report and its metadata, kept for ever, since everything else is derived from them.

    `owner_refs` and `public` are copied from the instance. The bytes are `generation` of the object `key`. Of the
    archives of an instance with one identifier the last is `current`; the others were superseded, each by
    `superseded_by_ref`. `quarantine` says why this release cannot read it. `ingestion_refs` are the last ingestions
    that included it.
    """

    kind: ClassVar[str] = "archive"

    instance_ref: str = Field(alias="instanceRef")
    owner_refs: list[str] = Field([], alias="ownerRefs")
    public: bool = False
    identifier: str
    current: bool = True
    superseded_by_ref: str | None = Field(None, alias="supersededByRef")
    schema_version: int | None = None
    generated_at: Timestamp | None = None
    received_at: Timestamp = Field(default_factory=now)
    sha256: str
    size_bytes: int
    bucket: str
    key: str
    generation: int | None = None
    metadata: JsonText
    declared_jobs: list[StateCount] = []
    active_users: int | None = None
    total_users: int | None = None
    quarantine: str | None = None
    ingestion_refs: list[str] = Field([], alias="ingestionRefs")

    class Settings:
        name = "archives"
        indexes = [
            IndexModel(
                [("instanceRef", 1), ("identifier", 1)],
                name="one_current",
                unique=True,
                partialFilterExpression={"current": True},
            ),
            IndexModel([("instanceRef", 1), ("identifier", 1), ("_id", 1)]),
            IndexModel([("instanceRef", 1), ("_id", 1)]),
            IndexModel([("sha256", 1), ("_id", 1)]),
            IndexModel([("instanceRef", 1), ("received_at", 1), ("_id", 1)]),
            IndexModel([("instanceRef", 1), ("generated_at", 1), ("_id", 1)]),
        ]
