"""The lag of the event loop is measured as tasks suffer it."""

import time

from graph.metrics.event_loop import CHECK_INTERVAL, lag_histogram, measure_lag
from graph.metrics.families import Histogram
from tests.support.patience import until_awaited


def measured(histogram: Histogram, *, above: float = 0.0) -> float:
    """How many measurements there are in buckets with bounds above so many seconds."""
    bounds = (*histogram.bounds, float("inf"))
    values = histogram.values().get((), [])
    counts = values[:-1] if isinstance(values, list) else []
    return sum(count for bound, count in zip(bounds, counts, strict=False) if bound > above)


def hold_the_thread(seconds: float) -> None:
    time.sleep(seconds)


async def test_work_that_holds_the_thread_is_measured_as_lag() -> None:
    histogram = lag_histogram()

    async def begun() -> bool:
        return measured(histogram) > 0

    async def lagged() -> bool:
        return measured(histogram, above=CHECK_INTERVAL) > 0

    async with measure_lag(histogram):
        await until_awaited(begun)
        hold_the_thread(3 * CHECK_INTERVAL)
        await until_awaited(lagged)

    assert histogram.snapshot().values[()]
