"""The rows of one member, window by window."""

from collections.abc import Iterator

from resolvers.ingest.report.judging import Judged, judge, shown_line
from resolvers.ingest.report.limits import Limits
from resolvers.ingest.report.rejection import Reject, Rejection, RejectionCode
from resolvers.ingest.report.rereading import Rereader
from resolvers.ingest.report.survey import Block, Member
from resolvers.ingest.report.windows import Visits, Window


class Rows:
    """Reads the blocks of a member that a window needs. Bad lines are rejected when their block is first read."""

    def __init__(self, member: Member, limits: Limits, reject: Reject) -> None:
        self.kind = member.kind
        self.name = member.name
        self._longest = limits.line_bytes
        self._visits = Visits(member)
        self._reader = Rereader(member, limits)
        self._reject = reject

    def of(self, window: Window) -> Iterator[Judged]:
        """Rows of a window's jobs, block by block."""
        for index, block, fresh in self._visits.of(window):
            text = self._reader.block(index)
            self._reader.keep(index, text, self._visits.open)
            judged = judge(self.kind, self.name, text, block.first, block.lines, self._longest)
            if fresh and judged.rejections:
                self._reject_bad(judged, block)
            if judged.rejections or block.low <= window.low or block.high > window.high:
                judged = _between(judged, max(window.low + 1, block.low), min(window.high, block.high))
            yield judged

    def _reject_bad(self, judged: Judged, block: Block) -> None:
        for rejection in judged.rejections:
            self._reject(rejection)
        for line, row in zip(judged.lines, judged.rows, strict=True):
            # Found behind a half row, where the survey did not look: no window would meet it.
            if not block.low <= int(row[0]) <= block.high:
                message = "A half row stands before a row that is far from its place."
                shown = shown_line(self.kind, b"\t".join(row))
                self._reject(Rejection(self.name, line, RejectionCode.MALFORMED_ROW, message, shown))


def _between(judged: Judged, low: int, high: int) -> Judged:
    """The rows of some jobs only."""
    kept = [low <= int(row[0]) <= high for row in judged.rows]
    rows = [row for row, keep in zip(judged.rows, kept, strict=True) if keep]
    lines = [line for line, keep in zip(judged.lines, kept, strict=True) if keep]
    return Judged(rows, lines, judged.size * len(rows) // max(1, len(kept)))
