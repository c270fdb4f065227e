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
from documents.base import kind_of, now
from resolvers.activities.active_workers import Holder
from resolvers.activities.lease import expired_rows, fail_exhausted
from resolvers.activities.retry import available_from, not_left_recently_filter, reserved_until
from resolvers.activities.state_machine import counted_attempts
from resolvers.filters import Filter
from resolvers.limits import MAX_ATTEMPTS
from resolvers.reads.batch_point_reads import coalesce
from resolvers.reads.relations import Document
from resolvers.reads.rows import Row, collection_of

EXTRA_CANDIDATES = 100
"""Further activities that a query reads, to draw from when other processes are faster."""
MAX_CANDIDATES = 10
"""Activities that a claim tries before it asks for another query."""
MAX_LATER = 20
"""Activities with a later `availableAt` that are read, to tell an unsuccessful claim when to ask again."""

OLDEST_FIRST = [("created_at", 1), ("_id", 1)]
PROJECTION: dict[str, Any] = dict.fromkeys(
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
) | {"dependsOn": {"$slice": 1}}
"""Of the steps that a step waits for, the first says that there are some."""


@dataclass
class Claim:
    """A claim under way: its worker, and the activity that no other claim of this process may try."""

    holder: Holder
    trying: str | None = None


class Choice(NamedTuple):
    """The activities that a claim is to try, in this order; if there are none, the time from which there may be one."""

    rows: list[Row]
    next_at: datetime | None


_claims: dict[str, Claim] = {}
"""The active claims of this process, by ticket."""
_queries: list[set[str]] = []
"""The queries under way, each with the activities that were tried since it began, and so may still look as if they
waited."""


@asynccontextmanager
async def candidates(kinds: tuple[Document, ...], holder: Holder, bound_to: str | None = None) -> AsyncIterator[Choice]:
    """Activities for a worker to claim; no other claim of this process tries the first of them within the block.

    A step has its execution as `execution`. `bound_to` is the organisation or resource whose transforms alone are
    looked at.
    """
    ticket = uuid4().hex
    _claims[ticket] = Claim(holder)
    try:
        choices = await coalesce(
            (candidates, kinds, bound_to), "ticket", [ticket], lambda tickets: _query(kinds, tickets, bound_to)
        )
        yield choices[ticket]["choice"]
    finally:
        del _claims[ticket]


async def _query(kinds: tuple[Document, ...], tickets: list[str], bound_to: str | None) -> list[dict[str, Any]]:
    """Query the queue once for several claims; returns the choice of each."""
    at, within = now(), await _bound_filter(bound_to)
    tried = {claim.trying for claim in _claims.values() if claim.trying is not None}
    holders = {_claims[ticket].holder for ticket in tickets if ticket in _claims}
    _queries.append(tried)
    try:
        limit = len(tickets) + len(tried) + EXTRA_CANDIDATES
        rows = await _claimable_rows(kinds, limit, at, holders, within)
    finally:
        _queries[:] = [query for query in _queries if query is not tried]
    choices = _assign([row for row in rows if row["_id"] not in tried], tickets, at)
    later = [*rows, *await _later_rows(kinds, at, within)] if len(choices) < len(tickets) else []
    return [{"ticket": ticket, "choice": choices.get(ticket) or _empty_choice(ticket, later, at)} for ticket in tickets]


def _assign(free: list[Row], tickets: list[str], at: datetime) -> dict[str, Choice]:
    """Give each claim an activity of its own and some to fall back on; returns the choices of those that get one."""
    choices: dict[str, Choice] = {}
    # A claim that was cancelled meanwhile gets nothing, so that no activity is reserved for it.
    for ticket in (ticket for ticket in tickets if ticket in _claims):
        holder = _claims[ticket].holder
        number = next((number for number, row in enumerate(free) if reserved_until(row, holder, at) is None), None)
        if number is not None:
            choices[ticket] = Choice([free.pop(number)], None)
    for ticket, choice in choices.items():
        _claims[ticket].trying = id = choice.rows[0]["_id"]
        for tried in _queries:
            tried.add(id)
        fallbacks = random.sample(free, min(len(free), MAX_CANDIDATES - 1))
        choice.rows.extend(row for row in fallbacks if reserved_until(row, _claims[ticket].holder, at) is None)
    return choices


