"""Subscriptions: they send the present state first, then again whenever it may have changed, as far as the viewer may
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
from resolvers.activities.change_stream import Changes
from resolvers.reads.cursor import decode_cursor, encode_cursor, split_late
from resolvers.reads.loaders import RequestLoader
from resolvers.reads.page import Page, PageRequest, window
from resolvers.reads.relations import Document, Many
from resolvers.reads.rows import ALL_FIELDS, Fields, Row, collection_of
from resolvers.user_errors import NotFound

LOOK_EVERY = 10.0
"""Seconds after which access and state are read again even without a change event."""
ACTIVITY: Fields = frozenset({"status", "attempt", "log_late"})
"""Fields that are read of an activity whose log is followed."""
READ_WITHIN = 10.0
"""Seconds for the database to answer."""
LINES_AT_ONCE = 200
"""Log lines in one message: few enough that writing them does not hold up other tasks."""
WAIT_FOR_LINES = 5.0
"""Seconds that lines wait for others that belong before them: a worker may resend lines that were lost on their way.
Later ones still follow out of order."""

Renew = Callable[[], Awaitable[RequestLoader]]
"""A fresh reader for the subscriber."""


async def execution(changes: Changes, renew: Renew, id: str, fields: Fields) -> AsyncGenerator[Row, None]:
    """The execution, then again whenever it or a step of it changed, until it has ended.

    Raises NotFound as soon as the viewer may not see it.
    """
    async with changes.of(id) as watch:
        while True:
            async with changes.turn:
                reader = await renew()
                with pymongo.timeout(READ_WITHIN):
                    row = await reader.node(documents.Execution, id, fields | {"status"})
            if row is None:
                raise NotFound("Execution", id)
            yield row
            if row["status"] not in OPEN:
                return
            await watch.changed(LOOK_EVERY)


class Lines(NamedTuple):
    """Log lines in order of sequence, and the cursor from which to go on."""

    rows: list[Row]
    cursor: str


async def activity_logs(
    changes: Changes, renew: Renew, id: str, after: str | None, link: Many
) -> AsyncGenerator[Lines, None]:
    """The lines of an activity after a cursor, each line once; then new lines until the activity ends.

    Raises NotFound as soon as the viewer may not see the activity, and BadCursor.
    """
    seen = Seen(*split_late(after)) if after is not None else Seen(None, 0)
    gap, asked = Gap(link, seen.place), _window(link, None)
    async with changes.of(id) as watch:
        while True:
            async with changes.turn:
                reader = await renew()
                with pymongo.timeout(READ_WITHIN):
                    look = await _look(reader, id, link, seen, gap.sent)
            if look.late:
                seen.late = look.late[-1]["late"]
                yield Lines(sorted(look.late, key=lambda row: row["sequence"]), seen.cursor)
                continue
            seen.late = max(seen.late, look.late_lines)
            ready = gap.ready(look.lines, look.activity)
            if ready:
                seen.place = encode_cursor(ready[-1], asked.order, asked.mark)
                yield Lines(ready, seen.cursor)
            elif look.is_last:
                return
            if not look.has_ended and len(ready) < LINES_AT_ONCE:
                await watch.changed(LOOK_EVERY if gap.seconds is None else gap.seconds)


@dataclass
class Seen:
    """The lines sent to a follower: all up to the one at `place`, except late ones after the first `late` of those."""

    place: str | None
    late: int

    @property
    def cursor(self) -> str:
        """The cursor after these lines."""
        return f"{self.place}~{self.late}"


@dataclass(frozen=True)
class Look:
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


async def _look(reader: RequestLoader, id: str, link: Many, seen: Seen, sent: int) -> Look:
    """The next lines for a follower who was sent all lines up to the sequence `sent`. Raises NotFound."""
    kind = _kind_of_activity(id)
    # Read before the lines: if the activity has ended by now, none of its lines are missing then.
    activity = await reader.node(kind, id, ACTIVITY) if kind else None
    if kind is None or activity is None:
        raise NotFound("Activity", id)
    late_lines = await _kept_late_lines(kind, activity, seen.late)
    late = await _late(id, seen.late, late_lines, sent)
    reader.budget.add_objects(len(late))
    rows = [] if late else (await _page(reader, link, activity, seen.place)).rows
    return Look(activity, late_lines, late, rows)


async def _kept_late_lines(kind: Document, activity: Row, seen: int) -> int:
    """The late lines of an activity that no failover can roll back: otherwise others could get their numbers."""
    if _late_lines(activity) <= seen:
        return seen
    collection = collection_of(kind).with_options(read_concern=ReadConcern("majority"))
    kept = await collection.find_one({"_id": activity["_id"]}, {"log_late": 1})
    return min(_late_lines(activity), _late_lines(kept or {}))


def _late_lines(activity: Row) -> int:
    return activity.get("log_late") or 0


async def _late(id: str, seen: int, until: int, sent: int) -> list[Row]:
    """The next late lines for a follower who was sent all lines up to `sent`, in the order in which they came."""
    if not sent or until <= seen:
        return []
    match = {"activityRef": id, "late": {"$gt": seen, "$lte": until}, "sequence": {"$lte": sent}}
    found = collection_of(documents.LogEntry).find(match, sort=[("late", 1)], limit=LINES_AT_ONCE)
    return await found.to_list()


class Gap:
    """Holds lines back while earlier ones may still come: lines are stored in any order."""

    def __init__(self, link: Many, after: str | None) -> None:
        asked = _window(link, after)
        self.sent: int = decode_cursor(after, asked.order, asked.mark)[0] if after is not None else 0
        self._given_up = 0
        self._until: float | None = None

    @property
    def seconds(self) -> float | None:
        """How long lines are still held back, None when none are."""
        return None if self._until is None else max(0.0, self._until - time.monotonic())

    def ready(self, rows: list[Row], activity: Row) -> list[Row]:
        """The next lines, in order, before which no line can come any more."""
        if self.seconds == 0.0 and rows:
            self._given_up = rows[-1]["sequence"]
        for number, row in enumerate(rows):
            if row["sequence"] > self.sent + 1 and self._may_close(row, activity):
                self._until = self._until or time.monotonic() + WAIT_FOR_LINES
                return rows[:number]
            self.sent, self._until = row["sequence"], None
        return rows

    def _may_close(self, row: Row, activity: Row) -> bool:
        # Lines that an earlier attempt has not sent can no longer be sent.
        runs_still = activity["status"] in OPEN and row.get("attempt") == activity.get("attempt")
        return runs_still and row["sequence"] > self._given_up


def _kind_of_activity(id: str) -> Document | None:
    kind = documents.by_kind(id)
    return kind if kind in (documents.Step, documents.Transform, documents.Ingestion) else None


def _window(link: Many, after: str | None) -> PageRequest:
    return window(
        first=LINES_AT_ONCE,
        after=after,
        last=None,
        before=None,
        collection=link.document.collection_name(),
        order=link.order,
        filter={},
        most=link.most,
    )


async def _page(reader: RequestLoader, link: Many, activity: Row, after: str | None) -> Page:
    page: Page = await reader.page(link, _window(link, after), activity, ALL_FIELDS)
    return page
