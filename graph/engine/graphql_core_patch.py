"""A replacement for graphql-core's way to await the fields of an object and to cancel the others when one has failed.

graphql-core cancels them at once, including those that have not started. Their coroutines are then never awaited, which
Python warns of, and whether it happens depends on which of two reads is faster. Here every field starts before it is
cancelled.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any

from graphql.execution import executor

from documents.private_apis import GATHERING


def patch_graphql_core() -> None:
    """Patch the standard executor of this process, if graphql-core has the function that is replaced."""
    if GATHERING.problem is None:
        executor.gather_with_cancel = gather_with_cancel  # type: ignore[attr-defined]


async def gather_with_cancel(*awaitables: Awaitable[Any]) -> list[Any]:
    """The results of all, in order. When one fails, the others are cancelled, and have ended before it is raised."""
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
            # The exceptions are retrieved, since asyncio logs those that are never retrieved.
            _ = future.cancelled() or future.exception()


def _failed_first(futures: list[asyncio.Future[Any]]) -> list[asyncio.Future[Any]]:
    """The first future that failed if there is one, else all."""
    failed = [one for one in futures if one.done() and not one.cancelled() and one.exception() is not None]
    return failed[:1] or futures


async def _stop(futures: list[asyncio.Future[Any]]) -> None:
    loop = asyncio.get_running_loop()
    for future in futures:
        # In the loop's next iteration, in which the new tasks have started.
        loop.call_soon(future.cancel)
    if futures:
        await asyncio.wait(futures)
