"""An activity that turns archives of one instance into jobs."""

from enum import StrEnum
from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.activity import Activity, activity_indexes


class IngestionKind(StrEnum):
    """What an ingestion is for."""

    INGEST = "INGEST"
    REPROCESS = "REPROCESS"


class Ingestion(Activity):
    """Archives on their way into a generation, one part each; it repeats the instance's `owner_refs` and `public`.

    A dry run has no generation. Counts and progress are those of its parts.
    """

    kind: ClassVar[str] = "ingestion"

    instance_ref: str = Field(alias="instanceRef")
    owner_refs: list[str] = Field(default_factory=list, alias="ownerRefs")
    public: bool = False
    purpose: IngestionKind = Field(IngestionKind.INGEST, alias="kind")
    dry_run: bool = False
    reason: str | None = None
    generation_ref: str | None = Field(None, alias="generationRef")

    class Settings:
        name = "ingestions"
        indexes = [*activity_indexes(), IndexModel([("instanceRef", 1), ("_id", 1)])]
