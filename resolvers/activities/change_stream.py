"""Changes to executions and activities: one change stream wakes all listeners of a process.

The stream only wakes listeners. They read the state from the database each time, so a spurious wake does no harm, and
after a stream that could not be resumed all of them are woken once. An append of log lines writes to its activity too,
so the lines themselves need not be watched.
"""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import Context
from typing import Any

import structlog
from pymongo.asynchronous.change_stream import AsyncDatabaseChangeStream
from pymongo.errors import PyMongoError, ServerSelectionTimeoutError

import documents
from documents.outage import outage_of
from resolvers.concurrency.task_cancellation import is_cancelled
from resolvers.limits import MAX_SUBSCRIPTIONS
from resolvers.outage_log import count_outage
from resolvers.user_errors import LimitExceeded

WATCHED_DOCUMENTS = (documents.Execution, documents.Step, documents.Transform, documents.Ingestion)

OPEN_TIMEOUT = 6.0
"""Seconds for the database to open the change stream, which is enough to elect another primary."""
REOPEN_INTERVAL = 0.5
"""Seconds between two attempts at opening it."""
MAX_AWAIT_TIME_MS = 1000
"""How long the database keeps a `getMore` of the change stream open; shorter than all timeouts of the client."""
MIN_WAKE_INTERVAL = 0.1
"""Seconds between two wakes of one listener, however much changes."""
WAKE_INTERVAL_PER_LISTENER = 0.005
"""Further seconds between wakes for each listener of the process, several times the cost of answering one."""

READ_CONCURRENCY = 16
"""Concurrent reads: more would only open more connections, each of which costs as much as many reads."""

WRITE_OPERATIONS = ["insert", "update", "replace", "delete"]
CHANGED_FIELD_NAMES = {"$map": {"input": {"$objectToArray": "$updateDescription.updatedFields"}, "in": "$$this.k"}}
PROJECTION = {"documentKey": 1, "fullDocument.executionRef": 1, "fields": CHANGED_FIELD_NAMES}
LOG_APPEND_FIELDS = frozenset({"log_end", "log_late", "reports"})

log = structlog.stdlib.get_logger("resolvers.changes")
Change = dict[str, Any]


class Listener:
    """Waits for changes of one object, without counting them."""

    def __init__(self, wake_interval: Callable[[], float]) -> None:
        self._wake_interval = wake_interval
        self._changed = asyncio.Event()
        self._next_wake_at = 0.0

    def wake(self) -> None:
        """Signal that the object changed."""
        self._changed.set()

    async def wait(self, timeout: float) -> None:
        """Return once the object has changed since the last call, and after about `timeout` seconds in any case."""
        loop = asyncio.get_running_loop()
        try:
            # Randomised, so that listeners that began together do not read together for ever.
            async with asyncio.timeout(timeout * random.uniform(0.8, 1)):
                await self._changed.wait()
        except TimeoutError:
            pass
        await asyncio.sleep(max(0.0, self._next_wake_at - loop.time()))
        self._next_wake_at = loop.time() + self._wake_interval()
        # Before the caller reads: a change from here on may be missing in what it reads.
        self._changed.clear()


