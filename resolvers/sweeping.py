"""Sweeping while the server runs: what would wait for somebody to look is seen to every few seconds.

Nothing depends on it but time: whoever claims next sees a lapsed lease as well. Every process sweeps, and they do not
disturb each other, since whatever a sweep changes it changes by conditional updates.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog
from pymongo.errors import PyMongoError

from resolvers.cancellation import cancelled
from resolvers.lapsing import return_lapsed
from resolvers.uploads import sweep_uploads

EVERY = 5.0
"""Seconds between two sweeps, more or less a fifth, so that processes started together do not sweep together."""
SWEEPS: list[Callable[[], Awaitable[int]]] = [return_lapsed, sweep_uploads]
"""Each answers how many things it has seen to."""

log = structlog.stdlib.get_logger("resolvers.sweeping")


@asynccontextmanager
async def sweeping(every: float = EVERY) -> AsyncIterator[None]:
    """Sweep now and then within the block."""
    task = asyncio.create_task(_sweep_for_ever(every), name="sweeping")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def sweep() -> int:
    """How many things were seen to. What fails is logged, tried again by the next sweep, and keeps no other from it."""
    done = 0
    for one in SWEEPS:
        try:
            done += await one()
        except PyMongoError as error:
            log.warning("a sweep failed", sweep=one.__name__, error=type(error).__name__)
        except Exception:
            log.exception("a sweep failed", sweep=one.__name__)
    return done


async def _sweep_for_ever(every: float) -> None:
    while not cancelled():
        await asyncio.sleep(every * random.uniform(0.8, 1.2))
        done = await sweep()
        if done:
            log.info("swept", done=done)
