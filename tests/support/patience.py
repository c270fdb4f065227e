"""Waiting for a state: one bound for whatever has to come true, and one setting that scales all bounds.

A bound is not a claim about speed: it is there so that a test which waits in vain ends. Where cost is the claim, count
steps, rounds or seconds of CPU; where time is, take it from the fake clock.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

PATIENCE = float(os.environ.get("TESTS_PATIENCE", "1"))
"""TESTS_PATIENCE=3 lets every wait of the tests take three times as long, on a machine that is slow."""

BOUND = 120.0
"""Seconds that a state may take to come. A server that starts in 2.5 s took more than 60 beside twenty processes."""

WORK = 0.008
"""Seconds of CPU that `_work` takes on the quiet machine on which bounds of CPU were measured."""
FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.2

Found = TypeVar("Found")


def within(seconds: float = BOUND) -> float:
    """A bound in seconds, for what waits by itself: a process, a socket, a client."""
    return seconds * PATIENCE


def cpu(seconds: float) -> float:
    """Seconds of CPU here for what takes so many on a quiet machine, by work that is measured beside."""
    took = sorted(_work() for _ in range(7))[3]
    return seconds * max(1.0, took / WORK)


def _work() -> float:
    begun = time.process_time()
    sum(len(str(number)) for number in range(100_000))
    return time.process_time() - begun


def until(true: Callable[[], Found], seconds: float = BOUND, shown: Callable[[], object] = str) -> Found:
    """The result of `true` as soon as that is true. Fails with the result of `shown` if it takes too long."""
    begun = time.monotonic()
    while not (found := true()):
        waited = time.monotonic() - begun
        assert waited < within(seconds), _in_vain(waited, shown())
        time.sleep(_pause(waited))
    return found


async def until_awaited(
    true: Callable[[], Awaitable[Found]], seconds: float = BOUND, shown: Callable[[], object] = str
) -> Found:
    """The awaited result of `true` as soon as that is true. Fails with the result of `shown` if it takes too long."""
    begun = time.monotonic()
    while not (found := await true()):
        waited = time.monotonic() - begun
        assert waited < within(seconds), _in_vain(waited, shown())
        await asyncio.sleep(_pause(waited))
    return found


def _pause(waited: float) -> float:
    # Who has waited long looks less often: a look is often a request.
    return min(FIRST_PAUSE + waited / 20, LONGEST_PAUSE)


def _in_vain(waited: float, shown: object) -> str:
    return f"It did not come true in {waited:.0f} s. {shown}".rstrip()
