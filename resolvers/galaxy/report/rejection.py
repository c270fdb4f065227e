"""Rejections: the parts of a report that could not be read, and why."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

MAX_EXCERPT_LENGTH = 200
"""Characters of a line that a rejection shows."""


class RejectionCode(StrEnum):
    """The reason why a row, a member or a whole archive was rejected."""

    MALFORMED_ROW = "MALFORMED_ROW"
    BAD_NUMBER = "BAD_NUMBER"
    BAD_TIMESTAMP = "BAD_TIMESTAMP"
    ORPHAN_ROW = "ORPHAN_ROW"
    DUPLICATE_KEY = "DUPLICATE_KEY"
    ENCODING = "ENCODING"
    TOO_LONG = "TOO_LONG"
    COUNT_MISMATCH = "COUNT_MISMATCH"
    UNSAFE_MEMBER = "UNSAFE_MEMBER"
    MISSING_MEMBER = "MISSING_MEMBER"
    CORRUPT_ARCHIVE = "CORRUPT_ARCHIVE"


@dataclass(frozen=True)
class Rejection:
    """A rejected line, with enough to find it in the raw file.

    The header of a member is line 1; line 0 stands for the member as a whole, and an empty member for the archive.
    `rows` says how many rows were left out: 0 for mere remarks, as on a byte order mark.
    """

    member: str
    line: int
    code: RejectionCode
    message: str
    excerpt: str | None = None
    rows: int = 1


Reject = Callable[[Rejection], None]
"""Records a rejection."""


class ArchiveError(Exception):
    """Nothing of the archive may be kept; `rejection` says why."""

    def __init__(self, code: RejectionCode, message: str, member: str = "") -> None:
        super().__init__(message)
        self.rejection = Rejection(printable_name(member), 0, code, message, rows=0)


def corrupt_archive(message: str, member: str = "") -> ArchiveError:
    """The refusal of an archive with invalid bytes."""
    return ArchiveError(RejectionCode.CORRUPT_ARCHIVE, message, member)


def excerpt(line: bytes) -> str:
    """The beginning of a line, with invalid UTF-8 written as escapes."""
    return line[:MAX_EXCERPT_LENGTH].decode("utf-8", "backslashreplace")[:MAX_EXCERPT_LENGTH]


def printable_name(name: str) -> str:
    """A member's name in a form that can be shown and stored: bounded, and without lone surrogates."""
    return name[:MAX_EXCERPT_LENGTH].encode("utf-8", "backslashreplace").decode()
