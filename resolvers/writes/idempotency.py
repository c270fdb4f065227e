"""Idempotency keys: work is done once, and repeated calls get its outcome, as far as the viewer may still see it.

A key is reserved by a unique insert before the work begins, and the outcome is kept with it in the transaction of the
work itself: whatever happens in between, the work is done once or not at all.
"""

import asyncio
import hashlib
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError, PyMongoError

import documents
from documents.base import kind_of, now
from documents.mongo.fast_find import seconds_left
from documents.outage import outage_of
from resolvers.access.viewer import Viewer
from resolvers.reads import fetch
from resolvers.reads.fetch import Row, collection_of
from resolvers.user_errors import IdempotencyMismatch, InProgress, InvalidInput, NotFound, Refusals

Session = AsyncClientSession
Outcome = dict[str, Any]
"""The objects that a mutation wrote, by the payload's field: a row, a list of rows, or a plain value."""
Kept = dict[str, Any]
"""An outcome as stored, with ids in place of rows."""
Keep = Callable[[Outcome, Session], Awaitable[None]]
Repeat = Callable[[Viewer, Kept], Awaitable[Outcome]]
"""Returns the outcome for a repeated call."""

LEASE = timedelta(seconds=60)
"""How long a call may run under a key before another may take it over."""

PATIENCE = 6.0
"""Seconds that a repeated call waits for the first one to end: fewer than a request has with the database."""

RELEASED_WITHIN = 1.0
"""Seconds that a failed call waits until its key is free, within its deadline; otherwise the key becomes free later."""
RELEASE_PAUSE = 0.5
"""Seconds between attempts to free a key, while the database is away."""
MAX_RELEASING = 200
"""Keys that are being freed by retries; further ones become free when their leases lapse."""

LONGEST_KEY = 255


_releasing: set["asyncio.Task[Any]"] = set()


