"""A patch of graphql-core: how it awaits the fields of an object, and cancels the others when one has failed.

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
    """The results of all, in order. When one fails, the others are cancelled, and end before its error is raised."""
    futures: list[asyncio.Future[Any]] = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    if not futures:
        return []
    try:
        # Not asyncio.gather, which would pass a cancellation on at once.
        await asyncio.wait(futures, return_when=asyncio.FIRST_EXCEPTION)
        return [future.result() for future in _first_failed_or_all(futures)]
    finally:
        await _cancel([future for future in futures if not future.done()])
        for future in futures:
            # The exceptions are retrieved, since asyncio logs those that are never retrieved.
            _ = future.cancelled() or future.exception()


def _first_failed_or_all(futures: list[asyncio.Future[Any]]) -> list[asyncio.Future[Any]]:
    """The first future that failed if there is one, else all."""
    failed = [
        future for future in futures if future.done() and not future.cancelled() and future.exception() is not None
    ]
    return failed[:1] or futures


async def _cancel(futures: list[asyncio.Future[Any]]) -> None:
    loop = asyncio.get_running_loop()
    for future in futures:
        # In the loop's next iteration, in which the new tasks have started.
        loop.call_soon(future.cancel)
    if futures:
        await asyncio.wait(futures)
