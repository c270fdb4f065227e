"""Log lines of ingestions about their archives."""

import documents
from documents.activities.log_entry import LogLevel
from documents.mongo.transaction import Session
from resolvers.activities.server_log_lines import append_line
from resolvers.reads.rows import Row


async def append_ingestion_line(ingestion_id: str, level: LogLevel, message: str, session: Session) -> Row | None:
    """Append a line and return the ingestion, which is written to so that the ends of its parts are serialised."""
    return await append_line(documents.Ingestion, ingestion_id, level, message, session)
