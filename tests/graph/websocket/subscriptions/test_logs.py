"""Following a log: every line once and in order, whoever writes, however often the client comes back."""

import time
from typing import Any

import pytest

from documents.activities.activity import ActivityStatus
from resolvers.activities import subscriptions
from tests.graph.websocket.subscriptions.conftest import REORDER_TIMEOUT
from tests.graph.websocket.subscriptions.world import World, a_world
from tests.support.follower import LOGS, Follower, follower
from tests.support.running import Running


async def lines(client: Follower, count: int) -> tuple[list[int], str]:
    """The sequences of the next so many lines, and the cursor after them."""
    found: list[int] = []
    cursor = ""
    while len(found) < count:
        batch = await client.next()
        assert batch["entries"]
        found += [entry["sequence"] for entry in batch["entries"]]
        cursor = batch["cursor"]
    return found, cursor


def written(messages: list[dict[str, Any]]) -> list[int]:
    """The sequences of the lines in messages."""
    batches = [message["payload"]["data"]["activityLogs"] for message in messages if message["type"] == "next"]
    return [entry["sequence"] for batch in batches for entry in batch["entries"]]


async def test_lines_that_are_there_come_first_then_those_that_follow(faulty_server: Running, world: World) -> None:
    await world.write(1, 450)
    async with follower(faulty_server) as client:
        await client.follow(LOGS, id=world.steps[0].id)
        there, _ = await lines(client, 450)
        await world.write(451, 460)
        following, _ = await lines(client, 10)

    assert there == list(range(1, 451))
    assert following == list(range(451, 461))


async def test_a_cursor_goes_on_where_it_was_given(faulty_server: Running, world: World) -> None:
    await world.write(1, 3)
    async with follower(faulty_server) as client:
        await client.follow(LOGS, id=world.steps[0].id)
        _, cursor = await lines(client, 3)
    await world.write(4, 5)

    async with follower(faulty_server) as client:
        await client.follow(LOGS, id=world.steps[0].id, after=cursor)
        following, _ = await lines(client, 2)

    assert following == [4, 5]


async def test_a_cursor_of_a_page_of_logs_is_one_to_follow_from_and_the_other_way_round(
    faulty_server: Running, world: World
) -> None:
    await world.write(1, 5)
    page = """query($id:ID!,$after:String){node(id:$id){... on Step{logs(first:2,after:$after){
        nodes{sequence}pageInfo{endCursor}}}}}"""

    logs = faulty_server.ask(page, {"id": world.steps[0].id})["node"]["logs"]
    async with follower(faulty_server) as client:
        await client.follow(LOGS, id=world.steps[0].id, after=logs["pageInfo"]["endCursor"])
        following, cursor = await lines(client, 3)
    after = faulty_server.ask(page, {"id": world.steps[0].id, "after": cursor})["node"]["logs"]

    assert following == [3, 4, 5]
    assert after["nodes"] == []


async def test_the_stream_completes_when_the_activity_has_ended_and_all_lines_are_sent(
    faulty_server: Running, world: World
) -> None:
    async with follower(faulty_server) as client:
        await client.follow(LOGS, id=world.steps[0].id)
        await world.write(1, 2)
        await lines(client, 2)

        await world.write(3, 500)
        await world.set_step(0, ActivityStatus.SUCCEEDED)
        told = await client.rest()

    assert written(told) == list(range(3, 501))
    assert told[-1] == {"id": "1", "type": "complete"}


async def test_an_activity_that_ended_without_a_line_completes_without_a_message(
    faulty_server: Running, world: World
) -> None:
    await world.set_step(0, ActivityStatus.CANCELLED)
    async with follower(faulty_server) as client:
        await client.follow(LOGS, id=world.steps[0].id)

        assert await client.rest() == [{"id": "1", "type": "complete"}]


async def test_lines_stored_before_those_that_belong_before_them_are_told_in_order(
    faulty_server: Running, world: World
) -> None:
    await world.set_step(0, ActivityStatus.RUNNING)
    async with follower(faulty_server) as client:
        await client.follow(LOGS, id=world.steps[0].id)
        await world.write(101, 200)
        early = await client.silent(1)
        await world.write(1, 100)
        told, _ = await lines(client, 200)

    assert early
    assert told == list(range(1, 201))


