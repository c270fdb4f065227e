"""Point reads of concurrent requests, coalesced into one find.

The driver spends more on a find than the database does, so lookups of the same kind, projection and policy from one
tick of the event loop are sent together, and so are those that arrive while a find is under way. Nothing is cached: a
find starts after the last of its callers arrived.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pymongo.errors import ConnectionFailure, ExecutionTimeout

from documents.mongo.fast_find import remaining_timeout, timeout_error

Row = dict[str, Any]
Find = Callable[[list[str]], Awaitable[list[Row]]]
"""Finds the rows that have these values of the key."""

CONNECTION_ERRORS = (ConnectionFailure, ExecutionTimeout)
"""Errors that do not depend on a caller's values."""
MAX_WAIT_BEHIND_FIND = 0.005
"""Seconds after which new callers no longer wait for a find under way: the database may be far, or silent."""

MAX_VALUES_PER_FIND = 1_000
"""Values in one find; callers beyond it wait for the next."""


@dataclass
class Waiter:
    """A caller that waits for the rows of its values."""

    values: list[str]
    find: Find
    rows: "asyncio.Future[dict[str, Row]]"

    def resolve(self, rows: dict[str, Row]) -> None:
        """Deliver the rows, unless the caller has left."""
        if not self.rows.done():
            self.rows.set_result(rows)

    def fail(self, error: Exception) -> None:
        """Deliver an error."""
        if not self.rows.done():
            self.rows.set_exception(error)


@dataclass
class CoalescingQueue:
    """Callers whose reads can be made as one find."""

    path: str
    loop: asyncio.AbstractEventLoop
    on_empty: Callable[[], object]
    """Called when no caller waits any more."""
    waiting: list[Waiter] = field(default_factory=list)
    reading: "asyncio.Task[None] | None" = None
    """The last find, until its rows have arrived."""
    started_at: float | None = None
    """The start of that find, by the event loop's clock; None while the find is only scheduled."""

    def add(self, waiter: Waiter) -> None:
        """Add a caller to the next find."""
        self.waiting.append(waiter)
        if self.reading is None or self._is_late():
            self._schedule_find()

    def _is_late(self) -> bool:
        return self.started_at is not None and self.loop.time() - self.started_at > MAX_WAIT_BEHIND_FIND

    def _schedule_find(self) -> None:
        """Start a find in the next iteration of the event loop, for all callers until then."""
        self.started_at = None
        # The task serves several requests, so it must not inherit one caller's `pymongo.timeout`.
        self.reading = self.loop.create_task(self._read(), context=Context())

    def _start_next_find(self) -> None:
        """Start the next find before the callers of the last one continue, so that the database stays busy."""
        self.reading = self.started_at = None
        if self.waiting:
            self._schedule_find()
        else:
            self.on_empty()

    def _pop_waiters(self) -> list[Waiter]:
        waiters_count = values_count = 0
        for waiter in self.waiting:
            if waiters_count and values_count + len(waiter.values) > MAX_VALUES_PER_FIND:
                break
            waiters_count, values_count = waiters_count + 1, values_count + len(waiter.values)
        waiters, self.waiting = self.waiting[:waiters_count], self.waiting[waiters_count:]
        return waiters

    async def _read(self) -> None:
        this, waiters = self.reading, self._pop_waiters()
        self.started_at = self.loop.time()
        values = list(dict.fromkeys(value for waiter in waiters for value in waiter.values))
        rows: list[Row] = []
        failure = None
        try:
            rows = await waiters[0].find(values)
        except Exception as error:
            failure = error
        if self.reading is this:
            if isinstance(failure, CONNECTION_ERRORS):
                # Callers that came meanwhile would otherwise wait for the full timeout again.
                waiters, self.waiting = waiters + self.waiting, []
            self._start_next_find()
        if failure is None:
            by_value = {row[self.path]: row for row in rows}
            for waiter in waiters:
                waiter.resolve({value: by_value[value] for value in waiter.values if value in by_value})
        elif isinstance(failure, CONNECTION_ERRORS):
            for waiter in waiters:
                waiter.fail(failure)
        else:
            # The error may be due to one caller's values, so each caller's values are read separately.
            await asyncio.gather(*(_read_separately(waiter, self.path) for waiter in waiters))


async def _read_separately(waiter: Waiter, path: str) -> None:
    try:
        waiter.resolve({row[path]: row for row in await waiter.find(waiter.values)})
    except Exception as error:
        waiter.fail(error)


_queues: dict[Hashable, CoalescingQueue] = {}
"""The queues with waiting callers, each of one event loop."""


def coalesce(key: Hashable, path: str, values: list[str], find: Find) -> Awaitable[dict[str, Row]]:
    """The rows by their value at `path`, a unique field that `find` reads.

    `key` is equal for callers whose finds differ only in the values. An error fails only its own callers,
    unless the database is away. Raises NetworkTimeout at the caller's deadline.
    """
    loop = asyncio.get_running_loop()
    queue = _queues.get((loop, key))
    if queue is None:
        queue = _queues[loop, key] = CoalescingQueue(path, loop, partial(_queues.pop, (loop, key)))
    waiter = Waiter(values, find, loop.create_future())
    queue.add(waiter)
    left = remaining_timeout()
    return waiter.rows if left is None else _within(left, waiter.rows)


async def _within(seconds: float, rows: "asyncio.Future[dict[str, Row]]") -> dict[str, Row]:
    try:
        return await asyncio.wait_for(rows, seconds)
    except TimeoutError:
        raise timeout_error(seconds) from None
