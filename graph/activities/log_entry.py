"""Log lines of activities in the GraphQL schema."""

from datetime import datetime

import strawberry
from strawberry.types import Info

import documents
from documents.activities.log_entry import LogLevel as StoredLogLevel
from graph.core.enums import describe_enum
from graph.core.mutation import (
    idempotency_key,
    mutation,
    optional,
    plain_values,
    required,
    run_mutation,
    user_errors_field,
)
from graph.core.pagination import PageInfo
from graph.core.user_error_types import UserError
from graph.core.view import VIEWS, stored, view
from graph.core.where import Condition, StringFilter, enum_filter, where_input
from resolvers import filters
from resolvers.activities.log_entry import LogLine, append_logs

LogLevel = describe_enum(
    StoredLogLevel,
    "The severity of a log line, from the least to the most severe.",
    DEBUG="Details for finding faults.",
    INFO="Normal progress.",
    WARNING="An irregularity without consequences.",
    ERROR="A failure.",
    CRITICAL="A failure after which the activity cannot continue.",
)


def _level_filter(path: str, minimum: StoredLogLevel) -> filters.Filter:
    levels = list(StoredLogLevel)
    return filters.is_one_of(path, [level.value for level in levels[levels.index(minimum) :]])


LogWhere = where_input(
    "Log",
    documents.LogEntry,
    min_level=Condition(LogLevel, "level", "Return lines of this level and of more severe ones.", _level_filter),
    level=Condition(enum_filter(LogLevel), "level", "Filter by the line's level."),
    message=Condition(StringFilter, "message", "Filter by the line's text."),
    contains=Condition(
        str, "message", "Return lines whose text contains this one.", filters.contains, instead="message"
    ),
)


@view(documents.LogEntry)
class LogEntry:
    """A line in the log of an activity."""

    sequence: int = stored(description="The line's position in the activity's log, counted from 1.")
    timestamp: datetime = stored(description="When the line was written.")
    level: LogLevel = stored(description="The line's severity.")  # type: ignore[valid-type]
    message: str = stored(description="The line's text.")


@strawberry.type(description="Consecutive lines of a log.")
class LogBatch:
    entries: list[LogEntry] = strawberry.field(description="The lines in order of sequence; at least one.")
    cursor: str = strawberry.field(
        description="Cursor after all lines sent so far. Pass it as the after argument to continue from here, in this "
        "subscription or in logs."
    )


@strawberry.type(description="A line in a log, with its cursor.")
class LogEdge:
    node: LogEntry = strawberry.field(description="The log line itself.")
    cursor: str = strawberry.field(description="The line's position in the log, valid for the same filter.")


@strawberry.type(description="One page of a log, in order of sequence.")
class LogConnection:
    nodes: list[LogEntry] = strawberry.field(description="The log lines on the page.")
    edges: list[LogEdge] = strawberry.field(description="The log lines on the page, each with its cursor.")
    page_info: PageInfo = strawberry.field(description="The position of the page in the log.")


VIEWS["LogConnection"] = LogConnection


@strawberry.input(description="A line to append to a log.")
class LogEntryInput:
    timestamp: datetime = required("When the line was written.")
    level: LogLevel = optional("The line's severity.", default=StoredLogLevel.INFO)  # type: ignore[valid-type]
    message: str = required(
        "The line's text, at most 10,000 characters. A trailing line break is removed, and NUL characters are replaced."
    )


@strawberry.input(description="Lines to append to the log of an activity that you hold.")
class AppendLogsInput:
    idempotency_key: str | None = idempotency_key()
    activity_id: strawberry.ID = required("Id of the activity that the worker holds.")
    attempt: int = required("The attempt that the worker claimed. An earlier attempt is refused.")
    first_sequence: int = required(
        "The position of the first line among the lines of this attempt, counted from 1. In the activity's log, the "
        "lines follow those of earlier attempts."
    )
    entries: list[LogEntryInput] = required(
        "The lines in order, at most 1,000. An empty list only asks for nextSequence."
    )


@strawberry.type(description="The position at which to continue the log, or the reasons why nothing was appended.")
class AppendLogsPayload:
    next_sequence: int | None = strawberry.field(
        description="The position after the attempt's last line: the firstSequence of the next call. Null when the "
        "call was refused.",
        default=None,
    )
    user_errors: list[UserError] = user_errors_field()


def _log_line(entry: LogEntryInput) -> LogLine:
    return LogLine(timestamp=entry.timestamp, level=plain_values(entry.level), message=entry.message)


@strawberry.type
class LogEntryMutation:
    @mutation(
        "Append lines to the log of an activity that you hold. Late, repeated and out-of-order calls are harmless: "
        "lines that are stored already are recognised by their sequence and skipped. For workers and administrators. "
        "Refused with INVALID_STATE when the attempt is over."
    )
    async def append_logs(self, info: Info, input: AppendLogsInput) -> AppendLogsPayload:
        return await run_mutation(
            info,
            input,
            AppendLogsPayload,
            lambda session, viewer: append_logs(
                session,
                viewer,
                activity_id=input.activity_id,
                attempt=input.attempt,
                first_sequence=input.first_sequence,
                entries=[_log_line(entry) for entry in input.entries],
            ),
        )
