"""Ranges of jobs, called windows, that are small enough to be joined in memory, and the blocks that each must read."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from resolvers.galaxy.report.limits import Limits
from resolvers.galaxy.report.tables.first_pass import NO_JOB, SAMPLE_BYTES, Block, Member, ReportIndex

ABOVE_ALL_JOBS = 10**18
"""Greater than any job number."""


@dataclass(frozen=True)
class Window:
    """Jobs whose number is above `low` and at most `high`."""

    low: int
    high: int


def windows(index: ReportIndex, limits: Limits) -> list[Window]:
    """Ranges that cover all numbers, with about as many bytes in each.

    Exporters write members sorted by job, or sorted batches with any order within each: then nearly every block belongs
    to one window, or to two. In an unsorted report every window has to read everything again.
    """
    step = max(1, limits.window_bytes // SAMPLE_BYTES)
    cuts = sorted(set(sorted(index.samples)[step - 1 :: step]))
    return [Window(low, high) for low, high in pairwise([NO_JOB - 1, *cuts, ABOVE_ALL_JOBS])]


class BlockSchedule:
    """The blocks of a member that each window has to read, for windows in ascending order."""

    def __init__(self, member: Member) -> None:
        self._blocks = member.blocks
        self._order = sorted(range(len(member.blocks)), key=lambda index: member.blocks[index].low)
        self._next = 0
        self.open: set[int] = set()
        """Blocks that a later window needs again."""

    def of(self, window: Window) -> Iterator[tuple[int, Block, bool]]:
        """The blocks in the order of their lines, and whether each is read for the first time.

        `open` is up to date once the iterator is made, so that a reader knows which blocks to keep.
        """
        fresh = set()
        while self._next < len(self._order) and self._blocks[self._order[self._next]].low <= window.high:
            fresh.add(self._order[self._next])
            self._next += 1
        visited = sorted(self.open | fresh)
        self.open = {index for index in visited if self._blocks[index].high > window.high}
        return iter([(index, self._blocks[index], index in fresh) for index in visited])
