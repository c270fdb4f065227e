"""Waiting for changes to executions and activities: one change stream serves all waiters of a process.

The stream only wakes waiters. The state is read from the database each time, so a spurious wake does no harm, and after
a stream that could not be resumed all waiters are woken once. An append of log lines writes to its activity too, so the
lines themselves need not be watched.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any

import structlog
from pymongo.asynchronous.change_stream import AsyncDatabaseChangeStream
from pymongo.errors import PyMongoError, ServerSelectionTimeoutError

import documents
from documents.outage import outage_of
from resolvers.concurrency.task_cancellation import is_cancelled
from resolvers.outage_log import count_outage
from resolvers.user_errors import LimitExceeded

WATCHED = (documents.Execution, documents.Step, documents.Transform, documents.Ingestion)

MOST_WATCHING = 2_000
"""Watches in one process."""
OPEN_WITHIN = 6.0
"""Seconds for the database to open the change stream, which is enough to elect another primary."""
REOPEN_AFTER = 0.5
"""Seconds between two attempts at opening it."""
AWAIT_MILLISECONDS = 1000
"""How long the database keeps a `getMore` of the change stream open; shorter than all timeouts of the client."""
AT_MOST_EVERY = 0.1
"""Minimum of seconds between two wakes of one watch, however much changes."""
SECONDS_EACH = 0.005
"""Additional seconds between wakes for each open watch, several times the cost of answering one."""

READ_AT_ONCE = 16
"""Concurrent reads: more would only open more connections, each of which costs as much as many reads."""

WRITES = ["insert", "update", "replace", "delete"]
NAMES_OF_FIELDS = {"$map": {"input": {"$objectToArray": "$updateDescription.updatedFields"}, "in": "$$this.k"}}
SHOWN = {"documentKey": 1, "fullDocument.executionRef": 1, "fields": NAMES_OF_FIELDS}
OF_AN_APPEND = frozenset({"log_end", "log_late", "reports"})

log = structlog.stdlib.get_logger("resolvers.changes")
Change = dict[str, Any]


class Watch:
    """A waiter that wants to know that an object changed, not how often."""

    def __init__(self, pause: Callable[[], float]) -> None:
        self._pause = pause
        self._changed = asyncio.Event()
        self._rested_at = 0.0

    def wake(self) -> None:
        """Signal that the object changed."""
        self._changed.set()

    async def changed(self, within: float) -> None:
        """Return once the object has changed since the last call, and after about `within` seconds in any case."""
        loop = asyncio.get_running_loop()
        try:
            # Randomised, so that watches that began together do not read together for ever.
            async with asyncio.timeout(within * random.uniform(0.8, 1)):
                await self._changed.wait()
        except TimeoutError:
            pass
        await asyncio.sleep(max(0.0, self._rested_at - loop.time()))
        self._rested_at = loop.time() + self._pause()
        # Before the caller reads: a change from here on may be missing in what it reads.
        self._changed.clear()


class Changes:
    """The watches of a process. The change stream is open while there is a watch."""

    def __init__(self) -> None:
        self.watching = 0
        self.turn = asyncio.Semaphore(READ_AT_ONCE)
        """Held while reading after a change, because all waiters are woken at once."""
        self._watches: defaultdict[str, set[Watch]] = defaultdict(set)
        self._opened = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def of(self, id: str) -> AsyncIterator[Watch]:
        """A watch on an execution and its steps, or an activity and its log lines, for as long as the block lasts.

        No change is missed from the block's beginning on. Raises LimitExceeded, and ServerSelectionTimeoutError when
        the database does not answer.
        """
        if self.watching >= MOST_WATCHING:
            raise LimitExceeded(f"{MOST_WATCHING:,} subscriptions are open on this server, which is the maximum.")
        watch = Watch(self._pause)
        self._join(id, watch)
        try:
            await self._open()
            yield watch
        finally:
            self._leave(id, watch)

    async def _open(self) -> None:
        try:
            async with asyncio.timeout(OPEN_WITHIN):
                await self._opened.wait()
        except TimeoutError:
            raise ServerSelectionTimeoutError(f"No change stream could be opened within {OPEN_WITHIN:.0f} s.") from None

    def _pause(self) -> float:
        return AT_MOST_EVERY + SECONDS_EACH * self.watching

    def _join(self, id: str, watch: Watch) -> None:
        self.watching += 1
        self._watches[id].add(watch)
        if self._following is None:
            self._opened = asyncio.Event()
            # In a context of its own: the stream outlives the request that opened it, and that request's deadline.
            self._following = asyncio.create_task(self._follow(self._opened), context=Context())

    def _leave(self, id: str, watch: Watch) -> None:
        self.watching -= 1
        self._watches[id].discard(watch)
        if not self._watches[id]:
            del self._watches[id]
        if not self._watches and self._following:
            self._following.cancel()
            self._following = None

    async def _follow(self, opened: asyncio.Event) -> None:
        token: Any = None
        while not is_cancelled():
            try:
                async with await _stream(token) as stream:
                    if token is None and opened.is_set():
                        self._wake_everybody()
                    opened.set()
                    while stream.alive and not is_cancelled():
                        change = await stream.try_next()
                        token = stream.resume_token
                        if change is not None:
                            self._tell(change)
                # The watched database was dropped, so the stream cannot be resumed.
                token = None
            except PyMongoError as error:
                count_outage("the change stream broke off", error)
                if outage_of(error):
                    # The stream resumes where it stopped. If the database stays away, the waiters must find out.
                    self._wake_everybody()
                else:
                    # The resume point is lost, so every waiter has to read the state again.
                    token = None
            await asyncio.sleep(REOPEN_AFTER)

    def _tell(self, change: Change) -> None:
        ids = {change["documentKey"]["_id"]}
        fields = frozenset(change.get("fields") or ())
        # Log lines are not shown with an execution, so changes that only append them do not wake its watches.
        if not (fields & {"log_end", "log_late"} and fields <= OF_AN_APPEND):
            ids.add((change.get("fullDocument") or {}).get("executionRef"))
        for id in ids:
            for watch in self._watches.get(id, ()):
                watch.wake()

    def _wake_everybody(self) -> None:
        for watches in self._watches.values():
            for watch in watches:
                watch.wake()


async def _stream(token: Any) -> AsyncDatabaseChangeStream[Change]:
    database = WATCHED[0].get_pymongo_collection().database
    names = [document.collection_name() for document in WATCHED]
    match = {"ns.coll": {"$in": names}, "operationType": {"$in": WRITES}}
    return await database.watch(
        [{"$match": match}, {"$project": SHOWN}],
        full_document="updateLookup",
        resume_after=token,
        max_await_time_ms=AWAIT_MILLISECONDS,
    )
