"""Requests that ask the same at the same time are answered together, each as if it had been alone."""

import asyncio
import json

import pytest

from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from tests.conftest import RoundTrips
from tests.support.builders import a_twin, a_user, keep
from tests.support.executors import Both

pytestmark = pytest.mark.usefixtures("database")

TWINS = "query ($first: Int) { digitalTwins(first: $first) { nodes { name } } }"


async def test_equal_requests_take_one_read_after_the_first(round_trips: RoundTrips) -> None:
    owner = a_user()
    await keep(owner, a_twin(owner, public=True, name="tide"))
    both = Both()

    with round_trips.counting() as seen:
        answers = await asyncio.gather(*(both.ask_plan(TWINS, first=5) for _ in range(20)))

    assert [json.loads(answer) for answer in answers] == [
        {"data": {"digitalTwins": {"nodes": [{"name": "tide"}]}}}
    ] * 20
    assert seen == [("find", "digitalTwins")] * 2


async def test_others_and_other_variables_are_answered_apart(round_trips: RoundTrips) -> None:
    owner = a_user()
    await keep(owner, a_twin(owner, public=False, name="mine"))
    both, me = Both(), Viewer(Role.USER, owner.id)

    with round_trips.counting() as seen:
        mine, theirs, fewer = await asyncio.gather(
            both.ask_plan(TWINS, me, first=5),
            both.ask_plan(TWINS, ANONYMOUS, first=5),
            both.ask_plan(TWINS, me, first=0),
        )

    assert (b"mine" in mine, b"mine" in theirs, b"mine" in fewer) == (True, False, False)
    assert len(seen) == 3
