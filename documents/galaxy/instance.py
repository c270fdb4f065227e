"""A server that uploads its job logs."""

from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, Timestamp, now


class Instance(Document):
    """A server (a Galaxy) known by a UUID. `owner_refs` and `public` decide who may read its uploads.

    `key_hash` is the SHA-256, in hexadecimal, of the key that authorises its uploads. `additions` is incremented with
    each archive, ingestion and generation, so that adding one conflicts with a concurrent change of the instance's
    access. `active_generation_ref` is the generation that readers of its jobs see. `ingests` says whether uploads are
    ingested automatically.
    """

    kind: ClassVar[str] = "instance"

    uuid: str
    url: str | None = None
    title: str | None = None
    description: str | None = None
    public: bool = False
    latitude: float | None = None
    longitude: float | None = None
    owner_refs: list[str] = Field([], alias="ownerRefs")
    key_hash: str = Field(alias="keyHash")
    additions: int = 0
    active_generation_ref: str | None = Field(None, alias="activeGenerationRef")
    ingests: bool = True
    created_at: Timestamp = Field(default_factory=now)
    updated_at: Timestamp = Field(default_factory=now)
    revision: int = 1

    class Settings:
        name = "instances"
        indexes = [
            IndexModel([("uuid", 1)], unique=True),
            IndexModel([("ownerRefs", 1), ("_id", 1)]),
            IndexModel([("public", 1), ("_id", 1)]),
            IndexModel([("title", 1), ("_id", 1)]),
            IndexModel([("url", 1), ("_id", 1)]),
            IndexModel([("created_at", 1), ("_id", 1)]),
            IndexModel([("activeGenerationRef", 1)]),
        ]
