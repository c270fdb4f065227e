"""The sizes of the database's replies, counted before they are decoded into rows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

Row = dict[str, Any]

_count: ContextVar[Callable[[int], object] | None] = ContextVar("count", default=None)
"""Called with the size of each reply."""


@contextmanager
def counting_replies(count: Callable[[int], object]) -> Iterator[None]:
    """Call `count` with the size in bytes of each reply to a find within the block, before it is decoded.

    An error that `count` raises ends the find.
    """
    token = _count.set(count)
    try:
        yield
    finally:
        _count.reset(token)


def count_reply(size: int) -> None:
    """Report the size of one more reply to the counter."""
    if (count := _count.get()) is not None:
        count(size)
