"""Garbage collection is paused while an answer is made, and resumed afterwards."""

import asyncio
import gc

import pytest

from resolvers.concurrency import garbage_collection


async def paused_until(go_on: asyncio.Event) -> None:
    with garbage_collection.pause_collection():
        await go_on.wait()


async def test_collections_go_on_when_the_last_answer_is_made() -> None:
    first, second = asyncio.Event(), asyncio.Event()
    answers = [asyncio.create_task(paused_until(event)) for event in (first, second)]
    await asyncio.sleep(0)
    while_both = gc.isenabled()
    first.set()
    await answers[0]
    while_one = gc.isenabled()
    second.set()
    await answers[1]

    assert (while_both, while_one, gc.isenabled()) == (False, False, True)


async def test_an_answer_that_fails_does_not_end_collections() -> None:
    with pytest.raises(ValueError, match="no"), garbage_collection.pause_collection():
        raise ValueError("no")

    assert gc.isenabled()


async def test_answers_without_end_do_not_keep_collections_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage_collection, "MAX_PAUSE_SECONDS", 0.0)
    go_on = asyncio.Event()
    answers = [asyncio.create_task(paused_until(go_on)) for _ in range(2)]
    await asyncio.sleep(0)
    beside_each_other = gc.isenabled()
    go_on.set()
    await asyncio.gather(*answers)

    assert beside_each_other
    assert gc.isenabled()
