"""What an ingestion says of its archives, as log lines."""

from typing import Any

import documents
from documents.base import now
from documents.log_entry import LogLevel
from resolvers.fetch import Row, collection_of
from resolvers.writing import Session


async def say(ingestion_id: str, level: LogLevel, message: str, session: Session | None = None) -> Row | None:
    """Append a line; the ingestion, which was so written that its parts end one after the other."""
    ingestion: Row | None = await collection_of(documents.Ingestion).find_one_and_update(
        {"_id": ingestion_id}, {"$inc": {"log_end": 1, "reports": 1}}, return_document=True, session=session
    )
    if ingestion is not None:
        line = _line(ingestion, level, message)
        await collection_of(documents.LogEntry).insert_one(line, session=session)
    return ingestion


def _line(ingestion: Row, level: LogLevel, message: str) -> dict[str, Any]:
    return {
        "_id": f"{documents.LogEntry.kind}_{ingestion['_id']}_{ingestion['log_end']}",
        "activityRef": ingestion["_id"],
        "attempt": max(1, ingestion["attempt"]),
        "sequence": ingestion["log_end"],
        "timestamp": now(),
        "type": level.value,
        "logstring": message,
    }
