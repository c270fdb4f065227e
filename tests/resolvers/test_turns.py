"""Long work lets others have their turn, short work is done at once."""

import asyncio

from resolvers import turns


async def test_others_have_several_steps_between_the_parts_of_long_work() -> None:
    numbers = list(range(3 * turns.ROWS - 1))
    seen: list[int] = []
    other = asyncio.ensure_future(_counted(seen))

    parts: list[list[int]] = []
    async for part in turns.of(numbers):
        parts.append(part)
        seen.append(-1)

    other.cancel()
    assert [len(part) for part in parts] == [turns.ROWS, turns.ROWS, turns.ROWS - 1]
    assert [number for part in parts for number in part] == numbers
    assert _between(seen) == [turns.STEPS] * 3


async def test_short_work_is_done_at_once() -> None:
    seen: list[int] = []
    other = asyncio.ensure_future(_counted(seen))

    parts = [part async for part in turns.of(list(range(turns.ROWS)))]

    other.cancel()
    assert (len(parts), seen) == (1, [])
    assert [part async for part in turns.of(seen)] == []


async def _counted(seen: list[int]) -> None:
    """Count each step that one may take."""
    while True:
        seen.append(1)
        await asyncio.sleep(0)


def _between(seen: list[int]) -> list[int]:
    """How many steps were taken before each -1."""
    found = [0]
    for one in seen:
        if one == -1:
            found.append(0)
        else:
            found[-1] += 1
    return found[:-1]
