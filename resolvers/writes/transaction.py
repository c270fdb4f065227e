"""Transactions of mutations: their locks, and retries when a concurrent write of the same object came first."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from contextvars import ContextVar
from typing import Any

from documents.mongo.transaction import Session, in_transaction
from resolvers.concurrency.keyed_lock import is_in_use, keyed_lock

Outcome = dict[str, Any]
"""The objects that a mutation wrote, by the payload's field: a row, a list of rows, or a plain value."""
Work = Callable[[Session], Awaitable[Outcome]]


class RetryTransaction(Exception):
    """A concurrent write of the same object came first, so the work must read it again."""


class LockRequired(Exception):
    """The lock that a write requires is in use: wait for it, and begin again."""

    def __init__(self, key: tuple[str, ...]) -> None:
        super().__init__(*key)
        self.key = key


class WriteLock(AsyncExitStack):
    """The lock of a write, from where the write requires it until its transaction has ended."""

    key: tuple[str, ...] | None = None

    async def acquire(self, key: tuple[str, ...]) -> None:
        """Wait for the lock with this key, and hold it."""
        await self.enter_async_context(keyed_lock(*key))
        self.key = key


_lock: ContextVar[WriteLock] = ContextVar("_lock")


async def require_lock(*key: str) -> None:
    """Let no other write of this process run under the same key until this one has ended: see `keyed_lock`.

    Call it before the first read. While the lock is in use, the transaction ends and begins again: waiting within it
    would use up its time, and could not be cancelled.
    """
    lock = _lock.get()
    if lock.key == key:
        return
    if is_in_use(*key):
        raise LockRequired(key)
    await lock.acquire(key)


async def run_in_transaction(work: Work) -> Outcome:
    """Run `work` in a transaction, under the lock that it requires, and return its outcome; retried when a concurrent
    write of the same object came first."""
    async with WriteLock() as lock:
        token = _lock.set(lock)
        try:
            return await _run_with_retries(work)
        except LockRequired as required:
            await lock.acquire(required.key)
            return await _run_with_retries(work)
        finally:
            _lock.reset(token)


async def _run_with_retries(work: Work) -> Outcome:
    for _ in range(5):
        try:
            return await in_transaction(work)
        except RetryTransaction:
            continue
    return await in_transaction(work)
