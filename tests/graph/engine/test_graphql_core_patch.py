"""One field fails while others of the same answer are still being read."""

import asyncio
import gc
import warnings

import pytest
import strawberry

from graph.engine.graphql_core_patch import gather_with_cancel, patch_graphql_core

MAX_TURNS = 20


async def after(turns: int) -> int:
    """A number, so many turns of the loop later."""
    for _ in range(turns):
        await asyncio.sleep(0)
    return turns


@strawberry.type
class Leaf:
    @strawberry.field
    async def first(self) -> int:
        return await after(2)

    @strawberry.field
    async def second(self) -> int:
        return await after(3)


@strawberry.type
class Branch:
    @strawberry.field
    async def leaves(self) -> list[Leaf]:
        await after(1)
        return [Leaf(), Leaf()]

    @strawberry.field
    async def leaf(self) -> Leaf:
        await after(2)
        return Leaf()


@strawberry.type
class Query:
    @strawberry.field
    async def fails(self, after_turns: int) -> int:
        await after(after_turns)
        raise ValueError("nothing to see")

    @strawberry.field
    async def branches(self) -> list[Branch]:
        await after(2)
        return [Branch(), Branch()]


SCHEMA = strawberry.Schema(Query)
ASKED = """query ($turns: Int!) { fails(afterTurns: $turns)
  branches { leaves { first second } leaf { first second } } }"""


@pytest.mark.parametrize("turns", range(MAX_TURNS))
async def test_what_stands_beside_a_field_that_fails_leaves_nothing_unawaited(turns: int) -> None:
    patch_graphql_core()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")

        found = await SCHEMA.execute(ASKED, variable_values={"turns": turns})
        gc.collect()

    assert [error.message for error in found.errors or []] == ["nothing to see"]
    assert [str(one.message) for one in warned] == []


async def test_what_all_give_comes_in_order() -> None:
    assert await gather_with_cancel(after(3), after(1), after(2)) == [3, 1, 2]
    assert await gather_with_cancel() == []


async def test_the_others_have_ended_before_a_failure_is_raised() -> None:
    ended: list[str] = []

    async def goes_on() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            ended.append("stopped")

    async def fails() -> None:
        await after(3)
        raise ValueError("nothing to see")

    with pytest.raises(ValueError, match="nothing to see"):
        await gather_with_cancel(goes_on(), fails(), goes_on())

    assert ended == ["stopped", "stopped"]


async def test_who_is_cancelled_stops_what_it_waits_for() -> None:
    inner = [asyncio.ensure_future(asyncio.sleep(60)) for _ in range(2)]
    waiting = asyncio.ensure_future(gather_with_cancel(*inner))
    await after(2)

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert [one.cancelled() for one in inner] == [True, True]
