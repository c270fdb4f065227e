"""Operations over WebSocket in tasks of their own, since cancelling an operation cancels the task that awaits it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from resolvers.reads.loaders import RequestLoader

T = TypeVar("T")

log = structlog.stdlib.get_logger("graph.detached")


async def read_detached(reading: Coroutine[Any, Any, T], loader: RequestLoader) -> T:
    """The result of a plan. When cancelled it ends between two reads: interrupting one would cost its connection."""
    running = asyncio.ensure_future(reading)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        loader.is_abandoned = True
        if loader.budget.on_spend is None:
            # It is still waiting for room.
            running.cancel()
        running.add_done_callback(_take_outcome)
        raise


async def write_detached(writing: Coroutine[Any, Any, T]) -> T:
    """The result of a mutation, which runs to its end even when its operation is cancelled."""
    running = asyncio.ensure_future(writing)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        running.add_done_callback(_take_outcome)
        raise


def _take_outcome(running: "asyncio.Future[Any]") -> None:
    if not running.cancelled() and (error := running.exception()) is not None:
        log.warning("an operation failed after its client had cancelled it", reason=type(error).__name__)
