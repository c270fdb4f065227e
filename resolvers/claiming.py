"""Workers take what waits: the oldest first, each to one worker only, however many ask at once.

A claim looks at a few that wait and tries to move one by a conditional update. Whoever is not the first to move it
tries another, drawn by lot, so that those who ask together do not meet again; in one process they keep out of each
other's way from the start. An execution is written to when it begins, and when somebody new runs it, not by each claim.
"""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import NamedTuple

from pymongo.errors import DuplicateKeyError

import documents
from documents.activity import OPEN, ActivityStatus
from documents.base import kind_of, now
from documents.database import in_transaction
from resolvers.checks import a_line
from resolvers.fetch import Row, collection_of
from resolvers.ingest.turns import turn
from resolvers.lapsing import give_up
from resolvers.links import Document
from resolvers.refusals import InvalidInput
from resolvers.runs import MOST_ATTEMPTS, Move, lapsed, move
from resolvers.viewer import Role, Viewer
from resolvers.writing import Outcome, Session, require

KINDS: dict[str, Document] = {"STEP": documents.Step, "TRANSFORM": documents.Transform}
AT_ONCE = 20
"""Of how many that wait one is drawn by lot, once another was faster."""
SHORTEST_LEASE, LONGEST_LEASE = 1, 3600
"""Seconds. Who needs longer extends the lease, and so shows that it is alive."""
LONGEST_NAME = 200

OLDEST_FIRST = [("created_at", 1), ("_id", 1)]
SEEN = dict.fromkeys(
    ("created_at", "status", "attempt", "log_end", "claimants", "executionRef", "resourceRef", "leaseExpiresAt"), 1
)
"""What is read of an activity that waits."""

_trying: set[str] = set()
"""What claims of this process are just trying to move."""


class Lease(NamedTuple):
    """What a worker asks for."""

    worker: str
    viewer: Viewer
    duration: timedelta


async def claim_activity(viewer: Viewer, *, worker: str, lease_seconds: int, kinds: list[str] | None = None) -> Outcome:
    """The oldest activity that waits, leased to the worker; None when none waits. Its own transactions."""
    require(viewer, Role.WORKER)
    lease = Lease(a_worker(worker, "worker"), viewer, a_lease(lease_seconds, "leaseSeconds"))
    wanted = [KINDS[kind] for kind in dict.fromkeys(KINDS if kinds is None else kinds)]
    while found := await _waiting(wanted):
        for row in _by_turns(found):
            with _to_itself(row["_id"]) as free:
                claimed = await _take(row, lease) if free else None
            if claimed is not None:
                return {"activity": claimed}
        # All went to others, who have moved on: there may be more.
        await asyncio.sleep(0)
    return {"activity": None}


def a_worker(value: str, *path: str) -> str:
    """A worker's name: one line."""
    name = a_line(value, *path)
    if len(name) > LONGEST_NAME:
        raise InvalidInput(f"{path[-1]} has {len(name)} characters; at most {LONGEST_NAME} are kept.", *path)
    return name


def a_lease(seconds: int, *path: str) -> timedelta:
    """How long a worker may be silent."""
    if not SHORTEST_LEASE <= seconds <= LONGEST_LEASE:
        bounds = f"{SHORTEST_LEASE} to {LONGEST_LEASE}"
        raise InvalidInput(f"{path[-1]} must be {bounds} seconds, not {seconds}. Extend the lease to keep it.", *path)
    return timedelta(seconds=seconds)


@contextmanager
def _to_itself(id: str) -> Iterator[bool]:
    """Whether no other claim of this process is trying to move this one; none will within the block."""
    if id in _trying:
        yield False
        return
    _trying.add(id)
    try:
        yield True
    finally:
        _trying.discard(id)


def _by_turns(found: list[Row]) -> Iterator[Row]:
    """The oldest that nobody in this process tries, then, by lot, others."""
    free = [row for row in found if row["_id"] not in _trying]
    yield from free[:1]
    yield from random.sample(free[1:], len(free[1:]))


async def _waiting(kinds: list[Document]) -> list[Row]:
    """What can be claimed, oldest first; what has lapsed too often is ended on the way."""
    at, some = now(), AT_ONCE + len(_trying)
    looks = [look for kind in kinds for look in (_ready(kind, some), _lapsed(kind, some, at))]
    found = [row for rows in await asyncio.gather(*looks) for row in rows]
    ended = [row for row in found if row["status"] == ActivityStatus.RUNNING and row["attempt"] >= MOST_ATTEMPTS]
    for row in ended:
        await give_up(row, at)
    if ended:
        # Nothing more may wait: what waited for these does not.
        return await _waiting(kinds)
    found.sort(key=lambda row: (row["created_at"], row["_id"]))
    return found