async def test_lines_that_never_come_are_waited_for_a_few_seconds_alone(looking: Running, world: World) -> None:
    assert subscriptions.REORDER_TIMEOUT == 5
    await world.set_step(0, ActivityStatus.RUNNING)
    await world.write(1, 2)
    await world.write(5, 6)
    await world.write(9, 9)
    async with follower(looking) as client:
        began = time.monotonic()
        await client.follow(LOGS, id=world.steps[0].id)
        at_once, _ = await lines(client, 2)
        rest, _ = await lines(client, 3)
        waited = time.monotonic() - began

    assert at_once == [1, 2]
    assert waited >= REORDER_TIMEOUT
    assert rest == [5, 6, 9]


async def test_lines_that_come_late_are_told_once_also_to_who_comes_back(faulty_server: Running, world: World) -> None:
    await world.set_step(0, ActivityStatus.RUNNING, attempt=2)
    # Of an earlier attempt, so that nobody waits for those between.
    await world.write(1, 2, attempt=1)
    await world.write(9, 10, attempt=1)
    async with follower(faulty_server) as client:
        await client.follow(LOGS, id=world.steps[0].id)
        early, before = await lines(client, 4)
        await world.write(3, 4, attempt=1)
        late, after = await lines(client, 2)
    await world.write(5, 6, attempt=1)
    await world.write(11, 12, attempt=2)
    rest = []
    for cursor in (before, after):
        async with follower(faulty_server) as client:
            await client.follow(LOGS, id=world.steps[0].id, after=cursor)
            found, _ = await lines(client, 6 if cursor == before else 4)
            rest.append(found)

    assert (early, late) == ([1, 2, 9, 10], [3, 4])
    assert rest == [[3, 4, 5, 6, 11, 12], [5, 6, 11, 12]]


async def test_lines_that_look_alike_are_told_each(faulty_server: Running, world: World) -> None:
    messages = "subscription($id:ID!){activityLogs(id:$id){entries{message}}}"
    async with follower(faulty_server) as client:
        await client.follow(messages, id=world.steps[0].id)
        told = []
        for number in (1, 2, 3):
            await world.write(number, number, message="tick")
            told.append(await client.next())

    assert told == [{"entries": [{"message": "tick"}]}] * 3


async def test_lines_that_an_earlier_attempt_left_out_are_not_waited_for(faulty_server: Running, world: World) -> None:
    await world.set_step(0, ActivityStatus.RUNNING, attempt=2)
    await world.write(1, 2, attempt=1)
    await world.write(5, 6, attempt=1)
    await world.write(7, 8, attempt=2)
    async with follower(faulty_server) as client:
        await client.follow(LOGS, id=world.steps[0].id)

        batch = await client.next()

    assert [entry["sequence"] for entry in batch["entries"]] == [1, 2, 5, 6, 7, 8]


async def test_an_empty_cursor_is_none(faulty_server: Running, world: World) -> None:
    await world.write(1, 2)
    async with follower(faulty_server) as client:
        await client.follow(LOGS, id=world.steps[0].id, after="")

        batch = await client.next()

    assert [entry["sequence"] for entry in batch["entries"]] == [1, 2]


@pytest.mark.parametrize("after", ["nonsense", "W10", "A" * 5000])
async def test_what_is_no_cursor_is_refused(faulty_server: Running, world: World, after: str) -> None:
    async with follower(faulty_server) as client:
        await client.follow(LOGS, id=world.steps[0].id, after=after)
        told, end = await client.rest()

    assert told["payload"]["errors"][0]["extensions"]["code"] == "BAD_CURSOR"
    assert end["type"] == "complete"


async def test_an_unknown_activity_and_one_that_may_not_be_seen_look_the_same(
    faulty_server: Running, world: World
) -> None:
    hidden = await a_world(public=False)
    await hidden.write(1, 1)
    told = []
    for id in (hidden.steps[0].id, "step_000000000000000000000000", world.execution.id, "nonsense"):
        async with follower(faulty_server, token="") as client:
            await client.follow(LOGS, id=id)
            first, end = await client.rest()
        assert end["type"] == "complete"
        told.append(str(first["payload"]).replace(id, "ID"))

    assert len(set(told)) == 1
    assert "NOT_FOUND" in told[0]


async def test_a_public_twin_hidden_while_its_log_is_followed_ends_the_stream(
    faulty_server: Running, world: World
) -> None:
    await world.write(1, 1)
    async with follower(faulty_server, token="") as client:
        await client.follow(LOGS, id=world.steps[0].id)
        await lines(client, 1)

        await world.set_public(False)
        await world.write(2, 2)
        told, end = await client.rest()

    assert told["payload"]["data"] is None
    assert told["payload"]["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    assert end["type"] == "complete"
