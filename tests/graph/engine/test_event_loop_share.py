"""A kind of work gets a part of the time, and no more however much of it there is."""

import asyncio

import pytest

from graph.engine import event_loop_share
from graph.engine.event_loop_share import TimeShare


class Timer:
    """Time that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def timer(monkeypatch: pytest.MonkeyPatch) -> Timer:
    made = Timer()
    monkeypatch.setattr(event_loop_share, "time", made)
    return made


def test_work_is_taken_until_the_burst_is_used_up_and_again_after_a_rest(timer: Timer) -> None:
    share = TimeShare(0.25, burst=1.0)

    share.add(1.0)
    at_its_end = share.is_used_up
    share.add(0.5)
    beyond = share.is_used_up
    timer.now += 1.9
    too_soon = share.is_used_up
    timer.now += 0.1

    assert (at_its_end, beyond, too_soon, share.is_used_up) == (False, True, True, False)


def test_in_the_long_run_it_is_no_more_than_the_share(timer: Timer) -> None:
    share, taken = TimeShare(0.25, burst=1.0), 0.0

    for _ in range(10_000):
        if not share.is_used_up:
            share.add(0.01)
            taken += 0.01
        timer.now += 0.01

    assert taken == pytest.approx(0.25 * 100 + 1.0, abs=0.1)


async def test_who_waits_for_a_turn_and_gives_up_takes_nothing() -> None:
    share = TimeShare(0.5, burst=0.1)
    share.add(60.0)

    waiting = [asyncio.ensure_future(share.wait_for_turn(60.0)) for _ in range(3)]
    await asyncio.sleep(0)
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)

    assert 118 < share._seconds_to_wait() < 120