class NothingWritten(Exception):
    """There was nothing to do, so no outcome is stored: the next call with the key counts as the first."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


async def show_again(viewer: Viewer, kept: Kept) -> Outcome:
    """The outcome with its current rows.

    Raises Refusals when a row is gone, or the viewer may no longer see it.
    """
    ids = list(dict.fromkeys(_rows_in(kept)))
    found = await _readable_rows(ids, viewer)
    if hidden := [id for id in ids if id not in found]:
        raise Refusals([NotFound(_noun(id), id, "idempotencyKey") for id in hidden])
    outcome: Outcome = _restored(kept, found)
    return outcome


async def _readable_rows(ids: list[str], viewer: Viewer) -> dict[str, Row]:
    """The rows that the viewer may see, by id."""
    wanted: defaultdict[type[documents.Document], list[str]] = defaultdict(list)
    for id in ids:
        if document := documents.by_kind(id):
            wanted[document].append(id)
    found: dict[str, Row] = {}
    for document, some in wanted.items():
        found |= await fetch.by_ids(document, some, fetch.WHOLE, viewer)
    return found


def _noun(id: str) -> str:
    document = documents.by_kind(id)
    return document.__name__ if document else kind_of(id)


@dataclass(frozen=True)
class KeyedCall:
    """A call of a mutation under an idempotency key."""

    viewer: Viewer
    reservation: documents.Reservation
    repeat: Repeat = show_again

    async def run(self, work: Callable[[Keep], Awaitable[Outcome]]) -> Outcome:
        """Do `work` and store its outcome, or return the outcome of an earlier call.

        Raises IdempotencyMismatch, InProgress, and the errors of `work` and `repeat`.
        """
        try:
            earlier = await self._reserve()
            if earlier is None:
                return await work(self._keep)
        except NothingWritten as nothing:
            await self._release()
            return nothing.outcome
        except BaseException:
            await self._release()
            raise
        return await self.repeat(self.viewer, earlier)

    async def is_known(self) -> bool:
        """Whether the key was reserved, by this call or another."""
        return await _reservations().find_one({"_id": self.reservation.id}, {"_id": 1}) is not None

    async def _keep(self, outcome: Outcome, session: Session) -> None:
        held = {"_id": self.reservation.id, "holder": self.reservation.holder}
        kept = await _reservations().update_one(held, {"$set": {"outcome": _portable(outcome)}}, session=session)
        if not kept.matched_count:
            raise InProgress("Another call with this idempotencyKey took over.", "idempotencyKey")

    async def _reserve(self) -> Kept | None:
        """Reserve the key for this call and return None, or return the outcome of the call that had it first."""
        for wait in _waits():
            try:
                await self.reservation.insert()
            except DuplicateKeyError:
                held = await _reservations().find_one({"_id": self.reservation.id})
            else:
                return None
            if held is None:
                continue
            if held["fingerprint"] != self.reservation.fingerprint:
                raise IdempotencyMismatch("This idempotencyKey was used before, with another input.", "idempotencyKey")
            if held["outcome"] is not None:
                found: Kept = held["outcome"]
                return found
            if await _taken_over(held, self.reservation):
                return None
            await asyncio.sleep(wait)
        raise InProgress("The first call with this idempotencyKey is still running; try again later.", "idempotencyKey")

    async def _release(self) -> None:
        """Free the key for another attempt, if this call holds it and wrote nothing under it."""
        unused = {"_id": self.reservation.id, "holder": self.reservation.holder, "outcome": None}
        # In a context of its own: the request's deadline for the database may be over.
        tried = asyncio.Event()
        task = asyncio.get_running_loop().create_task(_delete(unused, tried), context=Context())
        _releasing.add(task)
        task.add_done_callback(_released)
        left = seconds_left()
        with suppress(TimeoutError):
            async with asyncio.timeout(RELEASED_WITHIN if left is None else min(RELEASED_WITHIN, left)):
                await tried.wait()


def keyed_call(viewer: Viewer, mutation: str, inputs: dict[str, Any], key: str, repeat: Repeat) -> KeyedCall:
    """A call under a key, which belongs to the viewer and the mutation. Raises InvalidInput."""
    if not 1 <= len(key) <= LONGEST_KEY:
        raise InvalidInput(f"idempotencyKey must have 1 to {LONGEST_KEY} characters, not {len(key)}.", "idempotencyKey")
    scope = json.dumps([viewer.role.value, viewer.user_id, viewer.token_id, mutation, key])
    canonical = json.dumps(inputs, sort_keys=True, default=str)
    reservation = documents.Reservation(
        id=f"reservation_{hashlib.sha256(scope.encode()).hexdigest()}",
        fingerprint=hashlib.sha256(canonical.encode()).hexdigest(),
        holder=str(ObjectId()),
        lease_expires_at=now() + LEASE,
    )
    return KeyedCall(viewer, reservation, repeat)


async def _delete(unused: dict[str, Any], tried: asyncio.Event) -> None:
    """Delete a reservation, retrying until its lease lapses while the database is away; sets an event after the first
    attempt."""
    lapses = asyncio.get_running_loop().time() + LEASE.total_seconds()
    while True:
        try:
            await _reservations().delete_one(unused)
        except PyMongoError as error:
            late = asyncio.get_running_loop().time() > lapses or len(_releasing) > MAX_RELEASING
            if late or outage_of(error) is None:
                raise
        else:
            return
        finally:
            tried.set()
        await asyncio.sleep(RELEASE_PAUSE)


def _released(task: "asyncio.Task[Any]") -> None:
    _releasing.discard(task)
    if not task.cancelled():
        # While the database is away, the key becomes free when its lease lapses.
        task.exception()


def _waits() -> list[float]:
    waits = [0.01 * 1.5**n for n in range(9)]
    return waits + [0.4] * int((PATIENCE - sum(waits)) / 0.4)


async def _taken_over(held: Row, reservation: documents.Reservation) -> bool:
    """Take over the key of a silent call; returns whether that was possible."""
    lapsed = {"_id": held["_id"], "holder": held["holder"], "outcome": None, "leaseExpiresAt": {"$lt": now()}}
    ours = {"holder": reservation.holder, "leaseExpiresAt": reservation.lease_expires_at}
    taken = await _reservations().update_one(lapsed, {"$set": ours})
    return bool(taken.modified_count)


def _reservations() -> Any:
    return collection_of(documents.Reservation)


def _portable(outcome: Any) -> Any:
    """An outcome with ids in place of rows, and for an activity also its attempt."""
    if isinstance(outcome, list):
        return [_portable(one) for one in outcome]
    if isinstance(outcome, dict) and "_id" in outcome:
        return {"row": outcome["_id"]} | ({"attempt": outcome["attempt"]} if "attempt" in outcome else {})
    if isinstance(outcome, dict):
        return {"values": {name: _portable(one) for name, one in outcome.items()}}
    return outcome


def _rows_in(kept: Any) -> Iterator[str]:
    """The ids that stand for rows."""
    if isinstance(kept, list):
        for one in kept:
            yield from _rows_in(one)
    elif isinstance(kept, dict) and "row" in kept:
        yield kept["row"]
    elif isinstance(kept, dict):
        yield from _rows_in(list(kept["values"].values()))


def _restored(kept: Any, rows: dict[str, Row]) -> Any:
    """An outcome with rows in place of their ids."""
    if isinstance(kept, list):
        return [_restored(one, rows) for one in kept]
    if isinstance(kept, dict) and "row" in kept:
        return rows[kept["row"]]
    if isinstance(kept, dict):
        return {name: _restored(one, rows) for name, one in kept["values"].items()}
    return kept
