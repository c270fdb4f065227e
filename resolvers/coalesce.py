"""Point reads of concurrent requests, made as one find.

The driver spends more on a find than the database does, so look-ups of the same kind, projection and policy that are
asked for in one tick of the event loop go out together, and so do those that are asked for while a find is on its way.
Nothing is kept: a find begins after its last caller asked.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pymongo.errors import ConnectionFailure, ExecutionTimeout

from documents.direct import seconds_left, silence

Row = dict[str, Any]
Find = Callable[[list[str]], Awaitable[list[Row]]]
"""Values of the key to the rows that have them."""

AWAY = (ConnectionFailure, ExecutionTimeout)
"""Errors that no caller's values are to blame for."""
PATIENCE = 0.005
"""Seconds that a find may be on its way before those who ask do not wait for it: the database may be far, or silent."""

MOST_VALUES = 1_000
"""Values in one find; callers beyond it wait for the next."""


@dataclass
class Caller:
    """Somebody who waits for the rows of some values."""

    values: list[str]
    find: Find
    rows: "asyncio.Future[dict[str, Row]]"

    def tell(self, rows: dict[str, Row]) -> None:
        """Give them their rows, unless they have left."""
        if not self.rows.done():
            self.rows.set_result(rows)

    def fail(self, error: Exception) -> None:
        """Tell them why there are none."""
        if not self.rows.done():
            self.rows.set_exception(error)


@dataclass
class Queue:
    """Callers whose reads can be made as one."""

    path: str
    loop: asyncio.AbstractEventLoop
    forget: Callable[[], object]
    """Called when nobody waits any more."""
    waiting: list[Caller] = field(default_factory=list)
    reading: "asyncio.Task[None] | None" = None
    """The last find, until its rows have come."""
    begun: float | None = None
    """When it began, by the clock of the loop; None while it waits for its turn."""

    def add(self, caller: Caller) -> None:
        """Let a caller wait for the next find."""
        self.waiting.append(caller)
        if self.reading is None or self._is_late():
            self._begin()

    def _is_late(self) -> bool:
        return self.begun is not None and self.loop.time() - self.begun > PATIENCE

    def _begin(self) -> None:
        """Begin a find in the next turn of the loop, for everybody who asks until then."""
        self.begun = None
        # It is nobody's own, so it has nobody's deadline.
        self.reading = self.loop.create_task(self._read(), context=Context())

    def _end(self) -> None:
        """Go on with those who wait, before the callers of the last find do, so that the database is at work."""
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
                # Whoever came meanwhile would wait as long once more.
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
            # Which caller's values were at fault is not known, so each finds out alone.
            await asyncio.gather(*(_alone(caller, self.path) for caller in callers))


async def _alone(caller: Caller, path: str) -> None:
    try:
        caller.tell({row[path]: row for row in await caller.find(caller.values)})
    except Exception as error:
        caller.fail(error)


_queues: dict[Hashable, Queue] = {}
"""Those in which somebody waits, each of one event loop."""


def coalesced(key: Hashable, path: str, values: list[str], find: Find) -> Awaitable[dict[str, Row]]:
    """The rows by their value at `path`, which is unique and among what `find` reads.

    `key` is equal for callers whose `find` differs in nothing but the values. An error fails only its own callers,
    unless it is that the database is away. Raises NetworkTimeout when the time is over that the caller has for it.
    """
    loop = asyncio.get_running_loop()
    queue = _queues.get((loop, key))
    if queue is None:
        queue = _queues[loop, key] = Queue(path, loop, partial(_queues.pop, (loop, key)))
    caller = Caller(values, find, loop.create_future())
    queue.add(caller)
    left = seconds_left()
    return caller.rows if left is None else _within(left, caller.rows)


async def _within(seconds: float, rows: "asyncio.Future[dict[str, Row]]") -> dict[str, Row]:
    try:
        return await asyncio.wait_for(rows, seconds)
    except TimeoutError:
        raise silence(seconds) from None
