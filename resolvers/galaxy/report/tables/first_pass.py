"""The first pass over a report: whether it is complete, what is in it, and which jobs each block of lines is about."""

import re
from array import array
from dataclasses import dataclass, field

from resolvers.galaxy.report.archive.gzip_reader import Source, Unzipped
from resolvers.galaxy.report.archive.members import FORMS, Kind, kind_of_member
from resolvers.galaxy.report.archive.tar import Entry, entries
from resolvers.galaxy.report.limits import Limits
from resolvers.galaxy.report.rejection import ArchiveRefused, Reject, Rejection, RejectionCode, excerpt, shown
from resolvers.galaxy.report.tables.line_blocks import Lines
from resolvers.galaxy.report.tables.line_parser import parse_lines

KEY = re.compile(rb"\n([0-9]{1,18})\t")
SAMPLE = 16 * 1024
"""Bytes for each sampled job number; samples serve to cut the report into windows of equal size."""
NOWHERE = -1
"""Position of blocks that are about no job at all."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some lines from line `first` on, about jobs from `low` to `high`."""

    first: int
    lines: int
    size: int
    low: int
    high: int


@dataclass
class Member:
    """One member of the report, and a reader that stands after its header."""

    kind: Kind
    name: str
    start: Lines
    blocks: list[Block] = field(default_factory=list)


@dataclass
class Survey:
    """The result of the first pass. `samples` are job numbers, each for the same number of bytes."""

    members: dict[Kind, Member] = field(default_factory=dict)
    samples: "array[int]" = field(default_factory=lambda: array("q"))


def survey(source: Source, limits: Limits, reject: Reject) -> Survey:
    """Read the whole archive once. Raises ArchiveRefused when it is broken, a bomb, or without a jobs member."""
    found = Survey()
    stream = Unzipped(source, limits)
    for entry in entries(stream, limits):
        unsafe = _unsafe(entry, found)
        if unsafe:
            name = shown(entry.name)
            reject(Rejection(name, 0, RejectionCode.UNSAFE_MEMBER, unsafe, rows=0))
        elif entry.type == "file" and (kind := kind_of_member(entry.name)):
            _take(found, kind, entry, Lines(stream, entry.size, limits), limits, reject)
    if Kind.JOBS not in found.members:
        message = "The archive has no member ending in .jobs.tsv that can be read."
        raise ArchiveRefused(RejectionCode.MISSING_MEMBER, message)
    return found


def _unsafe(entry: Entry, found: Survey) -> str | None:
    """The reason why a member is not read, if any. Nothing is ever extracted, but such archives are not from an
    exporter."""
    if entry.type in ("hard link", "symbolic link"):
        return f"The member is a {entry.type}; only regular files are read."
    if entry.type == "special":
        return "The member is neither a regular file nor a directory."
    if entry.name.startswith("/"):
        return "The name of the member is an absolute path."
    if ".." in entry.name.replace("\\", "/").split("/"):
        return "The name of the member leads out of its directory."
    kind = kind_of_member(entry.name)
    if entry.type == "file" and kind in found.members:
        return f"The archive has a second member that ends in .{kind}.tsv; only the first one is read."
    return None


def _take(found: Survey, kind: Kind, entry: Entry, lines: Lines, limits: Limits, reject: Reject) -> None:
    header = lines.header()
    name = shown(entry.name)
    if header != FORMS[kind].header:
        reject(_foreign(name, header, lines))
        return
    for remark in _remarks(name, lines):
        reject(remark)
    member = found.members[kind] = Member(kind, name, lines.copy())
    first = 2
    while text := lines.block():
        block = _block(member, text, first, limits, found.samples)
        member.blocks.append(block)
        first += block.lines


def _foreign(name: str, header: bytes, lines: Lines) -> Rejection:
    """The rejection of all rows of a member whose columns are not those of its kind."""
    rows = 0
    while text := lines.block():
        rows += text.count(b"\n")
    message = "The header does not name the columns of this member, so none of its rows was read."
    return Rejection(name, 1, RejectionCode.MALFORMED_ROW, message, excerpt(header), rows=rows)


def _remarks(name: str, lines: Lines) -> list[Rejection]:
    remarks = []
    if lines.bom:
        message = "The member begins with a byte order mark, which was left out."
        remarks.append(Rejection(name, 1, RejectionCode.ENCODING, message, rows=0))
    if lines.crlf:
        message = "The lines end in CR LF instead of LF; the CR was left out."
        remarks.append(Rejection(name, 1, RejectionCode.MALFORMED_ROW, message, rows=0))
    return remarks


def _block(member: Member, text: bytes, first: int, limits: Limits, samples: "array[int]") -> Block:
    """The jobs that the lines are about, as far as can be told without validating them."""
    lines = text.count(b"\n")
    keys = KEY.findall(b"\n" + text)
    if text.count(b"\t") != lines * (len(FORMS[member.kind].columns) - 1):
        # Truncated rows are glued to the rows of other jobs.
        keys = [row[0] for row in parse_lines(member.kind, member.name, text, first, lines, limits.line_bytes).rows]
    if not keys:
        return Block(first, lines, len(text), NOWHERE, NOWHERE)
    samples.extend(map(int, keys[:: max(1, len(keys) * SAMPLE // len(text))]))
    numbers = list(map(int, set(keys)))
    return Block(first, lines, len(text), min(numbers), max(numbers))
