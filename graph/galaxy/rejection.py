"""Rejected rows of reports in the GraphQL schema."""

from typing import TYPE_CHECKING

import documents
from graph.core.enums import describe_enum
from graph.core.scalars import BigInt
from graph.core.view import one, stored, view
from resolvers.galaxy.report import rejection

if TYPE_CHECKING:
    from graph.galaxy.archive import Archive

RejectionCode = describe_enum(
    rejection.RejectionCode,
    "The reason why a row, an archive member or a whole archive was rejected, or not accepted unchanged.",
    MALFORMED_ROW="The row's columns do not match the header, or a column has an invalid value.",
    BAD_NUMBER="A column that must contain a number does not.",
    BAD_TIMESTAMP="A column that must contain a time does not.",
    ORPHAN_ROW="The row belongs to a job that the report does not contain.",
    DUPLICATE_KEY="The report contains the job, or this row of the job, more than once.",
    ENCODING="The text is not UTF-8, or begins with a byte order mark.",
    TOO_LONG="The line, or one of its columns, is too long.",
    COUNT_MISMATCH="The number of jobs in the report differs from the number that its metadata declares.",
    UNSAFE_MEMBER="The archive has a dangerous member, such as a link, or a path that leads outside the archive.",
    MISSING_MEMBER="The archive lacks a required member.",
    CORRUPT_ARCHIVE="The archive cannot be read to its end, or contains too much data. Nothing of it is kept.",
)


@view(documents.Rejection)
class Rejection:
    """A rejected row, archive member or archive, with the information needed to find it in the raw file."""

    archive: "Archive" = one(
        documents.Archive, "archive_ref", description="The archive that contains the rejected row."
    )
    member: str = stored(
        description="Name of the file within the archive. Empty when the rejection concerns the whole archive."
    )
    line: BigInt = stored(
        description="Number of the line within the file, the header being line 1. 0 when the rejection concerns the "
        "whole file."
    )
    code: RejectionCode = stored(description="The reason for the rejection, as a code for programs.")  # type: ignore[valid-type]
    message: str = stored(description="Human-readable explanation of the rejection.")
    excerpt: str | None = stored(
        description="The beginning of the line, at most 200 characters; without the value if the line is a parameter. "
        "Null when there is no line."
    )
