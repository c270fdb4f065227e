"""Rows of reports that could not be taken, as clients see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import documents
from graph.enums import described
from graph.scalars import BigInt
from graph.view import one, stored, view
from resolvers.ingest.report import rejection

if TYPE_CHECKING:
    from graph.archive import Archive

RejectionCode = described(
    rejection.RejectionCode,
    "Why a row, a member or a whole archive was not taken as it stands.",
    MALFORMED_ROW="The row has other columns than its header, or a column holds what it may not.",
    BAD_NUMBER="Where a number should stand, there is none.",
    BAD_TIMESTAMP="Where a time should stand, there is none.",
    ORPHAN_ROW="The row belongs to a job that the report does not hold.",
    DUPLICATE_KEY="The report has the job, or this row of it, once already.",
    ENCODING="The text is not UTF-8, or begins with a byte order mark.",
    TOO_LONG="The line, or a column of it, is longer than is taken.",
    COUNT_MISMATCH="The metadata count other jobs than the report holds.",
    UNSAFE_MEMBER="The archive has a member that could be dangerous, such as a link or a path that leads out of it.",
    MISSING_MEMBER="The archive lacks a member that it must have.",
    CORRUPT_ARCHIVE="The archive cannot be read to its end, or holds too much: nothing of it is kept.",
)


@view(documents.Rejection)
class Rejection:
    """Enough to find the bad line in the raw file again."""

    archive: Archive = one(documents.Archive, "archive_ref", description="The report that it is in.")
    member: str = stored(description="The file within the archive; empty when it is about the archive as a whole.")
    line: BigInt = stored(
        description="The line of the file, its header being line 1; 0 when it is about the file as a whole."
    )
    code: RejectionCode = stored(description="Why it was not taken.")  # type: ignore[valid-type]
    message: str = stored(description="The same for people.")
    excerpt: str | None = stored(
        description="The beginning of the line, at most 200 characters; without the value where it is a parameter."
    )
