"""Appending to the logs of activities.

Lines are numbered from 1 within an attempt, and stored under numbers that go on from attempt to attempt. A line's id is
made of its activity and its number, so a repeated call finds what the first one stored. An append writes to the
activity as well, so that it conflicts with a claim that takes the activity away, and with another append.

So appends are serialised, and a reader that reads the activity before its lines sees all lines that the activity
counts. A line below the highest stored sequence is late: it gets a number, since followers of the log may be past its
place.
"""

from datetime import datetime
from typing import TypedDict

import documents
from documents.activities.activity import ActivityStatus
from documents.base import now, utc_milliseconds
from documents.mongo.transaction import Session
from resolvers.access.roles import require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.activities.lease import valid_lease_filter
from resolvers.activities.report_access import explain_refusal, kind_of_activity, reportable_filter
from resolvers.limits import MAX_APPENDED_LINES, MAX_LINES_OF_ALL_ATTEMPTS, MAX_LINES_PER_ATTEMPT, MAX_LOG_LINE_LENGTH
from resolvers.reads.rows import Row, collection_of
from resolvers.user_errors import InvalidInput, LimitExceeded, Refusal, Refusals
from resolvers.writes.transaction import Outcome


class LogLine(TypedDict):
    """A line to append; `level` is the value of a LogLevel."""

    timestamp: datetime
    level: str
    message: str


async def append_logs(
    session: Session, viewer: Viewer, *, activity_id: str, attempt: int, first_sequence: int, entries: list[LogLine]
) -> Outcome:
    """Append lines and return the sequence after the attempt's highest; lines that are stored already are skipped.

    Raises Refusals with everything that is wrong with the input, NotFound, and InvalidState for an attempt that is
    over.
    """
    require_role(viewer, Role.WORKER, allow_bound=True)
    last = first_sequence + len(entries) - 1
    _check_entries(first_sequence, last, entries)
    kind = kind_of_activity(activity_id, "activityId")
    match = {"_id": activity_id, "attempt": attempt, "status": ActivityStatus.RUNNING.value}
    match |= valid_lease_filter(now()) | reportable_filter(viewer)
    if entries:
        higher = {"$max": ["$log_end", {"$add": ["$log_base", last]}]}
        change = [{"$set": {"log_end": higher, "reports": {"$add": [{"$ifNull": ["$reports", 0]}, 1]}}}]
        before = await collection_of(kind).find_one_and_update(match, change, session=session)
    else:
        before = await collection_of(kind).find_one(match, session=session)
    if before is None:
        raise await explain_refusal(activity_id, viewer, session, "activityId")
    base, end = before["log_base"], before.get("log_end") or 0
    if entries:
        _check_all_attempts(activity_id, base, last)
        await _store(before, base + first_sequence, entries, session)
    return {"next_sequence": max(end - base, last if entries else 0) + 1}


def _check_entries(first: int, last: int, entries: list[LogLine]) -> None:
    refusals: list[Refusal] = []
    if first < 1:
        refusals.append(InvalidInput(f"firstSequence must be at least 1, not {first}.", "firstSequence"))
    if last > MAX_LINES_PER_ATTEMPT:
        refusals.append(LimitExceeded(f"An attempt logs at most {MAX_LINES_PER_ATTEMPT:,} lines.", "firstSequence"))
    if len(entries) > MAX_APPENDED_LINES:
        refusals.append(
            LimitExceeded(f"{len(entries)} entries are too many; at most {MAX_APPENDED_LINES} are allowed.", "entries")
        )
    for number, entry in enumerate(entries[:MAX_APPENDED_LINES]):
        length = len(entry["message"])
        if length > MAX_LOG_LINE_LENGTH:
            too_long = f"message has {length} characters; at most {MAX_LOG_LINE_LENGTH} are allowed."
            refusals.append(InvalidInput(too_long, "entries", str(number), "message"))
    if refusals:
        raise Refusals(refusals)


def _check_all_attempts(id: str, base: int, last: int) -> None:
    if base + last > MAX_LINES_OF_ALL_ATTEMPTS:
        raise LimitExceeded(
            f"All attempts of {id} log at most {MAX_LINES_OF_ALL_ATTEMPTS:,} lines; earlier attempts have {base:,}.",
            "firstSequence",
        )


async def _store(activity: Row, first: int, entries: list[LogLine], session: Session) -> None:
    """Insert the lines that are not stored yet."""
    logs, end = collection_of(documents.LogEntry), activity.get("log_end") or 0
    rows = [_row(activity, sequence, entry) for sequence, entry in enumerate(entries, first)]
    if first <= end:
        ids = {"_id": {"$in": [row["_id"] for row in rows]}}
        stored = {row["_id"] async for row in logs.find(ids, {"_id": 1}, session=session)}
        rows = [row for row in rows if row["_id"] not in stored]
        await _number_late([row for row in rows if row["sequence"] <= end], activity, session)
    if rows:
        await logs.insert_many(rows, ordered=False, session=session)


async def _number_late(rows: list[Row], activity: Row, session: Session) -> None:
    """Number lines that came after lines with higher sequences, so that followers of the log find them."""
    if not rows:
        return
    before = activity.get("log_late") or 0
    for number, row in enumerate(rows, before + 1):
        row["late"] = number
    kind, late = kind_of_activity(activity["_id"], "activityId"), {"log_late": before + len(rows)}
    await collection_of(kind).update_one({"_id": activity["_id"]}, {"$set": late}, session=session)


def _row(activity: Row, sequence: int, entry: LogLine) -> Row:
    """A line as a LogEntry is stored: a plain dictionary, since a model for each takes four times as long."""
    return {
        "_id": f"{documents.LogEntry.kind}_{activity['_id']}_{sequence}",
        "activityRef": activity["_id"],
        "attempt": activity["attempt"],
        "sequence": sequence,
        "timestamp": utc_milliseconds(entry["timestamp"]),
        "type": entry["level"],
        "logstring": _one_line(entry["message"]),
    }


def _one_line(message: str) -> str:
    """The message without its final line break, and without NUL, which filters cannot search for."""
    return message.removesuffix("\n").removesuffix("\r").replace("\0", "\N{REPLACEMENT CHARACTER}")
