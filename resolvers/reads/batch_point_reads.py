"""Point reads of concurrent requests, coalesced into one find.

The driver spends more on a find than the database does, so lookups of the same kind, projection and policy from one
tick of the event loop are sent together, and so are those that arrive while a find is under way. Nothing is cached: a
find begins after the last of its callers arrived.
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
    """A caller that waits for the rows of some values."""

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
    """Waiters whose reads can be made as one find."""

    path: str
    loop: asyncio.AbstractEventLoop
    on_empty: Callable[[], object]
    """Called when no caller waits any more."""
    waiting: list[Waiter] = field(default_factory=list)
    reading: "asyncio.Task[None] | None" = None
    """The last find, until its rows have arrived."""
    started_at: float | None = None
    """The start of that find, by the event loop's clock; None while the find is only scheduled."""

    def add(self, caller: Waiter) -> None:
        """Add a caller to the next find."""
        self.waiting.append(caller)
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

    def _pop_callers(self) -> list[Waiter]:
        callers_count = values_count = 0
        for caller in self.waiting:
            if callers_count and values_count + len(caller.values) > MAX_VALUES_PER_FIND:
                break
            callers_count, values_count = callers_count + 1, values_count + len(caller.values)
        callers, self.waiting = self.waiting[:callers_count], self.waiting[callers_count:]
        return callers

    async def _read(self) -> None:
        this, callers = self.reading, self._pop_callers()
        self.started_at = self.loop.time()
        values = list(dict.fromkeys(value for caller in callers for value in caller.values))
        rows: list[Row] = []
        failure = None
        try:
            rows = await callers[0].find(values)
        except Exception as error:
            failure = error
        if self.reading is this:
            if isinstance(failure, CONNECTION_ERRORS):
                # Waiters that came meanwhile would otherwise wait for the full timeout again.
                callers, self.waiting = callers + self.waiting, []
            self._start_next_find()
        if failure is None:
            by_value = {row[self.path]: row for row in rows}
            for caller in callers:
                caller.resolve({value: by_value[value] for value in caller.values if value in by_value})
        elif isinstance(failure, CONNECTION_ERRORS):
            for caller in callers:
                caller.fail(failure)
        else:
            # The error may be due to one caller's values, so each caller's values are read separately.
            await asyncio.gather(*(_read_separately(caller, self.path) for caller in callers))


async def _read_separately(caller: Waiter, path: str) -> None:
    try:
        caller.resolve({row[path]: row for row in await caller.find(caller.values)})
    except Exception as error:
        caller.fail(error)


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
    caller = Waiter(values, find, loop.create_future())
    queue.add(caller)
    left = remaining_timeout()
    return caller.rows if left is None else _within(left, caller.rows)


async def _within(seconds: float, rows: "asyncio.Future[dict[str, Row]]") -> dict[str, Row]:
    try:
        return await asyncio.wait_for(rows, seconds)
    except TimeoutError:
        raise timeout_error(seconds) from None
