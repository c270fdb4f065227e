"""How the standard executor waits for the fields of an object together, and stops the others when one has failed.

graphql-core stops them at once, so also those that have not begun. What these were to wait for is then never awaited,
which Python warns of, and whether it happens depends on which of two reads is faster. So here everything begins before
it is stopped.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any

from graphql.execution import executor


def stop_only_what_has_begun() -> None:
    """Let the standard executor of this process wait in this way."""
    executor.gather_with_cancel = gather_with_cancel  # type: ignore[attr-defined]


async def gather_with_cancel(*awaitables: Awaitable[Any]) -> list[Any]:
    """What all of them give, in order. When one fails the others are stopped, and have ended before it is raised."""
    futures: list[asyncio.Future[Any]] = [asyncio.ensure_future(one) for one in awaitables]
    if not futures:
        return []
    try:
        # Not asyncio.gather, which would pass a cancellation on at once.
        await asyncio.wait(futures, return_when=asyncio.FIRST_EXCEPTION)
        return [future.result() for future in _failed_first(futures)]
    finally:
        await _stop([future for future in futures if not future.done()])
        for future in futures:
            # Asked for, since asyncio reports the errors that nobody has asked for.
            _ = future.cancelled() or future.exception()


def _failed_first(futures: list[asyncio.Future[Any]]) -> list[asyncio.Future[Any]]:
    """The one that failed when there is one, else all."""
    failed = [one for one in futures if one.done() and not one.cancelled() and one.exception() is not None]
    return failed[:1] or futures


async def _stop(futures: list[asyncio.Future[Any]]) -> None:
    loop = asyncio.get_running_loop()
    for future in futures:
        # In the next turn of the loop, in which whatever was just made has begun.
        loop.call_soon(future.cancel)
    if futures:
        await asyncio.wait(futures)
