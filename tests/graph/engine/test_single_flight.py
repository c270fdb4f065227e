"""Equal questions that wait at the same time are answered once, and never by what was read before they were asked."""

import asyncio

import pytest

from graph.engine.single_flight import MAX_KEY_LENGTH, IsWanted, SingleFlight, key_of


class Kitchen:
    """Counts what it makes; each dish is ready when it is told to be."""

    def __init__(self) -> None:
        self.made = 0
        self.ready: list[asyncio.Event] = []

    async def make(self, is_wanted: IsWanted) -> int:
        self.made += 1
        number, ready = self.made, asyncio.Event()
        self.ready.append(ready)
        await ready.wait()
        return number

    async def serve(self, number: int) -> None:
        """Let the dish of a number be ready, and those who wait for it have it."""
        self.ready[number - 1].set()
        for _ in range(5):
            await asyncio.sleep(0)


def ask(single_flight: SingleFlight[int], kitchen: Kitchen, key: str = "a") -> "asyncio.Task[int | None]":
    return asyncio.ensure_future(single_flight.answer(key, kitchen.make))


async def test_those_who_ask_while_one_is_answered_share_the_next_answer() -> None:
    single_flight, kitchen = SingleFlight[int](), Kitchen()
    first = ask(single_flight, kitchen)
    await asyncio.sleep(0)
    others = [ask(single_flight, kitchen) for _ in range(10)]
    await asyncio.sleep(0)
    await kitchen.serve(1)
    late = ask(single_flight, kitchen)
    await asyncio.sleep(0)
    await kitchen.serve(2)
    await kitchen.serve(3)

    assert (await first, await asyncio.gather(*others), await late) == (1, [2] * 10, 3)
    assert not single_flight._waiters


async def test_other_questions_are_answered_beside_it() -> None:
    single_flight, kitchen = SingleFlight[int](), Kitchen()
    asked = [ask(single_flight, kitchen, key) for key in ("a", "b")]
    await asyncio.sleep(0)

    assert kitchen.made == 2
    await kitchen.serve(1)
    await kitchen.serve(2)
    assert await asyncio.gather(*asked) == [1, 2]


async def test_that_there_is_no_answer_is_told_to_all_who_wait() -> None:
    single_flight, ready = SingleFlight[int](), asyncio.Event()
    tried = 0

    async def nothing(is_wanted: IsWanted) -> None:
        nonlocal tried
        tried += 1
        await ready.wait()

    first = asyncio.ensure_future(single_flight.answer("a", nothing))
    await asyncio.sleep(0)
    others = [asyncio.ensure_future(single_flight.answer("a", nothing)) for _ in range(3)]
    await asyncio.sleep(0)
    ready.set()

    assert await asyncio.gather(first, *others) == [None] * 4
    assert tried == 1
    assert not single_flight._waiters


async def test_an_error_reaches_its_own_caller_only() -> None:
    single_flight, kitchen = SingleFlight[int](), Kitchen()

    async def fail(is_wanted: IsWanted) -> int:
        raise ValueError("no")

    first = ask(single_flight, kitchen)
    await asyncio.sleep(0)
    failing = asyncio.ensure_future(single_flight.answer("a", fail))
    await asyncio.sleep(0)
    other = ask(single_flight, kitchen)
    await asyncio.sleep(0)
    await kitchen.serve(1)
    await kitchen.serve(2)

    assert (await first, await other) == (1, 2)
    with pytest.raises(ValueError, match="no"):
        await failing
    assert not single_flight._waiters


@pytest.mark.parametrize("gone", [0, 1, 2])
async def test_who_hangs_up_keeps_nobody_waiting(gone: int) -> None:
    single_flight, kitchen = SingleFlight[int](), Kitchen()
    asked = []
    for _ in range(4):
        asked.append(ask(single_flight, kitchen))
        await asyncio.sleep(0)

    asked[gone].cancel()
    await asyncio.sleep(0)
    for number in range(1, kitchen.made + 1):
        await kitchen.serve(number)
    for number in range(1, kitchen.made + 1):
        await kitchen.serve(number)

    done = await asyncio.gather(*asked, return_exceptions=True)
    assert [isinstance(one, int) for one in done] == [place != gone for place in range(4)]
    assert not single_flight._waiters


async def test_who_hangs_up_in_the_moment_of_their_turn_passes_it_on() -> None:
    single_flight, kitchen = SingleFlight[int](), Kitchen()
    asked: list[asyncio.Task[int | None]] = []
    gate = asyncio.Event()

    async def make(is_wanted: IsWanted) -> int:
        await gate.wait()
        # Runs after the second has been told that it is up to them, and before they hear of it.
        asyncio.get_running_loop().call_soon(asked[0].cancel)
        return 0

    first = asyncio.ensure_future(single_flight.answer("a", make))
    await asyncio.sleep(0)
    asked += [ask(single_flight, kitchen), ask(single_flight, kitchen)]
    await asyncio.sleep(0)
    gate.set()
    await first
    while not kitchen.made:
        await asyncio.sleep(0)
    await kitchen.serve(1)

    assert (await asked[1], kitchen.made, asked[0].cancelled()) == (1, 1, True)
    assert not single_flight._waiters


@pytest.mark.parametrize("long", ["\x7f" * 1_000_000, "\U0001f600" * 100_000])
def test_what_stands_for_values_tells_them_apart_and_is_short(long: str) -> None:
    values = [{"a": value} for value in (1, "1", True, None, [1], {"b": 1}, long, long + "a")]

    keys = [key_of(value) for value in values]

    assert len(set(keys)) == len(values)
    assert keys == [key_of(dict(value)) for value in values]
    assert max(map(len, keys)) <= MAX_KEY_LENGTH
