"""Long work lets others have their turn, short work is done at once."""

import asyncio

from resolvers.concurrency import event_loop


async def test_others_have_several_steps_between_the_parts_of_long_work() -> None:
    numbers = list(range(3 * event_loop.BATCH_ROWS - 1))
    seen: list[int] = []
    other = asyncio.ensure_future(_count_steps(seen))

    parts: list[list[int]] = []
    async for part in event_loop.batches(numbers):
        parts.append(part)
        seen.append(-1)

    other.cancel()
    assert [len(part) for part in parts] == [event_loop.BATCH_ROWS, event_loop.BATCH_ROWS, event_loop.BATCH_ROWS - 1]
    assert [number for part in parts for number in part] == numbers
    assert _between(seen) == [event_loop.YIELDS] * 3


async def test_of_those_with_long_work_one_goes_on_at_a_time() -> None:
    seen: list[int] = []
    other = asyncio.ensure_future(_count_steps(seen))

    async def work() -> None:
        await event_loop.yield_to_event_loop()
        seen.append(-1)

    await asyncio.gather(*(work() for _ in range(5)))

    other.cancel()
    assert _between(seen)[1:] == [event_loop.YIELDS] * 4


async def test_who_is_cancelled_while_giving_way_holds_up_nobody() -> None:
    first, second = (asyncio.ensure_future(event_loop.yield_to_event_loop()) for _ in range(2))
    await asyncio.sleep(0)

    first.cancel()
    await second

    assert first.cancelled()
    await event_loop.yield_to_event_loop()


async def test_short_work_is_done_at_once() -> None:
    seen: list[int] = []
    other = asyncio.ensure_future(_count_steps(seen))

    parts = [part async for part in event_loop.batches(list(range(event_loop.BATCH_ROWS)))]

    other.cancel()
    assert (len(parts), seen) == (1, [])
    assert [part async for part in event_loop.batches(seen)] == []


async def test_batches_of_unequal_items_are_about_equal_work() -> None:
    weights = [event_loop.BATCH_ROWS - 1, 1, 1, event_loop.BATCH_ROWS, event_loop.BATCH_ROWS + 1, 1]
    seen: list[int] = []
    other = asyncio.ensure_future(_count_steps(seen))

    parts: list[list[int]] = []
    async for part in event_loop.weighted_batches(weights, weights):
        parts.append(part)
        seen.append(-1)

    other.cancel()
    assert parts == [weights[:2], weights[2:4], weights[4:5], weights[5:]]
    assert _between(seen) == [0] + [event_loop.YIELDS] * 3


async def _count_steps(seen: list[int]) -> None:
    """Count each step that one may take."""
    while True:
        seen.append(1)
        await asyncio.sleep(0)


def _between(seen: list[int]) -> list[int]:
    """The number of steps before each -1."""
    found = [0]
    for one in seen:
        if one == -1:
            found.append(0)
        else:
            found[-1] += 1
    return found[:-1]
