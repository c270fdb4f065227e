"""Appending to the logs of activities.

Lines are numbered from 1 within an attempt, and stored under numbers that go on from attempt to attempt. A line's id
is made of its activity and its number, so a repeated call finds what the first one stored. An append writes to the
activity as well, which keeps it from happening beside a claim that takes the activity away.
"""

from typing import Any

import documents
from documents.activity import ActivityStatus
from documents.base import now, utc_milliseconds
from resolvers.fetch import Row, collection_of
from resolvers.refusals import InvalidInput, LimitExceeded, Refusal, Refusals
from resolvers.reporting import by_whom, kind_named, why_not
from resolvers.runs import held
from resolvers.viewer import Role, Viewer
from resolvers.writing import Outcome, Session, require

MOST_AT_ONCE = 1_000
MOST_LINES = 10_000_000
"""In an attempt."""
LONGEST_MESSAGE = 10_000

Entry = dict[str, Any]


async def append_logs(
    session: Session, viewer: Viewer, *, activity_id: str, attempt: int, first_sequence: int, entries: list[Entry]
) -> Outcome:
    """The sequence after the highest that the attempt has; lines that are stored already are skipped.

    Raises Refusals with all that is wrong with the input, NotFound, and InvalidState for an attempt that is over.
    """
    require(viewer, Role.WORKER)
    last = first_sequence + len(entries) - 1
    _check(first_sequence, last, entries)
    kind = kind_named(activity_id, "activityId")
    match = {"_id": activity_id, "attempt": attempt, "status": ActivityStatus.RUNNING.value}
    match |= held(now()) | by_whom(viewer)
    if entries:
        higher = {"$max": ["$log_end", {"$add": ["$log_base", last]}]}
        change = [{"$set": {"log_end": higher, "reports": {"$add": [{"$ifNull": ["$reports", 0]}, 1]}}}]
        before = await collection_of(kind).find_one_and_update(match, change, session=session)
    else:
        before = await collection_of(kind).find_one(match, session=session)
    if before is None:
        raise await why_not(activity_id, viewer, session, "activityId")
    base, end = before["log_base"], before.get("log_end") or 0
    if entries:
        await _store(before, base + first_sequence, entries, session)
    return {"next_sequence": max(end - base, last if entries else 0) + 1}


def _check(first: int, last: int, entries: list[Entry]) -> None:
    refusals: list[Refusal] = []
    if first < 1:
        refusals.append(InvalidInput(f"firstSequence counts from 1, and is {first}.", "firstSequence"))
    if last > MOST_LINES:
        refusals.append(LimitExceeded(f"An attempt logs at most {MOST_LINES:,} lines.", "firstSequence"))
    if len(entries) > MOST_AT_ONCE:
        refusals.append(LimitExceeded(f"{len(entries)} entries; at most {MOST_AT_ONCE} at once.", "entries"))
    for number, entry in enumerate(entries[:MOST_AT_ONCE]):
        length = len(entry["message"])
        if length > LONGEST_MESSAGE:
            long = f"message has {length} characters; at most {LONGEST_MESSAGE} are kept."
            refusals.append(InvalidInput(long, "entries", str(number), "message"))
    if refusals:
        raise Refusals(refusals)


async def _store(activity: Row, first: int, entries: list[Entry], session: Session) -> None:
    """Insert those lines that are not there yet."""
    logs, end = collection_of(documents.LogEntry), activity.get("log_end") or 0
    rows = [_row(activity, first + place, entry) for place, entry in enumerate(entries)]
    if first <= end:
        ids = {"_id": {"$in": [row["_id"] for row in rows]}}
        there = {row["_id"] async for row in logs.find(ids, {"_id": 1}, session=session)}
        rows = [row for row in rows if row["_id"] not in there]
    if rows:
        await logs.insert_many(rows, ordered=False, session=session)


def _row(activity: Row, sequence: int, entry: Entry) -> Row:
    """A line as a LogEntry is stored: written out, since a document for each takes four times as long."""
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
    """The message without the line break that ends it, and without NUL, which filters cannot look for."""
    return message.removesuffix("\n").removesuffix("\r").replace("\0", "\N{REPLACEMENT CHARACTER}")
