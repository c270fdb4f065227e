"""An activity that turns archives of one instance into jobs."""

from enum import StrEnum
from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.activities.activity import Activity, activity_indexes


class IngestionKind(StrEnum):
    """The purpose of an ingestion."""

    INGEST = "INGEST"
    REPROCESS = "REPROCESS"


class Ingestion(Activity):
    """Archives on their way into a generation, one part each; `owner_refs` and `public` are copied from the instance.

    A dry run has no generation. Counts and progress are the sums over its parts.
    """

    kind: ClassVar[str] = "ingestion"

    instance_ref: str = Field(alias="instanceRef")
    owner_refs: list[str] = Field([], alias="ownerRefs")
    public: bool = False
    purpose: IngestionKind = Field(IngestionKind.INGEST, alias="kind")
    dry_run: bool = False
    reason: str | None = None
    generation_ref: str | None = Field(None, alias="generationRef")

    class Settings:
        name = "ingestions"
        indexes = [
            *activity_indexes(),
            IndexModel([("instanceRef", 1), ("_id", 1)]),
            IndexModel([("generationRef", 1), ("_id", 1)]),
        ]
