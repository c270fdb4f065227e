"""Waiting for a state: one bound for whatever has to come true, and one setting that scales all bounds.

A bound is not a claim about speed: it only ends a test that waits in vain. To test cost, count steps, round trips or
seconds of CPU; to test time, use the fake clock.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

PATIENCE = float(os.environ.get("TESTS_PATIENCE", "1"))
"""The factor of all bounds: TESTS_PATIENCE=3 lets every wait take three times as long on a slow machine."""

BOUND = 120.0
"""Seconds that a state may take to come. A server that starts in 2.5 s took more than 60 beside twenty processes."""

REFERENCE_CPU_SECONDS = 0.008
"""Seconds of CPU of `_work` on the quiet machine on which bounds of CPU were measured."""
MIN_PAUSE, MAX_PAUSE = 0.01, 0.2

Result = TypeVar("Result")


def within(seconds: float = BOUND) -> float:
    """A bound in seconds for the timeout of a process, a socket or a client."""
    return seconds * PATIENCE


def cpu(seconds: float) -> float:
    """Seconds of CPU on this machine, as it is loaded now, for work that takes `seconds` on a quiet machine."""
    took = sorted(_work() for _ in range(7))[3]
    return seconds * max(1.0, took / REFERENCE_CPU_SECONDS)


def _work() -> float:
    begun = time.process_time()
    sum(len(str(number)) for number in range(100_000))
    return time.process_time() - begun


def until(true: Callable[[], Result], seconds: float = BOUND, shown: Callable[[], object] = str) -> Result:
    """The result of `true` as soon as that is true. Fails with the result of `shown` if it takes too long."""
    begun = time.monotonic()
    while not (result := true()):
        waited = time.monotonic() - begun
        assert waited < within(seconds), _timeout_message(waited, shown())
        time.sleep(_pause(waited))
    return result


async def until_awaited(
    true: Callable[[], Awaitable[Result]], seconds: float = BOUND, shown: Callable[[], object] = str
) -> Result:
    """The awaited result of `true` as soon as that is true. Fails with the result of `shown` if it takes too long."""
    begun = time.monotonic()
    while not (result := await true()):
        waited = time.monotonic() - begun
        assert waited < within(seconds), _timeout_message(waited, shown())
        await asyncio.sleep(_pause(waited))
    return result


def _pause(waited: float) -> float:
    # Poll less often after a long wait: a poll is often a request.
    return min(MIN_PAUSE + waited / 20, MAX_PAUSE)


def _timeout_message(waited: float, shown: object) -> str:
    return f"It did not come true in {waited:.0f} s. {shown}".rstrip()
