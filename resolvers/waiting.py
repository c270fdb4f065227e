"""What waits to be claimed, handed out so that no two claims of this process try the same.

Claims that ask together share one look at the database, which gives each of them another activity, the oldest first.
Processes do meet over the oldest: whoever comes second tries others, drawn by lot, so that they do not meet again.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import uuid4

import documents
from documents.activity import ActivityStatus
from documents.base import now
from resolvers.coalesce import coalesced
from resolvers.fetch import Row, collection_of
from resolvers.lapsing import give_up
from resolvers.links import Document
from resolvers.runs import MOST_ATTEMPTS, lapsed, tries

SPARE = 100
"""How many more a look reads than there are claims, to draw from when other processes are faster."""
TRIES = 10
"""How many a claim tries before it asks for another look."""

OLDEST_FIRST = [("created_at", 1), ("_id", 1)]
SEEN = dict.fromkeys(
    (
        "created_at",
        "status",
        "attempt",
        "handed_back",
        "log_end",
        "claimants",
        "executionRef",
        "resourceRef",
        "leaseExpiresAt",
    ),
    1,
)

_asking: dict[str, str | None] = {}
"""The claims of this process that are at work, each with the activity that is its own to try."""
_looks: list[set[str]] = []
"""The looks that are under way, each with what was being tried since it began, and so may look as if it waited."""


@asynccontextmanager
async def some_that_wait(kinds: tuple[Document, ...]) -> AsyncIterator[list[Row]]:
    """Activities to try in this order, the first of which no other claim of this process tries within the block.

    None when nothing waits. A step has its execution as `execution`.
    """
    ticket = uuid4().hex
    _asking[ticket] = None
    try:
        found = await coalesced((some_that_wait, kinds), "ticket", [ticket], lambda tickets: _look(kinds, tickets))
        yield found[ticket]["rows"]
    finally:
        del _asking[ticket]


async def _look(kinds: tuple[Document, ...], tickets: list[str]) -> list[dict[str, Any]]:
    """For each claim what it is to try."""
    tried = {id for id in _asking.values() if id is not None}
    _looks.append(tried)
    try:
        found = await _waiting(kinds, len(tickets) + len(tried) + SPARE)
    finally:
        _looks[:] = [look for look in _looks if look is not tried]
    return _handed_out([row for row in found if row["_id"] not in tried], tickets)


def _handed_out(free: list[Row], tickets: list[str]) -> list[dict[str, Any]]:
    # A claim that has been given up meanwhile gets nothing, so that nothing is kept for it.
    asking = [ticket for ticket in tickets if ticket in _asking]
    spare = free[len(asking) :]
    handed: dict[str, list[Row]] = {}
    for ticket, row in zip(asking, free, strict=False):
        _asking[ticket] = row["_id"]
        for tried in _looks:
            tried.add(row["_id"])
        handed[ticket] = [row, *random.sample(spare, min(len(spare), TRIES - 1))]
    return [{"ticket": ticket, "rows": handed.get(ticket, [])} for ticket in tickets]


async def _waiting(kinds: tuple[Document, ...], most: int) -> list[Row]:
    """What can be claimed, oldest first; what has lapsed too often is ended on the way."""
    at = now()
    looks = [look for kind in kinds for look in (_ready(kind, most), _lapsed(kind, most, at))]
    found = [row for rows in await asyncio.gather(*looks) for row in rows]
    ended = [row for row in found if row["status"] == ActivityStatus.RUNNING and tries(row) >= MOST_ATTEMPTS]
    for row in ended:
        await give_up(row, at)
    if ended:
        # What waited for these does not wait any longer.
        return await _waiting(kinds, most)
    found.sort(key=lambda row: (row["created_at"], row["_id"]))
    return await _with_executions(found[:most])


async def _ready(kind: Document, most: int) -> list[Row]:
    ready = {"status": ActivityStatus.READY.value}
    rows = await collection_of(kind).find(ready, SEEN, sort=OLDEST_FIRST, limit=most).to_list()
    return await _alone(rows) if rows and kind is documents.Transform else rows


async def _alone(transforms: list[Row]) -> list[Row]:
    """Those whose resource has no transform that runs already."""
    resources = [row["resourceRef"] for row in transforms]
    running = {"resourceRef": {"$in": resources}, "status": ActivityStatus.RUNNING.value}
    busy = set(await collection_of(documents.Transform).distinct("resourceRef", running))
    return [row for row in transforms if row["resourceRef"] not in busy]


async def _lapsed(kind: Document, most: int, at: datetime) -> list[Row]:
    running = {"status": ActivityStatus.RUNNING.value} | lapsed(at)
    return await collection_of(kind).find(running, SEEN, sort=[("leaseExpiresAt", 1)], limit=most).to_list()


async def _with_executions(found: list[Row]) -> list[Row]:
    ids = sorted({row["executionRef"] for row in found if "executionRef" in row})
    if not ids:
        return found
    rows = await collection_of(documents.Execution).find({"_id": {"$in": ids}}, {"status": 1, "runners": 1}).to_list()
    executions = {row["_id"]: row for row in rows}
    return [row | {"execution": executions.get(row.get("executionRef"))} for row in found]
