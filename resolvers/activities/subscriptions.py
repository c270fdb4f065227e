"""Subscriptions: they send the current state first, then again whenever it may have changed, as far as the viewer may
see it.

The viewer is authenticated again each time: a token may have been revoked, and access may have been withdrawn.
"""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple

import pymongo
from pymongo.read_concern import ReadConcern

import documents
from documents.activities.activity import OPEN
from resolvers.activities.change_stream import ChangeFeed
from resolvers.reads.cursor import decode_cursor, encode_cursor, split_late
from resolvers.reads.loaders import RequestLoader
from resolvers.reads.page_request import Page, PageRequest, page_request
from resolvers.reads.relations import Children, Document
from resolvers.reads.rows import ALL_FIELDS, Fields, Row, collection_of
from resolvers.user_errors import NotFound

POLL_INTERVAL = 10.0
"""Seconds after which access and state are read again even without a change event."""
ACTIVITY_FIELDS: Fields = frozenset({"status", "attempt", "log_late"})
"""Fields that are read of an activity whose log is followed."""
READ_TIMEOUT = 10.0
"""Seconds for the database to answer."""
LINE_BATCH_SIZE = 200
"""Log lines in one message: few enough that writing them does not hold up other tasks."""
REORDER_TIMEOUT = 5.0
"""Seconds that lines wait for others that belong before them: a worker may resend lines that were lost on their way.
Later ones still follow out of order."""

Renew = Callable[[], Awaitable[RequestLoader]]
"""A fresh loader for the subscriber."""


async def execution(feed: ChangeFeed, renew: Renew, id: str, fields: Fields) -> AsyncGenerator[Row, None]:
    """The execution, then again whenever it or a step of it changed, until it has ended.

    Raises NotFound as soon as the viewer may not see it.
    """
    async with feed.listen(id) as listener:
        while True:
            async with feed.read_slots:
                loader = await renew()
                with pymongo.timeout(READ_TIMEOUT):
                    row = await loader.node(documents.Execution, id, fields | {"status"})
            if row is None:
                raise NotFound("Execution", id)
            yield row
            if row["status"] not in OPEN:
                return
            await listener.wait(POLL_INTERVAL)


class Lines(NamedTuple):
    """Log lines in order of sequence, and the cursor from which to go on."""

    rows: list[Row]
    cursor: str


async def activity_logs(
    feed: ChangeFeed, renew: Renew, id: str, after: str | None, link: Children
) -> AsyncGenerator[Lines, None]:
    """The lines of an activity after a cursor, each line once; then new lines until the activity ends.

    Raises NotFound as soon as the viewer may not see the activity, and BadCursor.
    """
    position = Position(*split_late(after)) if after is not None else Position(None, 0)
    buffer, request = ReorderBuffer(link, position.place), _page_request(link, None)
    async with feed.listen(id) as listener:
        while True:
            async with feed.read_slots:
                loader = await renew()
                with pymongo.timeout(READ_TIMEOUT):
                    poll = await _poll(loader, id, link, position, buffer.sent)
            if poll.late:
                position.late = poll.late[-1]["late"]
                yield Lines(sorted(poll.late, key=lambda row: row["sequence"]), position.cursor)
                continue
            position.late = max(position.late, poll.late_lines)
            ready = buffer.release(poll.lines, poll.activity)
            if ready:
                position.place = encode_cursor(ready[-1], request.order, request.fingerprint)
                yield Lines(ready, position.cursor)
            elif poll.is_last:
                return
            if not poll.has_ended and len(ready) < LINE_BATCH_SIZE:
                await listener.wait(POLL_INTERVAL if buffer.seconds is None else buffer.seconds)


@dataclass
class Position:
    """How far a follower was sent a log: all lines up to `place`, except late ones after the first `late` of those."""

    place: str | None
    late: int

    @property
    def cursor(self) -> str:
        """The cursor after these lines."""
        return f"{self.place}~{self.late}"


