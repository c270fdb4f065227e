"""What subscriptions give: the present state first, then again whenever it may have changed, as the viewer may see it.

Each time the viewer is asked for anew: a token may have been revoked, and rights may have been withdrawn.
"""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable

import pymongo

import documents
from documents.activity import OPEN
from resolvers.changes import Changes
from resolvers.cursor import decode_cursor
from resolvers.fetch import WHOLE, Fields, Row
from resolvers.links import Document, Many
from resolvers.page import Page, Window, window
from resolvers.reader import Reader
from resolvers.refusals import NotFound

LOOK_EVERY = 10.0
"""Seconds after which rights and state are looked at even when nothing is said to have changed."""
READ_WITHIN = 10.0
"""Seconds for the database to answer."""
LINES_AT_ONCE = 200
"""Log lines in one delivery: so few that writing them holds up nobody else."""
WAIT_FOR_LINES = 5.0
"""Seconds that lines wait for others that belong before them: a worker may send what was lost on its way again."""

Renew = Callable[[], Awaitable[Reader]]
"""A fresh reader for whoever subscribed."""


async def execution(changes: Changes, renew: Renew, id: str, fields: Fields) -> AsyncGenerator[Row, None]:
    """The execution, then again whenever it or a step of it changed, until it has ended.

    Raises NotFound as soon as there is none that the viewer may see.
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


async def activity_logs(
    changes: Changes, renew: Renew, id: str, after: str | None, link: Many
) -> AsyncGenerator[Page, None]:
    """The lines of an activity after a cursor of its `logs`, as pages, each line once; then what follows, to its end.

    Raises NotFound as soon as there is no such activity that the viewer may see, and BadCursor.
    """
    kind = _kind_of_activity(id)
    gap = Gap(link, after)
    async with changes.of(id) as watch:
        while True:
            async with changes.turn:
                reader = await renew()
                with pymongo.timeout(READ_WITHIN):
                    # Before the lines: of an activity that has ended by now, none are missing then.
                    activity = await reader.node(kind, id, frozenset({"status", "attempt"})) if kind else None
                    if activity is None:
                        raise NotFound("Activity", id)
                    page = await _page(reader, link, activity, after)
            ready = gap.ready(page.rows, activity)
            if ready:
                found = Page(ready, page.window, has_next_page=True, has_previous_page=True)
                after = found.end_cursor
                yield found
            elif not page.rows and activity["status"] not in OPEN:
                return
            if not ready or len(page.rows) < LINES_AT_ONCE:
                await watch.changed(LOOK_EVERY if gap.seconds is None else gap.seconds)


class Gap:
    """Keeps lines back while others that belong before them may still come: they are stored in any order."""

    def __init__(self, link: Many, after: str | None) -> None:
        asked = _window(link, after)
        self._sent: int = decode_cursor(after, asked.order, asked.mark)[0] if after is not None else 0
        self._given_up = 0
        self._until: float | None = None

    @property
    def seconds(self) -> float | None:
        """How long lines are kept back yet, None when none are."""
        return None if self._until is None else max(0.0, self._until - time.monotonic())

    def ready(self, rows: list[Row], activity: Row) -> list[Row]:
        """Those of the next lines, in order, that nothing can come before any more."""
        if self.seconds == 0.0 and rows:
            self._given_up = rows[-1]["sequence"]
        for number, row in enumerate(rows):
            if row["sequence"] > self._sent + 1 and self._may_close(row, activity):
                self._until = self._until or time.monotonic() + WAIT_FOR_LINES
                return rows[:number]
            self._sent, self._until = row["sequence"], None
        return rows

    def _may_close(self, row: Row, activity: Row) -> bool:
        # What an earlier attempt has not sent, nobody may send any more.
        runs_still = activity["status"] in OPEN and row.get("attempt") == activity.get("attempt")
        return runs_still and row["sequence"] > self._given_up


def _kind_of_activity(id: str) -> Document | None:
    kind = documents.by_kind(id)
    return kind if kind in (documents.Step, documents.Transform, documents.Ingestion) else None


def _window(link: Many, after: str | None) -> Window:
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


async def _page(reader: Reader, link: Many, activity: Row, after: str | None) -> Page:
    page: Page = await reader.page(link, _window(link, after), activity, WHOLE)
    return page
