"""The switches of Python's garbage collector: which objects it leaves alone, when it pauses, and how often it runs.

Collections search objects for reference cycles. Where very many objects are in use and none is in a cycle, as while an
answer is made, they find nothing: they took 3 to 7 % of the time of a big answer, in its longest blocks of the event
loop. The answer itself is freed without the collector.
"""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager

MAX_PAUSE_SECONDS = 10.0
"""Seconds of pause after which collections resume even if answers follow each other without end."""
SERVER_THRESHOLDS = (50_000, 50, 100)
"""Allocations between collections: a big answer makes many objects, all of them in use and none in a cycle."""

_pauses = 0
_paused_at = 0.0


@contextmanager
def pause_collection() -> Iterator[None]:
    """Pause collection in this block, and in all concurrent ones like it."""
    global _pauses, _paused_at
    if not _pauses:
        _paused_at = time.monotonic()
        gc.disable()
    elif time.monotonic() - _paused_at > MAX_PAUSE_SECONDS:
        gc.enable()
    _pauses += 1
    try:
        yield
    finally:
        _pauses -= 1
        if not _pauses:
            gc.enable()


@contextmanager
def disable_collection() -> Iterator[None]:
    """Disable collection in this block, which nothing runs beside, unless it is disabled already."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def load_modules() -> Iterator[None]:
    """Load modules in this block without collections, which saves a fifth of the time, and exempt what they make."""
    with disable_collection():
        try:
            yield
        finally:
            gc.freeze()


def exempt_current_objects() -> None:
    """Exempt the objects made so far from collections: those made when a process starts stay for as long as it runs."""
    gc.collect()
    gc.freeze()


def set_server_thresholds() -> None:
    """Collect less often, as suits a process that makes big answers."""
    gc.set_threshold(*SERVER_THRESHOLDS)
