"""Long work in turns, so that whoever asks for little meanwhile does not wait for long."""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

Item = TypeVar("Item")

ROWS = 500
"""Rows that are worked on before others have their turn: 2 to 3 ms, with all that an answer makes of a row."""
STEPS = 4
"""Steps that others may take in their turn: a short request takes about eight, and only some of them await a socket."""


async def give_way() -> None:
    """Let others have their turn."""
    for _ in range(STEPS):
        await asyncio.sleep(0)


async def of(items: list[Item], most: int | None = None) -> AsyncIterator[list[Item]]:
    """The items in parts of `most`, or ROWS. Others have their turn before each part, unless there is but one."""
    size = most or ROWS
    for start in range(0, len(items), size):
        if len(items) > size:
            await give_way()
        yield items[start : start + size]
