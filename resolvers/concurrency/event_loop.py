"""Cooperative scheduling: long work pauses regularly, so that short requests do not wait for long."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import TypeVar

Item = TypeVar("Item")
Line = deque["asyncio.Future[None]"]

BATCH_ROWS = 500
"""Rows processed between pauses: 2 to 3 ms, including the work of writing them into an answer."""
YIELDS = 4
"""Event-loop iterations per pause: a short request takes about eight, of which only some await a socket."""


_lines: dict[asyncio.AbstractEventLoop, Line] = {}
"""Paused tasks of each event loop that has any."""


async def yield_to_event_loop() -> None:
    """Pause, so that other tasks run. Long tasks continue one at a time, in the order in which they paused."""
    loop = asyncio.get_running_loop()
    line = _lines.setdefault(loop, deque())
    turn: asyncio.Future[None] = loop.create_future()
    line.append(turn)
    if len(line) == 1:
        # The last iteration is the one that resumes the task.
        loop.call_soon(_pass_on, loop, line, YIELDS - 1)
    await turn


def _pass_on(loop: asyncio.AbstractEventLoop, line: Line, steps: int) -> None:
    """Resume the first paused task after some iterations of the event loop."""
    if steps > 1:
        loop.call_soon(_pass_on, loop, line, steps - 1)
        return
    turn = line.popleft()
    if not turn.done():
        turn.set_result(None)
    if line:
        loop.call_soon(_pass_on, loop, line, YIELDS)
    else:
        del _lines[loop]


async def batches(items: list[Item], most: int | None = None) -> AsyncIterator[list[Item]]:
    """The items in batches of `most`, or ROWS. Other tasks run before each batch, unless there is only one."""
    size = most or BATCH_ROWS
    for start in range(0, len(items), size):
        if len(items) > size:
            await yield_to_event_loop()
        yield items[start : start + size]
