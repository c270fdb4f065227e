"""The sweep loop: expired leases and uploads are handled every few seconds while the server runs.

Without it, an expired lease would only be found by the next claim, and the bytes of uploads would stay. Every process
sweeps, and they do not disturb each other, since sweeps change rows by conditional updates.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from documents.outage import outage_of
from resolvers.activities.lease import requeue_expired
from resolvers.concurrency.task_cancellation import is_cancelled
from resolvers.outage_log import count_outage
from resolvers.sweeps.uploads import sweep_uploads

SWEEP_INTERVAL = 5.0
"""Seconds between two sweeps, give or take a fifth, so that processes started together do not sweep together."""
SWEEPS: list[Callable[[], Awaitable[int]]] = [requeue_expired, sweep_uploads]
"""The sweeps, each of which returns how many rows it has handled."""

log = structlog.stdlib.get_logger("resolvers.sweeping")


@asynccontextmanager
async def run_sweeper(interval: float = SWEEP_INTERVAL, when: Callable[[], bool] = lambda: True) -> AsyncIterator[None]:
    """Sweep at intervals within the block; each sweep is skipped unless `when` returns true."""
    task = asyncio.create_task(_sweep_until_cancelled(interval, when), name="sweeping")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def sweep() -> int:
    """Run all sweeps; returns how many rows they handled. A failure is logged and stops no other sweep."""
    done = 0
    for sweep_rows in SWEEPS:
        try:
            done += await sweep_rows()
        except Exception as error:
            if outage_of(error):
                count_outage("a sweep failed", error, sweep_rows.__name__)
            else:
                log.exception("a sweep failed", sweep=sweep_rows.__name__)
    return done


async def _sweep_until_cancelled(interval: float, when: Callable[[], bool]) -> None:
    while not is_cancelled():
        await asyncio.sleep(interval * random.uniform(0.8, 1.2))
        done = await sweep() if when() else 0
        if done:
            log.info("a sweep finished", done=done)
