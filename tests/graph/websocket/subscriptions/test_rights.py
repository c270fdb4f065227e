"""The rights of a subscription are checked again for each event: those to the twin, and those of the token."""

from datetime import timedelta

import pytest

from documents.activities.activity import ActivityStatus
from documents.mongo.database import Database
from resolvers.activities import subscriptions
from tests.graph.websocket.subscriptions.world import World, a_world, expire
from tests.support.builders import an_output, keep
from tests.support.follower import EXECUTION, LOGS, follower
from tests.support.running import Running
from tests.support.tokens import make_token, revoke

pytestmark = pytest.mark.usefixtures("elsewhere")


async def secret_of(world: World, lifetime: timedelta | None = None) -> tuple[str, str]:
    """The id and the secret of a fresh token of the owner."""
    token, secret = await make_token("USER", name="follower", user_id=world.owner.id, lifetime=lifetime)
    return token.id, secret


async def test_a_twin_made_private_while_it_is_followed_looks_like_an_unknown_id_from_then_on(
    faulty_server: Running, world: World
) -> None:
    unknown = "execution_000000000000000000000000"
    async with follower(faulty_server, token="") as client:
        await client.follow(EXECUTION, id=world.execution.id)
        await client.next()
        await world.set_public(False)
        hidden = await client.rest()
        await client.follow(EXECUTION, id=world.execution.id)
        again = await client.rest()
        await client.follow(EXECUTION, id=unknown)
        never = await client.rest()

    assert hidden == again
    assert str(hidden).replace(world.execution.id, unknown) == str(never)
    assert hidden[0]["payload"]["data"] is None
    assert hidden[-1] == {"id": "1", "type": "complete"}


async def test_the_owner_goes_on_following_a_twin_that_was_made_private(faulty_server: Running, world: World) -> None:
    _, secret = await secret_of(world)
    async with follower(faulty_server, secret) as client:
        await client.follow(EXECUTION, id=world.execution.id)
        await client.next()

        await world.set_public(False)
        quiet = await client.silent()
        await world.set_step(0, ActivityStatus.RUNNING)
        changed = await client.next()

    assert quiet
    assert changed["steps"]["nodes"][0]["status"] == "RUNNING"


async def test_a_private_twin_is_followed_by_nobody_else(faulty_server: Running) -> None:
    private = await a_world(public=False)
    other = await a_world()
    _, secret = await secret_of(other)
    for token in ("", secret):
        async with follower(faulty_server, token) as client:
            await client.follow(EXECUTION, id=private.execution.id)
            told, _ = await client.rest()

        assert told["payload"]["errors"][0]["extensions"]["code"] == "NOT_FOUND"


async def test_an_output_that_is_withdrawn_is_missing_from_the_next_message(
    faulty_server: Running, world: World
) -> None:
    output = an_output(world.steps[0], public=True)
    await keep(output)
    query = "subscription($id:ID!){execution(id:$id){status steps{nodes{outputs{nodes{fileName}}}}}}"
    async with follower(faulty_server, token="") as client:
        await client.follow(query, id=world.execution.id)
        before = await client.next()
        await output.get_pymongo_collection().update_one({"_id": output.id}, {"$set": {"access_control.public": False}})
        await world.set_execution(status=ActivityStatus.RUNNING)
        after = await client.next()

    assert before["steps"]["nodes"][0]["outputs"]["nodes"] == [{"fileName": output.file_name}]
    assert after["steps"]["nodes"][0]["outputs"]["nodes"] == []


async def test_what_no_change_is_told_of_is_seen_within_some_seconds(looking: Running, world: World) -> None:
    assert subscriptions.POLL_INTERVAL == 10
    query = "subscription($id:ID!){execution(id:$id){steps{nodes{outputs{nodes{fileName}}}}}}"
    async with follower(looking) as client:
        await client.follow(query, id=world.execution.id)
        await client.next()

        await keep(output := an_output(world.steps[0]))

        seen = await client.next()
    assert seen["steps"]["nodes"][0]["outputs"]["nodes"] == [{"fileName": output.file_name}]


async def test_a_revoked_token_closes_the_socket_at_the_next_delivery(faulty_server: Running, world: World) -> None:
    id, secret = await secret_of(world)
    async with follower(faulty_server, secret) as client:
        await client.follow(EXECUTION, "a", id=world.execution.id)
        await client.follow(LOGS, "b", id=world.steps[0].id)
        await client.next()

        await revoke(id)
        await world.set_step(0, ActivityStatus.RUNNING)

        assert await client.wait_for_close() == (4403, "The token is invalid, has expired or was revoked.")


async def test_a_token_that_expires_closes_the_socket_though_nothing_changes(looking: Running, world: World) -> None:
    id, secret = await secret_of(world, timedelta(days=1))
    async with follower(looking, secret) as client:
        await client.follow(EXECUTION, id=world.execution.id)
        await client.next()

        await expire(id)

        assert (await client.wait_for_close())[0] == 4403


async def test_a_revoked_token_closes_the_socket_that_asks_another_question(
    faulty_server: Running, world: World
) -> None:
    id, secret = await secret_of(world)
    async with follower(faulty_server, secret) as client:
        await revoke(id)

        await client.follow("query($id:ID!){node(id:$id){id}}", id=world.execution.id)

        assert (await client.wait_for_close())[0] == 4403


async def test_the_rest_of_the_world_notices_nothing(faulty_server: Running, world: World, elsewhere: Database) -> None:
    id, secret = await secret_of(world)
    async with follower(faulty_server, secret) as one, follower(faulty_server) as other:
        for client in (one, other):
            await client.follow(EXECUTION, id=world.execution.id)
            await client.next()

        await revoke(id)
        await world.set_step(1, ActivityStatus.RUNNING)

        assert (await one.wait_for_close())[0] == 4403
        assert (await other.next())["steps"]["nodes"][1]["status"] == "RUNNING"
