"""Idempotency keys: work is done once, and repeated calls get its outcome, as far as the viewer may still see it.

A key is reserved by a unique insert before the work begins, and the outcome is stored with it in the transaction of the
work itself: whatever happens in between, the work is done once or not at all.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bson import ObjectId
from pymongo.errors import DuplicateKeyError, PyMongoError

import documents
from documents.backoff import backoff_delays
from documents.base import now
from documents.mongo.fast_find import remaining_timeout
from documents.mongo.transaction import Session
from resolvers.access.roles import refuse_anonymous
from resolvers.access.viewer import Viewer
from resolvers.reads.rows import Row, collection_of
from resolvers.user_errors import IdempotencyMismatch, InProgress, InvalidInput
from resolvers.writes.stored_outcome import StoredOutcome, load_outcome, serialize_outcome
from resolvers.writes.transaction import Outcome, Work, run_in_transaction

StoreOutcome = Callable[[Outcome, Session], Awaitable[None]]
Repeat = Callable[[Viewer, StoredOutcome], Awaitable[Outcome]]
"""Returns the outcome for a repeated call."""
Precheck = Callable[[], Awaitable[None]]
"""A check that takes too long for a transaction and runs before it begins."""

LEASE_TTL = timedelta(seconds=60)
"""How long a call may run under a key before another may take it over."""

WAIT_TIMEOUT = 6.0
"""Seconds that a repeated call waits for the first one to end: fewer than a request has with the database."""

MIN_POLL_INTERVAL, MAX_POLL_INTERVAL = 0.01, 0.4
"""Seconds between its looks at the first call."""

RELEASE_TIMEOUT = 1.0
"""Seconds that a failed call waits until its key is free, within its deadline; otherwise the key becomes free later."""
RELEASE_RETRY_INTERVAL = 0.5
"""Seconds between attempts to free a key."""
MAX_RELEASES = 200
"""Keys that are being freed by retries; further ones become free when their leases expire."""

MAX_KEY_LENGTH = 255

_releases: set["asyncio.Task[Any]"] = set()
"""The keys that are being freed."""


class NothingWritten(Exception):
    """There was nothing to do, so no outcome is stored: the next call with the key counts as the first."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


@dataclass(frozen=True)
class KeyedCall:
    """A call of a mutation under an idempotency key."""

    viewer: Viewer
    reservation: documents.IdempotencyKey
    repeat: Repeat = load_outcome

    async def run(self, work: Callable[[StoreOutcome], Awaitable[Outcome]]) -> Outcome:
        """Do `work` and store its outcome, or return the outcome of an earlier call.

        Raises IdempotencyMismatch, InProgress, and the errors of `work` and `repeat`.
        """
        try:
            earlier = await self._reserve()
            if earlier is None:
                return await work(self._store_outcome)
        except NothingWritten as nothing:
            await self._release_key()
            return nothing.outcome
        except BaseException:
            await self._release_key()
            raise
        return await self.repeat(self.viewer, earlier)

    async def is_known(self) -> bool:
        """Whether the key was reserved, by this call or another."""
        return await _reservations().find_one({"_id": self.reservation.id}, {"_id": 1}) is not None

    async def _store_outcome(self, outcome: Outcome, session: Session) -> None:
        own = {"_id": self.reservation.id, "holder": self.reservation.holder}
        result = await _reservations().update_one(
            own, {"$set": {"outcome": serialize_outcome(outcome)}}, session=session
        )
        if not result.matched_count:
            raise InProgress("Another call with this idempotencyKey took over.", "idempotencyKey")

    async def _reserve(self) -> StoredOutcome | None:
        """Reserve the key for this call and return None, or return the outcome of the call that had it first."""
        for delay in backoff_delays(MIN_POLL_INTERVAL, MAX_POLL_INTERVAL, total=WAIT_TIMEOUT):
            try:
                await self.reservation.insert()
            except DuplicateKeyError:
                earlier = await _reservations().find_one({"_id": self.reservation.id})
            else:
                return None
            if earlier is None:
                continue
            if earlier["fingerprint"] != self.reservation.fingerprint:
                raise IdempotencyMismatch("This idempotencyKey was used before, with another input.", "idempotencyKey")
            if earlier["outcome"] is not None:
                outcome: StoredOutcome = earlier["outcome"]
                return outcome
            if await _take_over_expired(earlier, self.reservation):
                return None
            await asyncio.sleep(delay)
        raise InProgress("The first call with this idempotencyKey is still running; try again later.", "idempotencyKey")

    async def _release_key(self) -> None:
        """Free the key for another attempt, if this call holds it and wrote nothing under it."""
        unused = {"_id": self.reservation.id, "holder": self.reservation.holder, "outcome": None}
        # In a context of its own: the request's deadline for the database may be over.
        attempted = asyncio.Event()
        task = asyncio.get_running_loop().create_task(_delete_with_retries(unused, attempted), context=Context())
        _releases.add(task)
        task.add_done_callback(_end_release)
        left = remaining_timeout()
        with suppress(TimeoutError):
            async with asyncio.timeout(RELEASE_TIMEOUT if left is None else min(RELEASE_TIMEOUT, left)):
                await attempted.wait()


