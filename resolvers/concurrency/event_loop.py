"""Cooperative scheduling: long tasks pause regularly, so that short requests do not wait for long."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Queue = deque["asyncio.Future[None]"]

BATCH_ROWS = 500
"""Rows processed between pauses: 2 to 3 ms, including the time to write them into an answer."""
YIELDS = 4
"""Event-loop iterations per pause: a short request takes about eight, of which only some await a socket."""

_queues: dict[asyncio.AbstractEventLoop, Queue] = {}
"""Paused tasks of each event loop that has any."""


async def yield_to_event_loop() -> None:
    """Pause, so that other tasks run. Paused tasks resume one at a time, in the order in which they paused."""
    loop = asyncio.get_running_loop()
    queue = _queues.setdefault(loop, deque())
    turn: asyncio.Future[None] = loop.create_future()
    queue.append(turn)
    if len(queue) == 1:
        # The last iteration is the one that resumes the task.
        loop.call_soon(_resume_after, YIELDS - 1, loop, queue)
    await turn


def _resume_after(iterations: int, loop: asyncio.AbstractEventLoop, queue: Queue) -> None:
    """Resume the first paused task after some iterations of the event loop."""
    if iterations > 1:
        loop.call_soon(_resume_after, iterations - 1, loop, queue)
        return
    turn = queue.popleft()
    if not turn.done():
        turn.set_result(None)
    if queue:
        loop.call_soon(_resume_after, YIELDS, loop, queue)
    else:
        del _queues[loop]


async def batches(items: list[Item], size: int | None = None) -> AsyncIterator[list[Item]]:
    """The items in batches of `size`, or BATCH_ROWS. Other tasks run before each batch, unless there is only one."""
    size = size or BATCH_ROWS
    for start in range(0, len(items), size):
        if len(items) > size:
            await yield_to_event_loop()
        yield items[start : start + size]


def weight_of_ids(ids: Collection[str]) -> int:
    """The work, in rows, of a row that holds these ids: ten ids are compared in the time of one row."""
    return 1 + len(ids) // 10


async def weighted_batches(items: Iterable[Item], weights: Iterable[int]) -> AsyncIterator[list[Item]]:
    """The items in batches of about equal work: one is full when its items weigh as much as BATCH_ROWS rows.

    Other tasks run between batches.
    """
    batch: list[Item] = []
    batch_weight = 0
    for item, weight in zip(items, weights, strict=True):
        if batch_weight >= BATCH_ROWS:
            yield batch
            await yield_to_event_loop()
            batch, batch_weight = [], 0
        batch.append(item)
        batch_weight += weight
    if batch:
        yield batch
