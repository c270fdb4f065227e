"""Waiting for what others write to executions and activities: one change stream for all who wait in a process.

The stream only wakes. What is so is read from the database each time, so a wake too many does no harm, and after a
stream that could not be resumed everybody is woken once. An append of log lines writes to its activity too, so the
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
from pymongo.errors import OperationFailure, PyMongoError

import documents
from resolvers.cancellation import cancelled
from resolvers.refusals import LimitExceeded

WATCHED = (documents.Execution, documents.Step, documents.Transform, documents.Ingestion)

MOST_WATCHING = 2_000
"""Watches in one process."""
OPEN_WITHIN = 10.0
"""Seconds for the database to open the change stream."""
REOPEN_AFTER = 0.5
"""Seconds between two attempts at opening it."""
AWAIT_MILLISECONDS = 1000
"""How long the database keeps a question for changes open; shorter than any time limit of the client's."""
AT_MOST_EVERY = 0.1
"""Seconds between two wakes of one watch, however much changes."""
SECONDS_EACH = 0.005
"""Seconds more between them for each watch there is, several times what answering one takes."""

READ_AT_ONCE = 16
"""Reads beside each other: more would only open more connections, each of which costs as much as many reads."""

WRITES = ["insert", "update", "replace", "delete"]
NAMES_OF_FIELDS = {"$map": {"input": {"$objectToArray": "$updateDescription.updatedFields"}, "in": "$$this.k"}}
SHOWN = {"documentKey": 1, "fullDocument.executionRef": 1, "fields": NAMES_OF_FIELDS}
OF_AN_APPEND = frozenset({"log_end", "reports"})

log = structlog.stdlib.get_logger("resolvers.changes")
Change = dict[str, Any]


class Watch:
    """Somebody who wants to know that a thing changed, not how often."""

    def __init__(self, pause: Callable[[], float]) -> None:
        self._pause = pause
        self._changed = asyncio.Event()
        self._rested_at = 0.0

    def wake(self) -> None:
        """Say that something changed."""
        self._changed.set()

    async def changed(self, within: float) -> None:
        """Return once something has changed since the last call, and after about `within` seconds in any case."""
        loop = asyncio.get_running_loop()
        try:
            # Not exactly: those who began together need not ask together for ever.
            async with asyncio.timeout(within * random.uniform(0.8, 1)):
                await self._changed.wait()
        except TimeoutError:
            pass
        await asyncio.sleep(max(0.0, self._rested_at - loop.time()))
        self._rested_at = loop.time() + self._pause()
        # Before the caller reads: what changes from here on may be missing in what is read.
        self._changed.clear()


class Changes:
    """What a process waits for. The change stream is open for as long as there is a watch."""

    def __init__(self) -> None:
        self.watching = 0
        self.turn = asyncio.Semaphore(READ_AT_ONCE)
        """To be held while something is read because it may have changed: all are woken at once."""
        self._watches: defaultdict[str, set[Watch]] = defaultdict(set)
        self._opened = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def of(self, id: str) -> AsyncIterator[Watch]:
        """A watch on an execution and its steps, or an activity and its log lines, for as long as the block lasts.

        Nothing that changes from its beginning on is missed. Raises TimeoutError when the database does not answer,
        and LimitExceeded.
        """
        if self.watching >= MOST_WATCHING:
            raise LimitExceeded(f"{MOST_WATCHING:,} subscriptions are open here, which is as many as are allowed.")
        watch = Watch(self._pause)
        self._join(id, watch)
        try:
            async with asyncio.timeout(OPEN_WITHIN):
                await self._opened.wait()
            yield watch
        finally:
            self._leave(id, watch)

    def _pause(self) -> float:
        return AT_MOST_EVERY + SECONDS_EACH * self.watching

    def _join(self, id: str, watch: Watch) -> None:
        self.watching += 1
        self._watches[id].add(watch)
        if self._following is None:
            self._opened = asyncio.Event()
            # In a context of its own: the stream outlives the request that it began with, and its deadline.
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
        while not cancelled():
            try:
                async with await _stream(token) as stream:
                    if token is None and opened.is_set():
                        self._wake_everybody()
                    opened.set()
                    while stream.alive and not cancelled():
                        change = await stream.try_next()
                        token = stream.resume_token
                        if change is not None:
                            self._tell(change)
                # Its database was dropped, and there is no going on from there.
                token = None
            except OperationFailure as error:
                # Where the stream stood is not known any more, so whoever watches has to look for themselves.
                log.warning("the change stream begins anew", reason=str(error)[:200])
                token = None
            except PyMongoError as error:
                log.warning("the change stream broke off", reason=str(error)[:200])
                # If the database is gone, whoever waits is to know it.
                self._wake_everybody()
            await asyncio.sleep(REOPEN_AFTER)

    def _tell(self, change: Change) -> None:
        ids = {change["documentKey"]["_id"]}
        fields = frozenset(change.get("fields") or ())
        # Lines are no part of what an execution shows, unless it is asked for them.
        if not ("log_end" in fields and fields <= OF_AN_APPEND):
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
