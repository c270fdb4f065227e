"""Log lines that the server writes itself, each after all lines that the activity has."""

import documents
from documents.activities.log_entry import LogLevel
from documents.base import now
from documents.mongo.transaction import Session
from resolvers.reads.relations import Document
from resolvers.reads.rows import Row, collection_of


async def append_line(kind: Document, id: str, level: LogLevel, message: str, session: Session) -> Row | None:
    """Append a line and return the activity, which is written to so that its reports are serialised.

    It needs a transaction: otherwise followers would look for the line before it exists, and a crash would lose it.
    """
    activity: Row | None = await collection_of(kind).find_one_and_update(
        {"_id": id}, {"$inc": {"log_end": 1, "reports": 1}}, return_document=True, session=session
    )
    if activity is not None:
        await collection_of(documents.LogEntry).insert_one(_line(activity, level, message), session=session)
    return activity


def _line(activity: Row, level: LogLevel, message: str) -> Row:
    return {
        "_id": f"{documents.LogEntry.kind}_{activity['_id']}_{activity['log_end']}",
        "activityRef": activity["_id"],
        "attempt": max(1, activity["attempt"]),
        "sequence": activity["log_end"],
        "timestamp": now(),
        "type": level.value,
        "logstring": message,
    }
