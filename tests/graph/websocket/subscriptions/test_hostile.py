"""Clients that do not behave: they are told so, or closed, and leave nothing behind."""

import asyncio
import json
from typing import Any

import pytest

from documents.activities.activity import ActivityStatus
from tests.graph.websocket.subscriptions.world import World
from tests.support.follower import EXECUTION, LOGS, at_most, follower, gauge, tasks, wait_until_unfollowed
from tests.support.running import Running

STATUS = "subscription($id:ID!){execution(id:$id){status}}"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("subscription{execution{status}}", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription($id:ID!){a:execution(id:$id){id} b:execution(id:$id){id}}", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription{__typename}", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription($id:ID!){execution(id:$id){" + "id " * 20 + "".join(f"a{n}:id " for n in range(31)) + "}}",
         "LIMIT_EXCEEDED"),
        ("subscription($other:ID!){execution(id:$other){id}}", "BAD_USER_INPUT"),
    ],
)  # fmt: skip
async def test_a_subscription_that_cannot_be_run_is_one_error(
    faulty_server: Running, world: World, query: str, code: str
) -> None:
    async with follower(faulty_server) as client:
        await client.follow(query, id=world.execution.id)
        message = await client.message()

    assert message["type"] == "error"
    assert message["payload"][0]["extensions"]["code"] == code


@pytest.mark.parametrize("directive", ["@skip(if:true)", "@include(if:false)", "@include(if:$on)"])
async def test_a_subscription_to_nothing_ends_and_leaves_the_socket_open(
    faulty_server: Running, world: World, directive: str
) -> None:
    query = f"subscription($id:ID!,$on:Boolean=false){{execution(id:$id){directive}{{status @skip(if:$on)}}}}"
    async with follower(faulty_server) as client:
        await client.follow(query, id=world.execution.id)
        ended = await client.rest()
        await client.follow(STATUS, id=world.execution.id)

        assert "hunter2" not in str(ended)
        assert (await client.next())["status"] == "PENDING"


async def test_a_socket_follows_at_most_20_things(faulty_server: Running, world: World) -> None:
    async with follower(faulty_server) as client:
        for number in range(21):
            await client.follow(STATUS, str(number), id=world.execution.id)
        messages = [await client.message() for _ in range(21)]

        assert gauge(faulty_server, "provenance_subscriptions_open") == 20
    refused = [message for message in messages if message["type"] == "error"]
    assert [message["id"] for message in refused] == ["20"]
    await wait_until_unfollowed(faulty_server)


async def test_an_id_in_use_closes_the_socket(faulty_server: Running, world: World) -> None:
    async with follower(faulty_server) as client:
        await client.follow(STATUS, id=world.execution.id)
        await client.follow(STATUS, id=world.execution.id)

        assert (await client.wait_for_close())[0] == 4409
    await wait_until_unfollowed(faulty_server)


async def test_what_is_completed_by_the_client_is_told_no_more_and_its_id_is_free(
    faulty_server: Running, world: World
) -> None:
    async with follower(faulty_server) as client:
        await client.follow(STATUS, id=world.execution.id)
        await client.next()

        await client.socket.send(json.dumps({"id": "1", "type": "complete"}))
        await client.socket.send(json.dumps({"id": "nothing", "type": "complete"}))
        await world.set_execution(status=ActivityStatus.RUNNING)
        silent = await client.silent()
        await client.follow(STATUS, id=world.execution.id)
        again = await client.next()

    assert silent
    assert again["status"] == "RUNNING"


async def test_beginning_and_giving_up_500_times_leaves_nothing_behind(faulty_server: Running, world: World) -> None:
    before = tasks(faulty_server)
    async with follower(faulty_server) as client:

        async def read() -> None:
            async for message in client.socket:
                if json.loads(message)["id"] == "last":
                    return

        reading = asyncio.create_task(read())
        for number in range(500):
            query = (EXECUTION, LOGS)[number % 2]
            id = (world.execution.id, world.steps[0].id)[number % 2]
            await client.follow(query, str(number), id=id)
            await client.socket.send(json.dumps({"id": str(number), "type": "complete"}))
        # The server takes messages in order, so by this answer it has taken all of them.
        await client.follow("{hello}", "last")
        await reading
        await wait_until_unfollowed(faulty_server, "provenance_subscriptions_open")
    await wait_until_unfollowed(faulty_server)

    await at_most(faulty_server, before)


async def test_a_client_that_reads_late_gets_the_newest_state_and_not_everything_since(
    looking: Running, world: World
) -> None:
    query = "subscription($id:ID!){execution(id:$id){status title description}}"
    async with follower(looking, compression=None, max_queue=1, max_size=None) as client:
        await client.follow(query, id=world.execution.id)
        await client.next()
        client.socket.transport.pause_reading()
        # More than the buffers of both systems take, so that the server waits for the client.
        for number in range(12):
            await world.set_execution(title=f"t{number}", description=f"{number}" * 700_000)
            await asyncio.sleep(0.15)
        await world.set_execution(status=ActivityStatus.SUCCEEDED, title="the last", description="short")
        await asyncio.sleep(0.5)

        client.socket.transport.resume_reading()
        *told, end = await client.rest()

    assert told[-1]["payload"]["data"]["execution"]["title"] == "the last"
    assert end["type"] == "complete"
    print(f"{len(told)} messages")
    assert len(told) < 12


async def test_a_client_that_never_reads_is_given_up(faulty_server: Running, world: World) -> None:
    query = "subscription($id:ID!){execution(id:$id){title description}}"
    async with follower(faulty_server, compression=None, max_queue=1, max_size=None) as client:
        await client.follow(query, id=world.execution.id)
        await client.next()
        client.socket.transport.pause_reading()
        for number in range(16):
            await world.set_execution(title=f"t{number}", description=f"{number}" * 700_000)
            await asyncio.sleep(0.15)

        # Within three seconds, which this server gives.
        await wait_until_unfollowed(faulty_server)
        client.socket.transport.abort()


@pytest.mark.parametrize(
    "message",
    [
        {"type": "subscribe"},
        {"type": "subscribe", "id": "1"},
        {"type": "subscribe", "id": "1", "payload": {"query": 5}},
        {"type": "subscribe", "id": 5, "payload": {"query": "{hello}"}},
        {"type": "subscribe", "id": "1", "payload": {"query": "{hello}", "variables": []}},
        {"type": "nonsense"},
        {"id": "1"},
        {"type": "next", "id": "1", "payload": {}},
        {"type": "complete"},
        {"type": None},
    ],
    ids=str,
)
async def test_what_is_no_message_of_the_protocol_closes_the_socket(
    faulty_server: Running, message: dict[str, Any]
) -> None:
    async with follower(faulty_server) as client:
        await client.socket.send(json.dumps(message))

        assert (await client.wait_for_close())[0] == 4400
    await wait_until_unfollowed(faulty_server)


async def test_subscriptions_are_not_answered_over_http(faulty_server: Running, world: World) -> None:
    answer = faulty_server.post(STATUS, {"id": world.execution.id})

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
