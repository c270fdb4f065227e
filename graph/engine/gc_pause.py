"""Pauses of garbage collection while an answer is made: all its objects are in use, so a scan would free nothing.

Collections took 3 to 7 % of the time of a big answer, in its longest blocks of the event loop. The answer itself is
freed without the collector, since it contains no reference cycles.
"""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager

MAX_PAUSE_SECONDS = 10.0
"""Seconds of pause after which collections resume even if answers follow each other without end."""

_pauses = 0
_paused_since = 0.0


@contextmanager
def gc_paused() -> Iterator[None]:
    """Pause collection in this block, and in all concurrent ones like it."""
    global _pauses, _paused_since
    if not _pauses:
        _paused_since = time.monotonic()
        gc.disable()
    elif time.monotonic() - _paused_since > MAX_PAUSE_SECONDS:
        gc.enable()
    _pauses += 1
    try:
        yield
    finally:
        _pauses -= 1
        if not _pauses:
            gc.enable()
