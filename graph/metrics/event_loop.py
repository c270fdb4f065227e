"""The lag of the event loop: by how much it wakes a task too late, because other work holds its thread."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from graph.metrics.families import Histogram
from resolvers.concurrency.task_cancellation import is_cancelled

CHECK_INTERVAL = 0.25
"""Seconds between two measurements."""
LAG_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


def lag_histogram() -> Histogram:
    """The metric of the lag."""
    return Histogram(
        "provenance_event_loop_lag_seconds",
        "By how much the event loop woke a task too late; measured four times a second in each process.",
        [],
        LAG_BOUNDS,
    )


@asynccontextmanager
async def measure_lag(histogram: Histogram) -> AsyncIterator[None]:
    """Measure the lag of the running event loop within the block."""
    task = asyncio.create_task(_measure(histogram), name="event-loop lag")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _measure(histogram: Histogram) -> None:
    loop = asyncio.get_running_loop()
    while not is_cancelled():
        due = loop.time() + CHECK_INTERVAL
        await asyncio.sleep(CHECK_INTERVAL)
        histogram.add(max(0.0, loop.time() - due))
