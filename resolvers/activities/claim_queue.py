"""The queue of waiting activities, handed out so that no two claims of this process try the same one.

Concurrent claims share one query, which gives each of them another activity, the oldest first. Processes do collide
over the oldest: the slower one tries others, drawn at random, so that they do not collide again. Of activities that may
not be claimed yet, only the time from which they may be is read.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import uuid4

import documents
from documents.activities.activity import ActivityStatus
from documents.base import now
from resolvers.activities.active_workers import Holder
from resolvers.activities.lease import give_up
from resolvers.activities.retry import available_from, kept_from, not_kept_from_all
from resolvers.activities.state_machine import MOST_ATTEMPTS, lapsed, tries
from resolvers.filters import Filter
from resolvers.reads.batch_point_reads import coalesced
from resolvers.reads.relations import Document
from resolvers.reads.rows import Row, collection_of

SPARE = 100
"""Extra activities that a query reads, to draw from when other processes are faster."""
TRIES = 10
"""Activities that a claim tries before it asks for another query."""
SOONEST = 20
"""Activities with a later `availableAt` that are read, to tell an unsuccessful claim when to ask again."""

OLDEST_FIRST = [("created_at", 1), ("_id", 1)]
SEEN = dict.fromkeys(
    (
        "created_at",
        "status",
        "attempt",
        "handed_back",
        "availableAt",
        "left_by",
        "worker",
        "earlier_workers",
        "log_end",
        "claimants",
        "executionRef",
        "resourceRef",
        "leaseExpiresAt",
    ),
    1,
)


@dataclass
class Claim:
    """The holder that claims, and the activity that this claim alone may try."""

    holder: Holder
    trying: str | None = None


class Choice(NamedTuple):
    """The activities that a claim is to try, in this order; if there are none, the time from which there may be one."""

    rows: list[Row]
    next_at: datetime | None


_asking: dict[str, Claim] = {}
"""The active claims of this process, by ticket."""
_looks: list[set[str]] = []
"""The queries under way, each with the activities that were tried since it began, and so may still look as if they
waited."""


@asynccontextmanager
async def some_that_wait(kinds: tuple[Document, ...], holder: Holder) -> AsyncIterator[Choice]:
    """Activities for a worker to try; no other claim of this process tries the first of them within the block.

    A step has its execution as `execution`.
    """
    ticket = uuid4().hex
    _asking[ticket] = Claim(holder)
    try:
        found = await coalesced((some_that_wait, kinds), "ticket", [ticket], lambda tickets: _look(kinds, tickets))
        yield found[ticket]["choice"]
    finally:
        del _asking[ticket]


async def _look(kinds: tuple[Document, ...], tickets: list[str]) -> list[dict[str, Any]]:
    """The choice of each claim."""
    at = now()
    tried = {claim.trying for claim in _asking.values() if claim.trying is not None}
    holders = {_asking[ticket].holder for ticket in tickets if ticket in _asking}
    _looks.append(tried)
    try:
        found = await _waiting(kinds, len(tickets) + len(tried) + SPARE, at, holders)
    finally:
        _looks[:] = [look for look in _looks if look is not tried]
    handed = _handed_out([row for row in found if row["_id"] not in tried], tickets, at)
    later = [*found, *await _available_later(kinds, at)] if len(handed) < len(tickets) else []
    return [{"ticket": ticket, "choice": handed.get(ticket) or _nothing(ticket, later, at)} for ticket in tickets]


def _handed_out(free: list[Row], tickets: list[str], at: datetime) -> dict[str, Choice]:
    """The choices of the claims that get an activity."""
    handed: dict[str, Choice] = {}
    # A claim that has been given up meanwhile gets nothing, so that no activity is reserved for it.
    for ticket in (ticket for ticket in tickets if ticket in _asking):
        holder = _asking[ticket].holder
        place = next((place for place, row in enumerate(free) if kept_from(row, holder, at) is None), None)
        if place is not None:
            handed[ticket] = Choice([free.pop(place)], None)
    for ticket, choice in handed.items():
        _asking[ticket].trying = id = choice.rows[0]["_id"]
        for tried in _looks:
            tried.add(id)
        spare = random.sample(free, min(len(free), TRIES - 1))
        choice.rows.extend(row for row in spare if kept_from(row, _asking[ticket].holder, at) is None)
    return handed


def _nothing(ticket: str, later: list[Row], at: datetime) -> Choice:
    """The empty choice of a claim, with the time to ask again."""
    claim = _asking.get(ticket)
    times = [_time_for(row, claim.holder, at) for row in later] if claim else []
    return Choice([], min((time for time in times if time > at), default=None))


def _time_for(row: Row, holder: Holder, at: datetime) -> datetime:
    """The time from which a worker may claim an activity, as far as is known now."""
    time = max(available_from(row) or at, at)
    return kept_from(row, holder, time) or time


async def _waiting(kinds: tuple[Document, ...], most: int, at: datetime, holders: set[Holder]) -> list[Row]:
    """The activities that any of the holders can claim, oldest first; ends those that lapsed too often."""
    looks = [look(kind, most, at) for kind in kinds for look in (_ready, _lapsed)]
    # Otherwise a worker that has handed back many activities would see only these.
    again = [_available_again(kind, most, at, not_kept_from_all(holders, at)) for kind in kinds]
    found = [row for rows in await asyncio.gather(*looks, *again) for row in rows]
    ended = [row for row in found if row["status"] == ActivityStatus.RUNNING and tries(row) >= MOST_ATTEMPTS]
    for row in ended:
        await give_up(row, at)
    if ended:
        # The dependents of these do not wait any longer.
        return await _waiting(kinds, most, at, holders)
    found.sort(key=lambda row: (row["created_at"], row["_id"]))
    return await _with_executions(found[:most])


async def _ready(kind: Document, most: int, at: datetime) -> list[Row]:
    return await _ready_rows(kind, {"availableAt": None}, OLDEST_FIRST, most)


async def _available_again(kind: Document, most: int, at: datetime, match: Filter) -> list[Row]:
    return await _ready_rows(kind, {"availableAt": {"$lte": at}} | match, [("availableAt", 1)], most)


async def _ready_rows(kind: Document, match: Filter, sort: list[tuple[str, int]], most: int) -> list[Row]:
    ready: Filter = {"status": ActivityStatus.READY.value} | match
    rows = await collection_of(kind).find(ready, SEEN, sort=sort, limit=most).to_list()
    return await _alone(rows) if rows and kind is documents.Transform else rows


async def _available_later(kinds: tuple[Document, ...], at: datetime) -> list[Row]:
    """The first activities that have a later `availableAt`, or that may be kept from the caller."""
    finds = [_ready_rows(kind, {"availableAt": {"$gt": at}}, [("availableAt", 1)], SOONEST) for kind in kinds]
    again = [_available_again(kind, SOONEST, at, {}) for kind in kinds]
    lapses = [_all_lapsed(kind, SOONEST, at) for kind in kinds]
    return [row for rows in await asyncio.gather(*finds, *again, *lapses) for row in rows]


async def _alone(transforms: list[Row]) -> list[Row]:
    """Transforms whose resource has no running transform."""
    resources = [row["resourceRef"] for row in transforms]
    running = {"resourceRef": {"$in": resources}, "status": ActivityStatus.RUNNING.value}
    busy = set(await collection_of(documents.Transform).distinct("resourceRef", running))
    return [row for row in transforms if row["resourceRef"] not in busy]


async def _lapsed(kind: Document, most: int, at: datetime) -> list[Row]:
    rows = await _all_lapsed(kind, most, at)
    return [row for row in rows if tries(row) >= MOST_ATTEMPTS or (available_from(row) or at) <= at]


async def _all_lapsed(kind: Document, most: int, at: datetime) -> list[Row]:
    running = {"status": ActivityStatus.RUNNING.value} | lapsed(at)
    return await collection_of(kind).find(running, SEEN, sort=[("leaseExpiresAt", 1)], limit=most).to_list()


async def _with_executions(found: list[Row]) -> list[Row]:
    ids = sorted({row["executionRef"] for row in found if "executionRef" in row})
    if not ids:
        return found
    rows = await collection_of(documents.Execution).find({"_id": {"$in": ids}}, {"status": 1, "runners": 1}).to_list()
    executions = {row["_id"]: row for row in rows}
    return [row | {"execution": executions.get(row.get("executionRef"))} for row in found]
