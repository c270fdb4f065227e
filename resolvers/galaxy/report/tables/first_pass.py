"""The first pass over a report: whether it is complete, what is in it, and which jobs each block of lines is about."""

import re
from array import array
from dataclasses import dataclass, field

from resolvers.galaxy.report.archive.gzip_reader import GzipReader, Source
from resolvers.galaxy.report.archive.members import FORMATS, MemberKind, kind_of_member
from resolvers.galaxy.report.archive.tar import Entry, entries
from resolvers.galaxy.report.limits import Limits
from resolvers.galaxy.report.rejection import ArchiveError, Reject, Rejection, RejectionCode, excerpt, printable_name
from resolvers.galaxy.report.tables.line_blocks import LineReader
from resolvers.galaxy.report.tables.line_parser import parse_lines

JOB_NUMBER = re.compile(rb"\n([0-9]{1,18})\t")
SAMPLE_BYTES = 16 * 1024
"""Bytes for each sampled job number; samples serve to cut the report into windows of equal size."""
NO_JOB = -1
"""Number in place of a job's, for blocks without a job."""


@dataclass(frozen=True, slots=True)
class Block:
    """Lines of a member from line `first` on, which are about jobs from `low` to `high`."""

    first: int
    lines: int
    size: int
    low: int
    high: int


@dataclass
class Member:
    """One member of the report, and a reader that stands after its header."""

    kind: MemberKind
    name: str
    start: LineReader
    blocks: list[Block] = field(default_factory=list)


@dataclass
class ReportIndex:
    """The result of the first pass. `samples` are job numbers, each for the same number of bytes."""

    members: dict[MemberKind, Member] = field(default_factory=dict)
    samples: "array[int]" = field(default_factory=lambda: array("q"))


def index_report(source: Source, limits: Limits, reject: Reject) -> ReportIndex:
    """Read the whole archive once. Raises ArchiveError when it is broken, a bomb, or without a jobs member."""
    index = ReportIndex()
    stream = GzipReader(source, limits)
    for entry in entries(stream, limits):
        unsafe = _unsafe_reason(entry, index)
        if unsafe:
            name = printable_name(entry.name)
            reject(Rejection(name, 0, RejectionCode.UNSAFE_MEMBER, unsafe, rows=0))
        elif entry.type == "file" and (kind := kind_of_member(entry.name)):
            _index_member(index, kind, entry, LineReader(stream, entry.size, limits), limits, reject)
    if MemberKind.JOBS not in index.members:
        message = "The archive has no member ending in .jobs.tsv that can be read."
        raise ArchiveError(RejectionCode.MISSING_MEMBER, message)
    return index


def _unsafe_reason(entry: Entry, index: ReportIndex) -> str | None:
    """The reason why a member is not read, if any: nothing is ever extracted, but no exporter writes such archives."""
    if entry.type in ("hard link", "symbolic link"):
        return f"The member is a {entry.type}; only regular files are read."
    if entry.type == "special":
        return "The member is neither a regular file nor a directory."
    if entry.name.startswith("/"):
        return "The name of the member is an absolute path."
    if ".." in entry.name.replace("\\", "/").split("/"):
        return "The name of the member leads out of its directory."
    kind = kind_of_member(entry.name)
    if entry.type == "file" and kind in index.members:
        return f"The archive has a second member that ends in .{kind}.tsv; only the first one is read."
    return None


def _index_member(
    index: ReportIndex, kind: MemberKind, entry: Entry, lines: LineReader, limits: Limits, reject: Reject
) -> None:
    header = lines.header()
    name = printable_name(entry.name)
    if header != FORMATS[kind].header:
        reject(_wrong_columns(name, header, lines))
        return
    for remark in _remarks(name, lines):
        reject(remark)
    member = index.members[kind] = Member(kind, name, lines.copy())
    first = 2
    while text := lines.block():
        block = _index_block(member, text, first, limits, index.samples)
        member.blocks.append(block)
        first += block.lines


def _wrong_columns(name: str, header: bytes, lines: LineReader) -> Rejection:
    """Skip a member whose columns are not those of its kind; returns the rejection of all its rows."""
    rows = 0
    while text := lines.block():
        rows += text.count(b"\n")
    message = "The header does not name the columns of this member, so none of its rows was read."
    return Rejection(name, 1, RejectionCode.MALFORMED_ROW, message, excerpt(header), rows=rows)


def _remarks(name: str, lines: LineReader) -> list[Rejection]:
    remarks = []
    if lines.bom:
        message = "The member begins with a byte order mark, which was left out."
        remarks.append(Rejection(name, 1, RejectionCode.ENCODING, message, rows=0))
    if lines.crlf:
        message = "The lines end in CR LF instead of LF; the CR was left out."
        remarks.append(Rejection(name, 1, RejectionCode.MALFORMED_ROW, message, rows=0))
    return remarks


def _index_block(member: Member, text: bytes, first: int, limits: Limits, samples: "array[int]") -> Block:
    """The jobs that the lines are about, as far as can be told without validating them."""
    lines = text.count(b"\n")
    keys = JOB_NUMBER.findall(b"\n" + text)
    if text.count(b"\t") != lines * (len(FORMATS[member.kind].columns) - 1):
        # Truncated rows are glued to the rows of other jobs.
        keys = [row[0] for row in parse_lines(member.kind, member.name, text, first, lines, limits.line_bytes).rows]
    if not keys:
        return Block(first, lines, len(text), NO_JOB, NO_JOB)
    samples.extend(map(int, keys[:: max(1, len(keys) * SAMPLE_BYTES // len(text))]))
    numbers = list(map(int, set(keys)))
    return Block(first, lines, len(text), min(numbers), max(numbers))
