"""Lines that activities wrote, as clients see them."""

from __future__ import annotations

from datetime import datetime

import strawberry
from strawberry.types import Info

import documents
from documents.log_entry import LogLevel as StoredLogLevel
from graph.connection import PageInfo
from graph.enums import described
from graph.mutation import mutation, perform, refused, wanted
from graph.user_errors import UserError
from graph.view import VIEWS, stored, view
from graph.where import By, where_input
from resolvers import filters
from resolvers.log_entry import append_logs

MOST_ENTRIES = 1000

LogLevel = described(
    StoredLogLevel,
    "How serious a line is, mildest first.",
    DEBUG="For whoever looks for a fault.",
    INFO="What goes on.",
    WARNING="Something odd that did no harm.",
    ERROR="Something that failed.",
    CRITICAL="Nothing can go on after this.",
)


def _at_least(path: str, level: StoredLogLevel) -> filters.Filter:
    levels = list(StoredLogLevel)
    return filters.is_one_of(path, [one.value for one in levels[levels.index(level) :]])


LogWhere = where_input(
    "Log",
    documents.LogEntry,
    combined=False,
    min_level=By(LogLevel, "level", "This level and more serious ones.", _at_least),
    contains=By(str, "message", "Lines with this part in them.", filters.contains),
)


@view(documents.LogEntry)
class LogEntry:
    """A line that an activity wrote."""

    sequence: int = stored(description="Its place among the activity's lines, from 1.")
    timestamp: datetime = stored(description="When it was written.")
    level: LogLevel = stored(description="How serious it is.")  # type: ignore[valid-type]
    message: str = stored(description="The line itself.")


@strawberry.type(description="A line at its place in the log.")
class LogEdge:
    node: LogEntry = strawberry.field(description="The line.")
    cursor: str = strawberry.field(description="The line's place in this filter.")


@strawberry.type(description="A page of a log, in order of sequence.")
class LogConnection:
    nodes: list[LogEntry] = strawberry.field(description="The lines of the page.")
    edges: list[LogEdge] = strawberry.field(description="The lines with their places.")
    page_info: PageInfo = strawberry.field(description="Where the page lies in the log.")


VIEWS["LogConnection"] = LogConnection


@strawberry.input(description="A line to append to a log.")
class LogEntryInput:
    timestamp: datetime = wanted("When it was written.")
    level: LogLevel = wanted("How serious it is.", default=StoredLogLevel.INFO)  # type: ignore[valid-type]
    message: str = wanted(
        "The line, at most 10,000 characters. A line break at its end is taken off, and NUL is replaced."
    )


@strawberry.input(description="Lines to append to the log of what you run.")
class AppendLogsInput:
    activity_id: strawberry.ID = wanted("What you hold.")
    attempt: int = wanted("The attempt that you claimed. An earlier one is refused.")
    first_sequence: int = wanted(
        "The place of the first line among those of the attempt, from 1. In the log it follows earlier attempts' lines."
    )
    entries: list[LogEntryInput] = wanted("At most 1,000 lines in their order; none, to ask only where to go on.")


@strawberry.type(description="How far a log has come, or why nothing was appended.")
class AppendLogsPayload:
    next_sequence: int | None = strawberry.field(
        description="The place after the highest that the attempt has: what firstSequence would be next.", default=None
    )
    user_errors: list[UserError] = refused()


@strawberry.type
class LogEntryMutation:
    @mutation("Late, repeated and out-of-order calls are harmless: entries already stored are skipped by sequence.")
    async def append_logs(self, info: Info, input: AppendLogsInput) -> AppendLogsPayload:
        return await perform(info, AppendLogsPayload, append_logs, input)
