"""The archives that wait to be ingested, for those who operate the server."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import documents
from documents.activities.activity import ActivityStatus
from documents.base import now, utc_milliseconds
from resolvers.activities.queue_state import MAX_COUNT
from resolvers.filters import Filter
from resolvers.reads.rows import collection_of


@dataclass(frozen=True)
class IngestBacklog:
    """The parts of ingestions that wait or run; a part is one archive."""

    waiting: int
    """Parts that no worker has claimed, at most MAX_COUNT."""
    running: int
    """Parts that a worker is ingesting, at most MAX_COUNT."""
    oldest_seconds: float
    """Seconds since the oldest of those that wait was queued; 0 if none waits."""


async def ingest_backlog() -> IngestBacklog:
    """The parts that wait or run, by three reads of an index."""
    parts, at = collection_of(documents.IngestionPart), now()
    ready: Filter = {"status": ActivityStatus.READY.value}
    running: Filter = {"status": ActivityStatus.RUNNING.value}
    waiting, active, oldest = await asyncio.gather(
        parts.count_documents(ready, limit=MAX_COUNT),
        parts.count_documents(running, limit=MAX_COUNT),
        parts.find_one(ready, {"created_at": 1}, sort=[("_id", 1)]),
    )
    age = at - utc_milliseconds(oldest["created_at"]) if oldest else timedelta()
    return IngestBacklog(waiting, active, age.total_seconds())
