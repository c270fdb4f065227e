"""One archive within an ingestion: the unit that a worker leases, and that is repeated when a worker is lost."""

from typing import Any, ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.activities.activity import ActivityError, ActivityStatus
from documents.base import Document, EmbeddedModel, Timestamp, now


class IngestionCounts(EmbeddedModel):
    """Counts of the rows read from an archive. `jobs` are those that can be stored, `duplicates` those of them that
    another archive of the generation has as well; `rejected` counts rows of any kind."""

    jobs: int = 0
    metrics: int = 0
    datasets: int = 0
    parameters: int = 0
    duplicates: int = 0
    rejected: int = 0


class IngestionPart(Document):
    """One archive within an ingestion.

    `holds` reserves the archive for the part, from its creation until it fails or is cancelled: no other ingestion may
    bring the same archive into the same generation. `declared` is how many jobs the archive claims to hold. `session`
    is the worker's session for transactions; a worker that takes the part over ends it. `folding` says that the part is
    being merged: it has the generation's merge lock, can neither be cancelled nor fail, and is repeated until it has
    SUCCEEDED. `folded` is how many of the chunks of its usage have been merged. `leftovers` says that rows of it have
    to be removed; the worker that removes them holds the lease of the ended part.
    """

    kind: ClassVar[str] = "part"

    ingestion_ref: str = Field(alias="ingestionRef")
    instance_ref: str = Field(alias="instanceRef")
    generation_ref: str | None = Field(None, alias="generationRef")
    archive_ref: str = Field(alias="archiveRef")
    holds: bool = True
    status: ActivityStatus = ActivityStatus.READY
    attempt: int = 0
    handed_back: int = 0
    worker: str | None = None
    session: dict[str, Any] | None = None
    lease_expires_at: Timestamp | None = Field(None, alias="leaseExpiresAt")
    declared: int | None = None
    done: int = 0
    counts: IngestionCounts = Field(default_factory=IngestionCounts)
    folding: bool = False
    folded: int = 0
    leftovers: bool = False
    error: ActivityError | None = None
    created_at: Timestamp = Field(default_factory=now)
    ended_at: Timestamp | None = Field(None, alias="end_timestamp")

    class Settings:
        name = "ingestionParts"
        indexes = [
            IndexModel([("ingestionRef", 1), ("archiveRef", 1)], unique=True),
            IndexModel([("archiveRef", 1), ("ingestionRef", 1)]),
            IndexModel(
                [("generationRef", 1), ("archiveRef", 1)],
                name="held_once",
                unique=True,
                partialFilterExpression={"holds": True, "generationRef": {"$type": "string"}},
            ),
            IndexModel([("status", 1), ("_id", 1)]),
            IndexModel([("leftovers", 1)], name="leftovers", partialFilterExpression={"leftovers": True}),
        ]
