"""Point reads of concurrent requests, made as one find.

The driver spends more on a find than the database does, so look-ups of the same kind, projection and policy from one
tick of the event loop are sent together, and so are those that arrive while a find is under way. Nothing is cached: a
find begins after its last caller asked.
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

AWAY = (ConnectionFailure, ExecutionTimeout)
"""Errors that do not depend on a caller's values."""
PATIENCE = 0.005
"""Seconds after which new callers no longer wait for a find under way: the database may be far, or silent."""

MOST_VALUES = 1_000
"""Values in one find; callers beyond it wait for the next."""


@dataclass
class Caller:
    """A caller that waits for the rows of some values."""

    values: list[str]
    find: Find
    rows: "asyncio.Future[dict[str, Row]]"

    def tell(self, rows: dict[str, Row]) -> None:
        """Deliver the rows, unless the caller has left."""
        if not self.rows.done():
            self.rows.set_result(rows)

    def fail(self, error: Exception) -> None:
        """Deliver an error."""
        if not self.rows.done():
            self.rows.set_exception(error)


@dataclass
class Queue:
    """Callers whose reads can be made as one find."""

    path: str
    loop: asyncio.AbstractEventLoop
    forget: Callable[[], object]
    """Called when no caller waits any more."""
    waiting: list[Caller] = field(default_factory=list)
    reading: "asyncio.Task[None] | None" = None
    """The last find, until its rows have arrived."""
    begun: float | None = None
    """The start of that find, by the event loop's clock; None while it waits for its turn."""

    def add(self, caller: Caller) -> None:
        """Add a caller to the next find."""
        self.waiting.append(caller)
        if self.reading is None or self._is_late():
            self._begin()

    def _is_late(self) -> bool:
        return self.begun is not None and self.loop.time() - self.begun > PATIENCE

    def _begin(self) -> None:
        """Begin a find in the next iteration of the event loop, for all callers until then."""
        self.begun = None
        # The task serves several requests, so it must not inherit one caller's `pymongo.timeout`.
        self.reading = self.loop.create_task(self._read(), context=Context())

    def _end(self) -> None:
        """Start the next find before the callers of the last one continue, so that the database stays busy."""
        self.reading = self.begun = None
        if self.waiting:
            self._begin()
        else:
            self.forget()

    def _next(self) -> list[Caller]:
        taken = count = 0
        for caller in self.waiting:
            if taken and count + len(caller.values) > MOST_VALUES:
                break
            taken, count = taken + 1, count + len(caller.values)
        callers, self.waiting = self.waiting[:taken], self.waiting[taken:]
        return callers

    async def _read(self) -> None:
        this, callers = self.reading, self._next()
        self.begun = self.loop.time()
        values = list(dict.fromkeys(value for caller in callers for value in caller.values))
        rows: list[Row] = []
        failure = None
        try:
            rows = await callers[0].find(values)
        except Exception as error:
            failure = error
        if self.reading is this:
            if isinstance(failure, AWAY):
                # Callers that came meanwhile would otherwise wait for the full timeout again.
                callers, self.waiting = callers + self.waiting, []
            self._end()
        if failure is None:
            found = {row[self.path]: row for row in rows}
            for caller in callers:
                caller.tell({value: found[value] for value in caller.values if value in found})
        elif isinstance(failure, AWAY):
            for caller in callers:
                caller.fail(failure)
        else:
            # Which caller's values caused the error is unknown, so each value set is read alone.
            await asyncio.gather(*(_alone(caller, self.path) for caller in callers))


async def _alone(caller: Caller, path: str) -> None:
    try:
        caller.tell({row[path]: row for row in await caller.find(caller.values)})
    except Exception as error:
        caller.fail(error)


_queues: dict[Hashable, Queue] = {}
"""The queues with waiting callers, each of one event loop."""


def coalesced(key: Hashable, path: str, values: list[str], find: Find) -> Awaitable[dict[str, Row]]:
    """The rows by their value at `path`, which is unique and among the fields that `find` reads.

    `key` is equal for callers whose `find` differs in nothing but the values. An error fails only its own callers,
    unless the database is away. Raises NetworkTimeout at the caller's deadline.
    """
    loop = asyncio.get_running_loop()
    queue = _queues.get((loop, key))
    if queue is None:
        queue = _queues[loop, key] = Queue(path, loop, partial(_queues.pop, (loop, key)))
    caller = Caller(values, find, loop.create_future())
    queue.add(caller)
    left = remaining_timeout()
    return caller.rows if left is None else _within(left, caller.rows)


async def _within(seconds: float, rows: "asyncio.Future[dict[str, Row]]") -> dict[str, Row]:
    try:
        return await asyncio.wait_for(rows, seconds)
    except TimeoutError:
        raise timeout_error(seconds) from None
