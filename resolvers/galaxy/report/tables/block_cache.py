"""A cache of the blocks of a member, which reads forward where possible and from the beginning otherwise."""

from collections.abc import Container

from resolvers.galaxy.report.limits import Limits
from resolvers.galaxy.report.tables.first_pass import Member


class BlockCache:
    """Reads any block of a member: cheap when blocks are requested in order, or are still cached."""

    def __init__(self, member: Member, limits: Limits) -> None:
        self._member = member
        self._max_bytes = limits.max_cached_bytes
        self._lines = member.start.copy()
        self._next = 0
        self._blocks: dict[int, bytes] = {}

    def block(self, index: int) -> bytes:
        """The lines of block `index`."""
        if index in self._blocks:
            return self._blocks[index]
        if index < self._next:
            self._lines, self._next = self._member.start.copy(), 0
        while True:
            text = self._lines.block()
            self._next += 1
            if self._next > index:
                return text

    def retain(self, index: int, text: bytes, needed: Container[int]) -> None:
        """Cache a block if it is needed again and there is room; else remove it from the cache."""
        if index not in needed:
            self._blocks.pop(index, None)
        elif sum(map(len, self._blocks.values())) < self._max_bytes:
            self._blocks[index] = text
