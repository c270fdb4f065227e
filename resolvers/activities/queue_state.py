"""The state of the queue of activities, for those who operate the server: how much waits, runs, and has lapsed."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from documents.activities.activity import ActivityStatus
from documents.base import now, utc_milliseconds
from resolvers.activities.lease import expired_lease_filter
from resolvers.filters import Filter
from resolvers.reads.relations import Document
from resolvers.reads.rows import Row, collection_of

MAX_COUNT = 10_000
"""Activities after which counting stops: an index is walked for each of them."""


@dataclass(frozen=True)
class QueueState:
    """The activities of one kind that wait or run."""

    waiting: int
    """Activities that may be claimed now, at most MAX_COUNT."""
    running: int
    """Activities that are RUNNING, at most MAX_COUNT."""
    expired: int
    """Activities that are RUNNING although their lease has expired, at most MAX_COUNT."""
    oldest_seconds: float
    """Seconds since the oldest of those that wait was created, or could be claimed again; 0 if none waits."""


async def queue_state(kind: Document) -> QueueState:
    """The state of the queue of one kind of activities, by five reads of its indexes."""
    at = now()
    ready: Filter = {"status": ActivityStatus.READY.value}
    running: Filter = {"status": ActivityStatus.RUNNING.value}
    waiting, active, expired, created, available = await asyncio.gather(
        _count(kind, ready | {"$or": [{"availableAt": None}, {"availableAt": {"$lte": at}}]}),
        _count(kind, running),
        _count(kind, running | expired_lease_filter(at)),
        _oldest(kind, ready | {"availableAt": None}, "created_at"),
        _oldest(kind, ready | {"availableAt": {"$lte": at}}, "availableAt"),
    )
    oldest = min((time for time in (created, available) if time is not None), default=at)
    return QueueState(waiting, active, expired, (at - oldest).total_seconds())


async def _count(kind: Document, match: Filter) -> int:
    return await collection_of(kind).count_documents(match, limit=MAX_COUNT)


async def _oldest(kind: Document, match: Filter, time: str) -> datetime | None:
    row: Row | None = await collection_of(kind).find_one(match, {time: 1}, sort=[(time, 1)])
    return None if row is None else utc_milliseconds(row[time])
