"""The rows of one member, window by window."""

from collections.abc import Iterator
from itertools import compress

from resolvers.galaxy.report.limits import Limits
from resolvers.galaxy.report.rejection import Reject, Rejection, RejectionCode
from resolvers.galaxy.report.tables.block_cache import BlockCache
from resolvers.galaxy.report.tables.first_pass import Block, Member
from resolvers.galaxy.report.tables.job_windows import BlockSchedule, Window
from resolvers.galaxy.report.tables.line_parser import ParsedLines, line_excerpt, parse_lines


class MemberRows:
    """Reads the blocks of a member that a window needs. Bad lines are rejected when their block is first read."""

    def __init__(self, member: Member, limits: Limits, reject: Reject) -> None:
        self.kind = member.kind
        self.name = member.name
        self._max_line_bytes = limits.line_bytes
        self._schedule = BlockSchedule(member)
        self._cache = BlockCache(member, limits)
        self._reject = reject

    def of(self, window: Window) -> Iterator[ParsedLines]:
        """The rows of a window's jobs, block by block."""
        for index, block, fresh in self._schedule.of(window):
            text = self._cache.block(index)
            self._cache.retain(index, text, self._schedule.open)
            parsed = parse_lines(self.kind, self.name, text, block.first, block.lines, self._max_line_bytes)
            if fresh and parsed.rejections:
                self._reject_lines(parsed, block)
            if parsed.rejections or block.low <= window.low or block.high > window.high:
                parsed = _rows_between(parsed, max(window.low + 1, block.low), min(window.high, block.high))
            yield parsed

    def _reject_lines(self, parsed: ParsedLines, block: Block) -> None:
        for rejection in parsed.rejections:
            self._reject(rejection)
        for line, row in zip(parsed.lines, parsed.rows, strict=True):
            # A row after a truncated one, which the first pass did not see: no window would read it.
            if not block.low <= int(row[0]) <= block.high:
                message = "A truncated row precedes a row that is far from its place."
                excerpt = line_excerpt(self.kind, b"\t".join(row))
                self._reject(Rejection(self.name, line, RejectionCode.MALFORMED_ROW, message, excerpt))


def _rows_between(parsed: ParsedLines, low: int, high: int) -> ParsedLines:
    """The rows of jobs from `low` to `high`."""
    is_within = [low <= int(row[0]) <= high for row in parsed.rows]
    rows = list(compress(parsed.rows, is_within))
    lines = list(compress(parsed.lines, is_within))
    return ParsedLines(rows, lines, parsed.size * len(rows) // max(1, len(is_within)))