class ChangeFeed:
    """The listeners of a process, and the change stream, which is open while there is a listener."""

    def __init__(self) -> None:
        self.listener_count = 0
        self.read_slots = asyncio.Semaphore(READ_CONCURRENCY)
        """Taken while reading after a change, because all listeners are woken at once."""
        self._listeners: defaultdict[str, set[Listener]] = defaultdict(set)
        self._opened = asyncio.Event()
        self._stream_task: asyncio.Task[None] | None = None
        self._open_since: float | None = None

    @property
    def is_needed(self) -> bool:
        """Whether anything listens, so that the change stream should be open."""
        return self._stream_task is not None

    @property
    def open_seconds(self) -> float | None:
        """Seconds for which the change stream has been open; None while it is closed."""
        return None if self._open_since is None else time.monotonic() - self._open_since

    @asynccontextmanager
    async def listen(self, id: str) -> AsyncIterator[Listener]:
        """Listen to an execution and its steps, or to an activity and its log lines, until the block ends.

        No change is missed from the block's beginning on. Raises LimitExceeded, and ServerSelectionTimeoutError when
        the database does not answer.
        """
        if self.listener_count >= MAX_SUBSCRIPTIONS:
            raise LimitExceeded(f"{MAX_SUBSCRIPTIONS:,} subscriptions are open on this server, which is the maximum.")
        listener = Listener(self._wake_interval)
        self._join(id, listener)
        try:
            await self._open()
            yield listener
        finally:
            self._leave(id, listener)

    async def _open(self) -> None:
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                await self._opened.wait()
        except TimeoutError:
            raise ServerSelectionTimeoutError(
                f"No change stream could be opened within {OPEN_TIMEOUT:.0f} s."
            ) from None

    def _wake_interval(self) -> float:
        return MIN_WAKE_INTERVAL + WAKE_INTERVAL_PER_LISTENER * self.listener_count

    def _join(self, id: str, listener: Listener) -> None:
        self.listener_count += 1
        self._listeners[id].add(listener)
        if self._stream_task is None:
            self._opened = asyncio.Event()
            # In a context of its own: the stream outlives the request that opened it, and that request's deadline.
            self._stream_task = asyncio.create_task(self._run_stream(self._opened), context=Context())

    def _leave(self, id: str, listener: Listener) -> None:
        self.listener_count -= 1
        self._listeners[id].discard(listener)
        if not self._listeners[id]:
            del self._listeners[id]
        if not self._listeners and self._stream_task:
            self._stream_task.cancel()
            self._stream_task = None

    async def _run_stream(self, opened: asyncio.Event) -> None:
        token: Any = None
        while not is_cancelled():
            try:
                async with await _stream(token) as stream:
                    if token is None and opened.is_set():
                        self._wake_all()
                    opened.set()
                    with self._noting_open():
                        while stream.alive and not is_cancelled():
                            change = await stream.try_next()
                            token = stream.resume_token
                            if change is not None:
                                self._wake_listeners(change)
                # The watched database was dropped, so the stream cannot be resumed.
                token = None
            except PyMongoError as error:
                count_outage("the change stream broke off", error)
                if outage_of(error):
                    # The stream resumes where it stopped. If the database stays away, the listeners must find out.
                    self._wake_all()
                else:
                    # The resume point is lost, so every listener has to read the state again.
                    token = None
            await asyncio.sleep(REOPEN_INTERVAL)

    @contextmanager
    def _noting_open(self) -> Iterator[None]:
        """Note that the change stream is open for as long as the block lasts."""
        self._open_since = opened_at = time.monotonic()
        try:
            yield
        finally:
            # The next stream may be open before this one is closed.
            if self._open_since == opened_at:
                self._open_since = None

    def _wake_listeners(self, change: Change) -> None:
        ids = {change["documentKey"]["_id"]}
        fields = frozenset(change.get("fields") or ())
        # Log lines are not shown with an execution, so an append to a step does not wake its listeners.
        if not (fields & {"log_end", "log_late"} and fields <= LOG_APPEND_FIELDS):
            ids.add((change.get("fullDocument") or {}).get("executionRef"))
        for id in ids:
            for listener in self._listeners.get(id, ()):
                listener.wake()

    def _wake_all(self) -> None:
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.wake()


async def _stream(token: Any) -> AsyncDatabaseChangeStream[Change]:
    database = WATCHED_DOCUMENTS[0].get_pymongo_collection().database
    names = [document.collection_name() for document in WATCHED_DOCUMENTS]
    match = {"ns.coll": {"$in": names}, "operationType": {"$in": WRITE_OPERATIONS}}
    return await database.watch(
        [{"$match": match}, {"$project": PROJECTION}],
        full_document="updateLookup",
        resume_after=token,
        max_await_time_ms=MAX_AWAIT_TIME_MS,
    )
