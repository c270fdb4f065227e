"""Blocks of a member by their number, read forward where possible and from the beginning otherwise."""

from collections.abc import Container

from resolvers.galaxy.report.limits import Limits
from resolvers.galaxy.report.tables.first_pass import Member


class Rereader:
    """Gives any block of a member; cheap when blocks are requested in order, or are still cached."""

    def __init__(self, member: Member, limits: Limits) -> None:
        self._member = member
        self._most = limits.kept_bytes
        self._lines = member.start.copy()
        self._next = 0
        self._kept: dict[int, bytes] = {}

    def block(self, index: int) -> bytes:
        """The lines of block `index`."""
        if index in self._kept:
            return self._kept[index]
        if index < self._next:
            self._lines, self._next = self._member.start.copy(), 0
        while True:
            text = self._lines.block()
            self._next += 1
            if self._next > index:
                return text

    def keep(self, index: int, text: bytes, wanted: Container[int]) -> None:
        """Cache a block that was read, if it is needed again and there is room; else forget it."""
        if index not in wanted:
            self._kept.pop(index, None)
        elif sum(map(len, self._kept.values())) < self._most:
            self._kept[index] = text