@dataclass(frozen=True)
class Poll:
    """The result of one read for a follower: the activity, and its next late lines or else some of those that follow.

    Of its late lines the first `late_lines` are majority-committed.
    """

    activity: Row
    late_lines: int
    late: list[Row]
    rows: list[Row]

    @property
    def lines(self) -> list[Row]:
        """The lines that follow, up to a late one that is not among those."""
        return list(takewhile(lambda row: (row.get("late") or 0) <= self.late_lines, self.rows))

    @property
    def has_ended(self) -> bool:
        """Whether no more lines can be stored, and all late ones are majority-committed."""
        return self.activity["status"] not in OPEN and _late_lines(self.activity) <= self.late_lines

    @property
    def is_last(self) -> bool:
        """Whether nothing more can follow."""
        return self.has_ended and not self.rows


async def _poll(loader: RequestLoader, id: str, link: Children, position: Position, sent: int) -> Poll:
    """The next lines for a follower who was sent all lines up to the sequence `sent`. Raises NotFound."""
    kind = _kind_of_activity(id)
    # Read before the lines: if the activity has ended by now, none of its lines are missing then.
    activity = await loader.node(kind, id, ACTIVITY_FIELDS) if kind else None
    if kind is None or activity is None:
        raise NotFound("Activity", id)
    late_lines = await _committed_late_lines(kind, activity, position.late)
    late = await _late_rows(id, position.late, late_lines, sent)
    loader.budget.add_objects(len(late))
    if late:
        return Poll(activity, late_lines, late, [])
    page: Page = await loader.page(link, _page_request(link, position.place), activity, ALL_FIELDS)
    return Poll(activity, late_lines, late, page.rows)


async def _committed_late_lines(kind: Document, activity: Row, seen: int) -> int:
    """The late lines of an activity that no failover can roll back: otherwise others could get their numbers."""
    if _late_lines(activity) <= seen:
        return seen
    collection = collection_of(kind).with_options(read_concern=ReadConcern("majority"))
    committed = await collection.find_one({"_id": activity["_id"]}, {"log_late": 1})
    return min(_late_lines(activity), _late_lines(committed or {}))


def _late_lines(activity: Row) -> int:
    return activity.get("log_late") or 0


async def _late_rows(id: str, seen: int, until: int, sent: int) -> list[Row]:
    """The next late lines for a follower who was sent all lines up to `sent`, in the order in which they came."""
    if not sent or until <= seen:
        return []
    match = {"activityRef": id, "late": {"$gt": seen, "$lte": until}, "sequence": {"$lte": sent}}
    return await collection_of(documents.LogEntry).find(match, sort=[("late", 1)], limit=LINE_BATCH_SIZE).to_list()


class ReorderBuffer:
    """Holds lines back while earlier ones may still come, since lines are stored in any order."""

    def __init__(self, link: Children, after: str | None) -> None:
        request = _page_request(link, after)
        self.sent: int = decode_cursor(after, request.order, request.fingerprint)[0] if after is not None else 0
        self._skipped_to = 0
        self._holds_until: float | None = None

    @property
    def seconds(self) -> float | None:
        """How long lines are still held back, None when none are."""
        return None if self._holds_until is None else max(0.0, self._holds_until - time.monotonic())

    def release(self, rows: list[Row], activity: Row) -> list[Row]:
        """Release the next lines, in order, before which no line can come any more."""
        if self.seconds == 0.0 and rows:
            self._skipped_to = rows[-1]["sequence"]
        for number, row in enumerate(rows):
            if row["sequence"] > self.sent + 1 and self._may_fill_gap_before(row, activity):
                self._holds_until = self._holds_until or time.monotonic() + REORDER_TIMEOUT
                return rows[:number]
            self.sent, self._holds_until = row["sequence"], None
        return rows

    def _may_fill_gap_before(self, row: Row, activity: Row) -> bool:
        # Lines that an earlier attempt has not sent can no longer be sent.
        runs_still = activity["status"] in OPEN and row.get("attempt") == activity.get("attempt")
        return runs_still and row["sequence"] > self._skipped_to


def _kind_of_activity(id: str) -> Document | None:
    kind = documents.by_kind(id)
    return kind if kind in (documents.Step, documents.Transform, documents.Ingestion) else None


def _page_request(link: Children, after: str | None) -> PageRequest:
    return page_request(
        first=LINE_BATCH_SIZE,
        after=after,
        last=None,
        before=None,
        collection=link.document.collection_name(),
        order=link.order,
        filter={},
        max_size=link.max_page_size,
    )
