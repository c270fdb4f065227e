"""The schema version of a database and the lock of the migrating process: one document, in `schema_version`.

{_id: "schema", version: 1, step: {version: 2, position: {…}}, lock: {holder: "host-pid-…", expires_at: …}}

`step` exists while a step is under way, and after one was killed. The lock is a lease, timed by the database's clock.
"""

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError, PyMongoError

COLLECTION = "schema_version"
ID = "schema"
LEASE_TTL = 60.0
"""Seconds after which the lock of a process that was killed expires."""
RENEW_INTERVAL = 10.0
RETRY_INTERVAL = 1.0
"""Seconds between two attempts to acquire the lock."""

Database = AsyncDatabase[dict[str, Any]]


class SchemaError(Exception):
    """The database cannot be used by this release, or not be migrated; the message says what to do."""


class LockLost(SchemaError):
    """Another process has taken the lock over, after this one did not renew it in time."""

    def __init__(self) -> None:
        super().__init__("Another process migrates the database now: this one did not renew its lock in time.")


@dataclass(frozen=True)
class SchemaVersion:
    """The schema version and the migration under way, as a database stores them."""

    version: int
    holder: str | None = None
    """The process that migrates the database at the moment."""
    step: int | None = None
    """The target version of the step that is under way, or was killed."""
    position: dict[str, Any] = field(default_factory=dict)
    """The position at which the last batch of that step ended."""


async def read_version(database: Database) -> SchemaVersion | None:
    """The schema version that the database has recorded, None where it has none. Raises SchemaError where the record is
    invalid."""
    locked = {"$gt": ["$lock.expires_at", "$$NOW"]}
    row = await database[COLLECTION].find_one(
        {"_id": ID}, {"version": 1, "step": 1, "holder": "$lock.holder", "locked": locked}
    )
    if row is None:
        return None
    if not isinstance(row.get("version"), int):
        raise SchemaError(
            f"The document {ID!r} of {COLLECTION} holds no schema version: {row.get('version')!r:.80}. "
            "Restore the backup that was made before it was changed."
        )
    step = row.get("step") or {}
    holder = row.get("holder") if row["locked"] else None
    return SchemaVersion(row["version"], holder, step.get("version"), step.get("position", {}))


class Lock:
    """The right to migrate a database, held by this process."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.holder = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"

    async def acquire(self, version: int) -> bool:
        """Acquire the lock unless another process holds it; returns whether it was acquired.

        A database without a recorded version is at `version` from then on.
        """
        versions = self.database[COLLECTION]
        with suppress(DuplicateKeyError):
            await versions.update_one({"_id": ID}, {"$setOnInsert": {"version": version}}, upsert=True)
        free = {"$not": [{"$gt": ["$lock.expires_at", "$$NOW"]}]}
        result = await versions.update_one({"_id": ID, "$expr": free}, self._lease())
        return result.matched_count == 1

    async def renew(self) -> None:
        """Renew the lock for another lease. Raises LockLost."""
        await self._write(self._lease())

    async def record_position(self, step: int, position: dict[str, Any], session: AsyncClientSession) -> None:
        """Record where a batch of a step ends, in the batch's transaction. Raises LockLost."""
        await self._write({"$set": {"step": {"version": step, "position": position}}}, session)

    async def finish(self, version: int) -> None:
        """Record that the database is at `version`. Raises LockLost."""
        await self._write({"$set": {"version": version}, "$unset": {"step": ""}})

    async def release(self) -> None:
        """Release the lock, if it is still held."""
        await self.database[COLLECTION].update_one(self._own, {"$unset": {"lock": ""}})

    @property
    def _own(self) -> dict[str, Any]:
        return {"_id": ID, "lock.holder": self.holder}

    def _lease(self) -> list[dict[str, Any]]:
        expires_at = {"$add": ["$$NOW", int(LEASE_TTL * 1000)]}
        return [{"$set": {"lock": {"holder": {"$literal": self.holder}, "expires_at": expires_at}}}]

    async def _write(
        self, update: dict[str, Any] | list[dict[str, Any]], session: AsyncClientSession | None = None
    ) -> None:
        result = await self.database[COLLECTION].update_one(self._own, update, session=session)
        if not result.matched_count:
            raise LockLost


@asynccontextmanager
async def migration_lock(database: Database, version: int, on_wait: Callable[[], None]) -> AsyncIterator[Lock]:
    """Hold the lock within the block; `on_wait` is called once if another process holds it.

    A database without a recorded version is at `version` from then on. Raises LockLost where the lock was lost within
    the block, which is cancelled then.
    """
    lock = Lock(database)
    await _acquire(lock, version, on_wait)
    task = asyncio.current_task()
    assert task is not None
    renewal = asyncio.create_task(_renew(lock, task), name="migration-lock")
    try:
        yield lock
    except asyncio.CancelledError:
        if renewal.done() and not renewal.cancelled():
            task.uncancel()
            raise LockLost from None
        raise
    finally:
        renewal.cancel()
        await asyncio.gather(renewal, return_exceptions=True)
        with suppress(PyMongoError):
            await lock.release()


async def _acquire(lock: Lock, version: int, on_wait: Callable[[], None]) -> None:
    """Acquire the lock once its holder has released it or no longer renews it."""
    for attempt in count():
        if await lock.acquire(version):
            return
        if attempt == 0:
            on_wait()
        await asyncio.sleep(RETRY_INTERVAL)


async def _renew(lock: Lock, task: "asyncio.Task[Any]") -> None:
    """Renew the lock at intervals; once it is lost, cancel the task that relies on it and return."""
    loop = asyncio.get_running_loop()
    expires_at = loop.time() + LEASE_TTL
    while True:
        await asyncio.sleep(RENEW_INTERVAL)
        try:
            sent_at = loop.time()
            await lock.renew()
            expires_at = sent_at + LEASE_TTL
        except PyMongoError:
            if loop.time() < expires_at:
                continue
            break
        except LockLost:
            break
    task.cancel()
