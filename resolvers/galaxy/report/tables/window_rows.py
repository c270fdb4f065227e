"""The rows of one member, window by window."""

from collections.abc import Iterator

from resolvers.galaxy.report.limits import Limits
from resolvers.galaxy.report.rejection import Reject, Rejection, RejectionCode
from resolvers.galaxy.report.tables.block_cache import Rereader
from resolvers.galaxy.report.tables.first_pass import Block, Member
from resolvers.galaxy.report.tables.job_windows import Visits, Window
from resolvers.galaxy.report.tables.line_parser import ParsedLines, parse_lines, shown_line


class Rows:
    """Reads the blocks of a member that a window needs. Bad lines are rejected when their block is first read."""

    def __init__(self, member: Member, limits: Limits, reject: Reject) -> None:
        self.kind = member.kind
        self.name = member.name
        self._longest = limits.line_bytes
        self._visits = Visits(member)
        self._reader = Rereader(member, limits)
        self._reject = reject

    def of(self, window: Window) -> Iterator[ParsedLines]:
        """Rows of a window's jobs, block by block."""
        for index, block, fresh in self._visits.of(window):
            text = self._reader.block(index)
            self._reader.keep(index, text, self._visits.open)
            parsed = parse_lines(self.kind, self.name, text, block.first, block.lines, self._longest)
            if fresh and parsed.rejections:
                self._reject_bad(parsed, block)
            if parsed.rejections or block.low <= window.low or block.high > window.high:
                parsed = _between(parsed, max(window.low + 1, block.low), min(window.high, block.high))
            yield parsed

    def _reject_bad(self, parsed: ParsedLines, block: Block) -> None:
        for rejection in parsed.rejections:
            self._reject(rejection)
        for line, row in zip(parsed.lines, parsed.rows, strict=True):
            # A row after a truncated one, which the first pass did not see: no window would read it.
            if not block.low <= int(row[0]) <= block.high:
                message = "A truncated row precedes a row that is far from its place."
                shown = shown_line(self.kind, b"\t".join(row))
                self._reject(Rejection(self.name, line, RejectionCode.MALFORMED_ROW, message, shown))


def _between(parsed: ParsedLines, low: int, high: int) -> ParsedLines:
    """The rows of some jobs only."""
    kept = [low <= int(row[0]) <= high for row in parsed.rows]
    rows = [row for row, keep in zip(parsed.rows, kept, strict=True) if keep]
    lines = [line for line, keep in zip(parsed.lines, kept, strict=True) if keep]
    return ParsedLines(rows, lines, parsed.size * len(rows) // max(1, len(kept)))
