"""Parsed rows of a block of lines, and the faults of lines that cannot be parsed."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from resolvers.galaxy.report.archive.members import FORMS, Form, Kind
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


def parse_lines(kind: Kind, member: str, block: bytes, first: int, count: int, longest: int) -> ParsedLines:
    """Parse a block of `count` whole lines, of which the first is line `first` of its member."""
    form = FORMS[kind]
    rows: list[Row] = form.row.findall(block)
    # As many matches as lines, each spanning a whole line: every line is valid.
    if len(rows) == count and len(block) <= longest and _is_utf8(block):
        return ParsedLines(rows, range(first, first + count), len(block))
    parsed, lines = ParsedLines([], [], len(block)), []
    for number, line in enumerate(block.split(b"\n")[:-1], first):
        row, fault = _judge_line(form, line, longest)
        if row is not None:
            parsed.rows.append(row)
            lines.append(number)
        if fault is not None:
            parsed.rejections.append(Rejection(member, number, *fault, shown_line(kind, line)))
    parsed.lines = lines
    return parsed


def shown_line(kind: Kind, line: bytes) -> str:
    """The beginning of a line; without the value when it is a parameter, which only owners may read."""
    if kind is Kind.PARAMS:
        columns = line.split(b"\t", 2)
        line = b"\t".join(columns[:2]) + (b"\t\xe2\x80\xa6" if len(columns) > 2 else b"")
    return excerpt(line)


def _is_utf8(text: bytes) -> bool:
    try:
        return text.isascii() or bool(text.decode())
    except UnicodeDecodeError:
        return False


def _judge_line(form: Form, line: bytes, longest: int) -> tuple[Row | None, Fault | None]:
    """The row of a line, or its fault; both when a truncated row is glued to a whole one."""
    if len(line) >= longest:
        return None, (RejectionCode.TOO_LONG, f"The line is longer than {longest} bytes.")
    if not _is_utf8(line):
        return None, (RejectionCode.ENCODING, "The line is not UTF-8.")
    if sound := form.row.match(line + b"\n"):
        return sound.groups(), None
    columns = line.split(b"\t")
    wanted = len(form.columns)
    if len(columns) == wanted:
        return None, _fault(form, columns)
    if len(columns) > wanted and (row := _glued(form, columns)):
        half, whole = columns[0].decode(), columns[-wanted].decode()
        return row, (RejectionCode.MALFORMED_ROW, f"A truncated row of job {half} precedes the row of job {whole}.")
    return None, (RejectionCode.MALFORMED_ROW, f"The row has {len(columns)} columns instead of {wanted}.")


def _glued(form: Form, columns: list[bytes]) -> Row | None:
    """The whole row at the end of a line that begins with a truncated one.

    Exporters of versions 1 and 2 wrote cell by cell: a null ended the row without a line feed.
    """
    sound = form.row.match(b"\t".join(columns[-len(form.columns) :]) + b"\n")
    return sound.groups() if sound and form.checks[0].fullmatch(columns[0]) else None


def _fault(form: Form, columns: list[bytes]) -> Fault:
    """The fault of the first column with an invalid value."""
    for column, check, cell in zip(form.columns, form.checks, columns, strict=True):
        if column.longest is not None and len(cell) > column.longest:
            return RejectionCode.TOO_LONG, f"{column.name} is longer than {column.longest} bytes."
        if not check.fullmatch(cell):
            return column.code, f"{column.name} is not {column.wants}."
    return RejectionCode.MALFORMED_ROW, "The row does not match its header."
