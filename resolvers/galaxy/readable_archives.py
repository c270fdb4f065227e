"""Rules for archives wherever they are read: which are readable, and which of two reports is the later one."""

from datetime import UTC, datetime

from resolvers.filters import Filter
from resolvers.reads.rows import Row

READABLE: Filter = {"current": True, "quarantine": None}
"""Archives that were not replaced, and that this release can read."""


def reported_at(archive: Row) -> datetime:
    """When the report was made, as far as is known."""
    at: datetime = archive["generated_at"] or archive["received_at"]
    return at.replace(tzinfo=UTC)
