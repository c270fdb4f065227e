"""Metrics of what waits in the database: activities and parts of ingestions. They are equal for all processes."""

import asyncio
import time
from dataclasses import dataclass, field

import pymongo

import documents
from documents.outage import outage_of
from graph.metrics.families import FamilySnapshot, Kind, Labels, Value
from resolvers.activities.queue_state import MAX_COUNT, QueueState, queue_state
from resolvers.galaxy.ingest_backlog import IngestBacklog, ingest_backlog

READ_TIMEOUT = 2.0
"""Seconds for the database to answer."""
MAX_AGE = 5.0
"""Seconds for which what was read serves further scrapes, since /metrics may be public."""
KINDS = {"step": documents.Step, "transform": documents.Transform}
UP = "provenance_database_up"


@dataclass
class Backlog:
    """Reads what waits, at most once in MAX_AGE seconds."""

    _families: list[FamilySnapshot] = field(default_factory=list)
    _read_at: float = float("-inf")
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def snapshots(self) -> list[FamilySnapshot]:
        """The metrics; while the database does not answer only the one that says so."""
        async with self._lock:
            if time.monotonic() - self._read_at > MAX_AGE:
                self._families = await _read()
                self._read_at = time.monotonic()
            return self._families


async def _read() -> list[FamilySnapshot]:
    try:
        with pymongo.timeout(READ_TIMEOUT):
            states, parts = await asyncio.gather(
                asyncio.gather(*(queue_state(kind) for kind in KINDS.values())), ingest_backlog()
            )
    except Exception as error:
        if not outage_of(error):
            raise
        return [_up(0)]
    return [_up(1), *families(dict(zip(KINDS, states, strict=True)), parts)]


def all_families() -> list[FamilySnapshot]:
    """All of these metrics, with empty queues."""
    return [_up(1), *families(dict.fromkeys(KINDS, QueueState(0, 0, 0, 0.0)), IngestBacklog(0, 0, 0.0))]


def families(states: dict[str, QueueState], parts: IngestBacklog) -> list[FamilySnapshot]:
    """The metrics of the queues by kind of activity, and of the parts of ingestions."""
    bound = f"counted up to {MAX_COUNT:,}"
    return [
        _gauge(
            "provenance_activities_waiting",
            f"Activities that a worker may claim now, {bound}.",
            {(kind,): state.waiting for kind, state in states.items()},
        ),
        _gauge(
            "provenance_activities_running",
            f"Activities that are running, {bound}.",
            {(kind,): state.running for kind, state in states.items()},
        ),
        _gauge(
            "provenance_activities_lease_expired",
            f"Activities that are running although their worker's lease has expired, {bound}.",
            {(kind,): state.expired for kind, state in states.items()},
        ),
        _gauge(
            "provenance_activities_oldest_waiting_seconds",
            "Time since the oldest activity that waits was created, or could be claimed again.",
            {(kind,): state.oldest_seconds for kind, state in states.items()},
        ),
        _gauge("provenance_ingest_parts_waiting", f"Archives that wait to be ingested, {bound}.", {(): parts.waiting}),
        _gauge("provenance_ingest_parts_running", f"Archives that are being ingested, {bound}.", {(): parts.running}),
        _gauge(
            "provenance_ingest_oldest_waiting_seconds",
            "Time since the oldest archive that waits to be ingested was queued.",
            {(): parts.oldest_seconds},
        ),
    ]


def _up(value: int) -> FamilySnapshot:
    return _gauge(UP, f"Whether the database answered within {READ_TIMEOUT:.0f} s, 1 or 0.", {(): value})


def _gauge(name: str, description: str, values: dict[Labels, float]) -> FamilySnapshot:
    typed: dict[Labels, Value] = dict(values)
    return FamilySnapshot(name, Kind.GAUGE, description, ("kind",) if () not in values else (), typed)