def keyed_call(viewer: Viewer, mutation: str, inputs: dict[str, Any], key: str, repeat: Repeat) -> KeyedCall:
    """A call under a key, which belongs to the viewer and the mutation. Raises InvalidInput."""
    if not 1 <= len(key) <= MAX_KEY_LENGTH:
        raise InvalidInput(
            f"idempotencyKey must have 1 to {MAX_KEY_LENGTH} characters, not {len(key)}.", "idempotencyKey"
        )
    scope = json.dumps([viewer.role.value, viewer.user_id, viewer.token_id, mutation, key])
    canonical = json.dumps(inputs, sort_keys=True, default=str)
    reservation = documents.IdempotencyKey(
        id=f"reservation_{hashlib.sha256(scope.encode()).hexdigest()}",
        fingerprint=hashlib.sha256(canonical.encode()).hexdigest(),
        holder=str(ObjectId()),
        lease_expires_at=now() + LEASE_TTL,
    )
    return KeyedCall(viewer, reservation, repeat)


async def run_idempotent(
    viewer: Viewer,
    mutation: str,
    inputs: dict[str, Any],
    key: str | None,
    work: Work,
    *,
    precheck: Precheck | None = None,
    repeat: Repeat = load_outcome,
) -> Outcome:
    """Run `work` in a transaction and return its outcome; with a `key`, the first call's as `repeat` shows it."""
    refuse_anonymous(viewer)
    if key is not None:
        return await run_once_in_transaction(keyed_call(viewer, mutation, inputs, key, repeat), work, precheck)
    if precheck:
        await precheck()
    return await run_in_transaction(work)


async def run_once_in_transaction(call: KeyedCall, work: Work, precheck: Precheck | None = None) -> Outcome:
    """Run `work`, unless an earlier call did under the same key; the outcome is stored in the work's transaction."""

    async def run(store: StoreOutcome) -> Outcome:
        if precheck:
            await precheck()

        async def work_and_store(session: Session) -> Outcome:
            outcome = await work(session)
            await store(outcome, session)
            return outcome

        return await run_in_transaction(work_and_store)

    return await call.run(run)


async def _delete_with_retries(unused: dict[str, Any], attempted: asyncio.Event) -> None:
    """Delete a reservation, retrying until its lease expires; sets an event after the first attempt.

    Any failure is retried: the database may be away, or an operator may have killed the session.
    """
    expires = asyncio.get_running_loop().time() + LEASE_TTL.total_seconds()
    while True:
        try:
            await _reservations().delete_one(unused)
        except PyMongoError:
            if asyncio.get_running_loop().time() > expires or len(_releases) > MAX_RELEASES:
                raise
        else:
            return
        finally:
            attempted.set()
        await asyncio.sleep(RELEASE_RETRY_INTERVAL)


def _end_release(task: "asyncio.Task[Any]") -> None:
    _releases.discard(task)
    if not task.cancelled():
        # While the database is away, the key becomes free when its lease expires.
        task.exception()


async def _take_over_expired(earlier: Row, reservation: documents.IdempotencyKey) -> bool:
    """Take over the key of a silent call; returns whether that was possible."""
    expired = {"_id": earlier["_id"], "holder": earlier["holder"], "outcome": None, "leaseExpiresAt": {"$lt": now()}}
    own = {"holder": reservation.holder, "leaseExpiresAt": reservation.lease_expires_at}
    result = await _reservations().update_one(expired, {"$set": own})
    return bool(result.modified_count)


def _reservations() -> Any:
    return collection_of(documents.IdempotencyKey)