def _empty_choice(ticket: str, later: list[Row], at: datetime) -> Choice:
    """The empty choice of a claim, with the time to ask again."""
    claim = _claims.get(ticket)
    times = [_claimable_from(row, claim.holder, at) for row in later] if claim else []
    return Choice([], min((time for time in times if time > at), default=None))


def _claimable_from(row: Row, holder: Holder, at: datetime) -> datetime:
    """The time from which a worker may claim an activity, as far as is known now."""
    time = max(available_from(row) or at, at)
    return reserved_until(row, holder, time) or time


async def _bound_filter(bound_to: str | None) -> Filter:
    """The transforms that a worker may claim whose token is bound to an organisation or resource."""
    if bound_to is None:
        return {}
    if kind_of(bound_to) == documents.Resource.kind:
        return {"resourceRef": bound_to}
    resources = await collection_of(documents.Resource).distinct("_id", {"organisationRef": bound_to})
    return {"resourceRef": {"$in": resources}}


async def _claimable_rows(
    kinds: tuple[Document, ...], limit: int, at: datetime, holders: set[Holder], within: Filter
) -> list[Row]:
    """The activities that any of the holders can claim, oldest first; ends those whose last attempt expired."""
    reads = [_ready_rows(kind, {"availableAt": None} | within, OLDEST_FIRST, limit) for kind in kinds]
    reads += [_expired_rows(kind, limit, at, within) for kind in kinds]
    # Otherwise a worker that has handed back many activities would see only these.
    reads += [_available_again(kind, limit, at, not_left_recently_filter(holders, at) | within) for kind in kinds]
    rows = [row for batch in await asyncio.gather(*reads) for row in batch]
    running = [row for row in rows if row["status"] == ActivityStatus.RUNNING]
    exhausted = [row for row in running if counted_attempts(row) >= MAX_ATTEMPTS]
    for row in exhausted:
        await fail_exhausted(row, at)
    if exhausted:
        # The dependents of these do not wait any longer.
        return await _claimable_rows(kinds, limit, at, holders, within)
    rows.sort(key=lambda row: (row["created_at"], row["_id"]))
    return await _with_executions(rows[:limit])


async def _available_again(kind: Document, limit: int, at: datetime, match: Filter) -> list[Row]:
    return await _ready_rows(kind, {"availableAt": {"$lte": at}} | match, [("availableAt", 1)], limit)


async def _ready_rows(kind: Document, match: Filter, sort: list[tuple[str, int]], limit: int) -> list[Row]:
    ready: Filter = {"status": ActivityStatus.READY.value} | match
    rows = await collection_of(kind).find(ready, PROJECTION, sort=sort, limit=limit).to_list()
    return await _without_busy_resources(rows) if rows and kind is documents.Transform else rows


async def _later_rows(kinds: tuple[Document, ...], at: datetime, within: Filter) -> list[Row]:
    """The first activities that have a later `availableAt`, or that may be reserved for other workers."""
    later = {"availableAt": {"$gt": at}} | within
    reads = [_ready_rows(kind, later, [("availableAt", 1)], MAX_LATER) for kind in kinds]
    reads += [_available_again(kind, MAX_LATER, at, within) for kind in kinds]
    reads += [expired_rows(kind, PROJECTION, MAX_LATER, at, within) for kind in kinds]
    return [row for batch in await asyncio.gather(*reads) for row in batch]


async def _without_busy_resources(transforms: list[Row]) -> list[Row]:
    """The transforms whose resource has no running transform."""
    resources = [row["resourceRef"] for row in transforms]
    running = {"resourceRef": {"$in": resources}, "status": ActivityStatus.RUNNING.value}
    busy = set(await collection_of(documents.Transform).distinct("resourceRef", running))
    return [row for row in transforms if row["resourceRef"] not in busy]


async def _expired_rows(kind: Document, limit: int, at: datetime, within: Filter) -> list[Row]:
    """Expired activities that are claimable at once or have had their last attempt."""
    rows = await expired_rows(kind, PROJECTION, limit, at, within)
    return [row for row in rows if counted_attempts(row) >= MAX_ATTEMPTS or (available_from(row) or at) <= at]


async def _with_executions(rows: list[Row]) -> list[Row]:
    ids = sorted({row["executionRef"] for row in rows if "executionRef" in row})
    if not ids:
        return rows
    cursor = collection_of(documents.Execution).find({"_id": {"$in": ids}}, {"status": 1, "runners": 1})
    executions = {execution["_id"]: execution async for execution in cursor}
    return [row | {"execution": executions.get(row.get("executionRef"))} for row in rows]
