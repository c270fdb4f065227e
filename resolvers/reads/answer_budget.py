"""The budget of one answer, counted while the answer grows.

A row that many parents share is read once and written for each of them, so each written occurrence of an object counts,
and each byte of its text. Both are counted before a level is expanded, so that neither the time nor the memory of an
answer grows beyond its limits.
"""

from collections.abc import Callable
from dataclasses import dataclass

from resolvers.limits import MAX_ANSWER_BYTES, MAX_ANSWER_OBJECTS
from resolvers.user_errors import LimitExceeded

STORED_BYTES_PER_BYTE = 8
"""Bytes that may be read for each byte of an answer …"""
EXTRA_STORED_BYTES = 128_000_000
"""… up to this many more than the answer's own limit."""
MIN_STORED_BYTES = 1_000_000
"""Bytes that may be read however small the answer's limit is."""


@dataclass(frozen=True)
class AnswerLimits:
    """Limits of one answer."""

    objects: int = MAX_ANSWER_OBJECTS
    bytes: int = MAX_ANSWER_BYTES

    @property
    def stored_bytes(self) -> int:
        """Bytes that may be read for an answer: more than its own limit, since not all that is read is shown."""
        return max(MIN_STORED_BYTES, min(STORED_BYTES_PER_BYTE * self.bytes, self.bytes + EXTRA_STORED_BYTES))


class AnswerTooLarge(LimitExceeded):
    """An answer that exceeds its limits. It ends the whole answer, not only the field that met it."""


class AnswerBudget:
    """The size of one answer so far, within its limits."""

    def __init__(self, limits: AnswerLimits) -> None:
        self.limits = limits
        self.objects = 0
        """Occurrences of objects."""
        self.bytes = 0
        """Bytes of text that will certainly be in the answer."""
        self.stored_bytes = 0
        """Bytes that were read for the answer."""
        self.round_trips = 0
        """Commands sent to the database for this answer alone; point reads are shared, and not counted."""
        self.on_spend: Callable[[int], object] | None = None
        """Called with the number of objects so far; ends the answer by raising an error."""

    @property
    def bytes_left(self) -> int:
        """Bytes by which the text may still grow."""
        return self.limits.bytes - self.bytes

    def add_objects(self, occurrences: int) -> None:
        """Count objects of a level that is about to be expanded. Raises AnswerTooLarge."""
        self.objects += occurrences
        self._check()
        if self.on_spend is not None:
            self.on_spend(self.objects)

    def expect_objects(self, occurrences: int) -> None:
        """Raise AnswerTooLarge where so many objects more, which are counted later, exceed the limit of an answer."""
        if self.objects + occurrences > self.limits.objects:
            self.add_objects(occurrences)

    def add_bytes(self, size: int) -> None:
        """Count text that will be in the answer. Raises AnswerTooLarge."""
        self.bytes += size
        self._check()

    def add_stored_bytes(self, size: int) -> None:
        """Count bytes of the database's replies, before rows are made of them. Raises AnswerTooLarge."""
        self.stored_bytes += size
        if self.stored_bytes > self.limits.stored_bytes:
            raise AnswerTooLarge(
                f"The answer would be made from more than {self.limits.stored_bytes:,} stored bytes. Ask for "
                "smaller pages, fewer levels or fewer fields."
            )

    def check_text(self, size: int) -> None:
        """Raise AnswerTooLarge where text of this size exceeds the limit of an answer."""
        if size > self.limits.bytes:
            raise AnswerTooLarge(
                f"The answer would hold more than {self.limits.bytes:,} bytes. Ask for smaller pages, fewer levels or "
                "fewer fields."
            )

    def subtract(self, objects: int, bytes: int) -> None:
        """Subtract objects and bytes that will be read and counted again."""
        self.objects -= objects
        self.bytes -= bytes

    def reset(self) -> None:
        """Reset the counts, for an answer that is executed again."""
        self.objects = self.bytes = self.stored_bytes = 0
        self.on_spend = None

    def _check(self) -> None:
        # Once one limit is exceeded, no other work is started either.
        if self.objects > self.limits.objects:
            raise AnswerTooLarge(
                f"The answer would hold more than {self.limits.objects:,} objects. Ask for smaller pages or fewer "
                "levels; an object counts each time it occurs."
            )
        if self.bytes > self.limits.bytes:
            self.check_text(self.bytes)
