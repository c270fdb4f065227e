"""Parsed rows of a block of lines, and the faults of lines that cannot be parsed."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from resolvers.galaxy.report.archive.members import FORMATS, MemberFormat, MemberKind
from resolvers.galaxy.report.rejection import Rejection, RejectionCode, excerpt

Row = tuple[bytes, ...]
"""The pieces of one line, the job's number first."""
Fault = tuple[RejectionCode, str]


@dataclass
class ParsedLines:
    """The valid rows of a block with their line numbers, and the rejections of the others.

    `size` is the approximate number of bytes of the rows in the report.
    """

    rows: list[Row]
    lines: Sequence[int]
    size: int
    rejections: list[Rejection] = field(default_factory=list)


def parse_lines(
    kind: MemberKind, member: str, block: bytes, first: int, count: int, max_line_bytes: int
) -> ParsedLines:
    """Parse a block of `count` whole lines, of which the first is line `first` of its member."""
    format = FORMATS[kind]
    rows: list[Row] = format.row.findall(block)
    # As many matches as lines, each spanning a whole line: every line is valid.
    if len(rows) == count and len(block) <= max_line_bytes and _is_utf8(block):
        return ParsedLines(rows, range(first, first + count), len(block))
    parsed, lines = ParsedLines([], [], len(block)), []
    for number, line in enumerate(block.split(b"\n")[:-1], first):
        row, fault = _parse_line(format, line, max_line_bytes)
        if row is not None:
            parsed.rows.append(row)
            lines.append(number)
        if fault is not None:
            parsed.rejections.append(Rejection(member, number, *fault, line_excerpt(kind, line)))
    parsed.lines = lines
    return parsed


def line_excerpt(kind: MemberKind, line: bytes) -> str:
    """The beginning of a line; without the value when it is a parameter, which only owners may read."""
    if kind is MemberKind.PARAMS:
        columns = line.split(b"\t", 2)
        line = b"\t".join(columns[:2]) + (b"\t\xe2\x80\xa6" if len(columns) > 2 else b"")
    return excerpt(line)


def _is_utf8(text: bytes) -> bool:
    try:
        return text.isascii() or bool(text.decode())
    except UnicodeDecodeError:
        return False


def _parse_line(format: MemberFormat, line: bytes, max_line_bytes: int) -> tuple[Row | None, Fault | None]:
    """The row of a line, or its fault; both when a truncated row is glued to a whole one."""
    if len(line) >= max_line_bytes:
        return None, (RejectionCode.TOO_LONG, f"The line is longer than {max_line_bytes} bytes.")
    if not _is_utf8(line):
        return None, (RejectionCode.ENCODING, "The line is not UTF-8.")
    if match := format.row.match(line + b"\n"):
        return match.groups(), None
    columns = line.split(b"\t")
    expected = len(format.columns)
    if len(columns) == expected:
        return None, _fault(format, columns)
    if len(columns) > expected and (row := _recover_glued_row(format, columns)):
        half, whole = columns[0].decode(), columns[-expected].decode()
        return row, (RejectionCode.MALFORMED_ROW, f"A truncated row of job {half} precedes the row of job {whole}.")
    return None, (RejectionCode.MALFORMED_ROW, f"The row has {len(columns)} columns instead of {expected}.")


def _recover_glued_row(format: MemberFormat, columns: list[bytes]) -> Row | None:
    """The whole row at the end of a line that begins with a truncated one.

    Exporters of versions 1 and 2 wrote cell by cell: a null ended the row without a line feed.
    """
    match = format.row.match(b"\t".join(columns[-len(format.columns) :]) + b"\n")
    return match.groups() if match and format.checks[0].fullmatch(columns[0]) else None


def _fault(format: MemberFormat, columns: list[bytes]) -> Fault:
    """The fault of the first column with an invalid value."""
    for column, check, cell in zip(format.columns, format.checks, columns, strict=True):
        if column.max_length is not None and len(cell) > column.max_length:
            return RejectionCode.TOO_LONG, f"{column.name} is longer than {column.max_length} bytes."
        if not check.fullmatch(cell):
            return column.code, f"{column.name} is not {column.expected}."
    return RejectionCode.MALFORMED_ROW, "The row does not match its header."
