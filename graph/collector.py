"""No garbage collection while an answer is made: all of its objects are needed, and looking through them finds nothing.

Of a big answer that took 3 to 7 % of the time, in holds of the event loop that were its longest. What an answer leaves
behind is freed without the collector, since nothing of it refers to itself.
"""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST_PAUSE = 10.0
"""Seconds without collections, beyond which they go on beside answers that follow upon each other without end."""

_pausing = 0
_since = 0.0


@contextmanager
def paused() -> Iterator[None]:
    """Nothing is collected in this block, nor in others like it that run beside it."""
    global _pausing, _since
    if not _pausing:
        _since = time.monotonic()
        gc.disable()
    elif time.monotonic() - _since > LONGEST_PAUSE:
        gc.enable()
    _pausing += 1
    try:
        yield
    finally:
        _pausing -= 1
        if not _pausing:
            gc.enable()