async def _ready(kind: Document, some: int) -> list[Row]:
    ready = {"status": ActivityStatus.READY.value}
    rows = await collection_of(kind).find(ready, SEEN, sort=OLDEST_FIRST, limit=some).to_list()
    if kind is not documents.Transform or not rows:
        return rows
    return await _alone(rows)


async def _alone(transforms: list[Row]) -> list[Row]:
    """Those whose resource has no transform that runs already."""
    resources = [row["resourceRef"] for row in transforms]
    running = {"resourceRef": {"$in": resources}, "status": ActivityStatus.RUNNING.value}
    busy = set(await collection_of(documents.Transform).distinct("resourceRef", running))
    return [row for row in transforms if row["resourceRef"] not in busy]


async def _lapsed(kind: Document, some: int, at: datetime) -> list[Row]:
    running = {"status": ActivityStatus.RUNNING.value} | lapsed(at)
    return await collection_of(kind).find(running, SEEN, sort=[("leaseExpiresAt", 1)], limit=some).to_list()


async def _take(row: Row, lease: Lease) -> Row | None:
    """The activity, leased; None when somebody else was faster."""
    if kind_of(row["_id"]) == documents.Transform.kind:
        try:
            return await _moved(documents.Transform, row, lease)
        except DuplicateKeyError:
            # Another transform of the resource has begun.
            return None
    if await _runs(row["executionRef"], lease.viewer):
        return await _moved(documents.Step, row, lease)
    async with turn("join", row["executionRef"], lease.viewer.key):
        if await _runs(row["executionRef"], lease.viewer):
            return await _moved(documents.Step, row, lease)
        return await _first(row, lease)


async def _runs(execution_id: str, viewer: Viewer) -> bool:
    """Whether the viewer has claimed of this execution before, so that no more than the step needs to change.

    It cannot change its mind until the step is claimed: it does not end while a step of it waits.
    """
    run = {"_id": execution_id, "status": ActivityStatus.RUNNING.value, "runners": viewer.key}
    return await collection_of(documents.Execution).find_one(run, {"_id": 1}) is not None


async def _moved(kind: Document, row: Row, lease: Lease, session: Session | None = None) -> Row | None:
    at = now()
    again = row["status"] == ActivityStatus.RUNNING
    # What it had logged is part of the condition, since the new attempt's lines are numbered after that.
    as_seen = {"_id": row["_id"], "attempt": row["attempt"], "log_end": row.get("log_end")}
    changes = {
        "worker": lease.worker,
        "claimed_by": lease.viewer.key,
        "claimants": list(dict.fromkeys([*row.get("claimants", []), lease.viewer.key])),
        "leaseExpiresAt": at + lease.duration,
        "log_base": row.get("log_end") or 0,
    }
    match = as_seen | (lapsed(at) if again else {})
    return await move(kind, Move.TAKE_OVER if again else Move.CLAIM, match, changes, at, session)


async def _first(row: Row, lease: Lease) -> Row | None:
    """The step, leased together with its execution, which the viewer runs from now on."""
    execution, key = row["executionRef"], lease.viewer.key
    # What has not ended is told beforehand, each step for itself: a transaction over all that workers write to would
    # seldom succeed. What ends meanwhile is told in the transaction, and what has ended is written to by nobody.
    unended = {"executionRef": execution, "status": {"$in": list(OPEN)}, "runners": {"$ne": key}}
    await collection_of(documents.Step).update_many(unended, {"$addToSet": {"runners": key}})

    async def work(session: Session) -> Row | None:
        claimed = await _moved(documents.Step, row, lease, session)
        if claimed is not None:
            await _join(execution, key, session)
        return claimed

    return await in_transaction(work)


async def _join(execution_id: str, key: str, session: Session) -> None:
    """Let a runner read the execution while it runs, which begins now at the latest."""
    at, executions = now(), collection_of(documents.Execution)
    begun = {"status": ActivityStatus.RUNNING.value, "start_timestamp": at, "updated_at": at}
    waiting = {"_id": execution_id, "status": {"$in": [ActivityStatus.PENDING.value, ActivityStatus.READY.value]}}
    await executions.update_one(waiting, {"$set": begun, "$inc": {"revision": 1}}, session=session)
    told = {"$addToSet": {"runners": key}}
    await executions.update_one({"_id": execution_id}, told, session=session)
    steps, untold = collection_of(documents.Step), {"runners": {"$ne": key}}
    await steps.update_many({"executionRef": execution_id} | untold, told, session=session)
    ids = await steps.distinct("_id", {"executionRef": execution_id}, session=session)
    await collection_of(documents.Output).update_many({"stepRef": {"$in": ids}} | untold, told, session=session)
