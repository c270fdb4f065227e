"""Following an execution: its present state, then each change that anybody makes, to its end."""

import time

from documents.activities.activity import ActivityStatus
from resolvers.activities.change_stream import MIN_WAKE_INTERVAL
from tests.graph.websocket.subscriptions.world import World, a_world
from tests.support.follower import EXECUTION, follower
from tests.support.running import Running

STATUS = "subscription($id:ID!){execution(id:$id){status}}"


def states(execution: dict[str, object]) -> list[str]:
    """The states of an execution's steps."""
    return [step["status"] for step in execution["steps"]["nodes"]]  # type: ignore[index]


async def test_the_present_state_comes_first_then_each_change_of_the_execution_or_a_step(
    faulty_server: Running, world: World
) -> None:
    async with follower(faulty_server, token="") as client:
        await client.follow(EXECUTION, id=world.execution.id)

        first = await client.next()
        await world.set_step(0, ActivityStatus.RUNNING)
        second = await client.next()
        await world.set_execution(status=ActivityStatus.RUNNING)
        third = await client.next()
        await world.set_step(1, ActivityStatus.RUNNING)
        fourth = await client.next()

    assert (first["status"], states(first)) == ("PENDING", ["PENDING", "PENDING"])
    assert (second["status"], states(second)) == ("PENDING", ["RUNNING", "PENDING"])
    assert (third["status"], states(third)) == ("RUNNING", ["RUNNING", "PENDING"])
    assert (fourth["status"], states(fourth)) == ("RUNNING", ["RUNNING", "RUNNING"])


BELOW = """id title tags description digitalTwin { id name }
  s: steps(first: 2) {
    nodes { key status outputs { nodes { id } totalCount } } pageInfo { endCursor }
  }"""


async def test_what_is_told_is_what_a_query_answers(faulty_server: Running, world: World) -> None:
    query = f"query($id: ID!) {{ execution: node(id: $id) {{ ... on Execution {{ {BELOW} }} }} }}"
    async with follower(faulty_server) as client:
        await client.follow(f"subscription($id: ID!) {{ x: execution(id: $id) {{ {BELOW} }} }}", id=world.execution.id)
        told = await client.next()

    assert told == faulty_server.ask(query, {"id": world.execution.id})["execution"]
    assert len(told["s"]["nodes"]) == 2


async def test_the_stream_completes_after_a_terminal_state(faulty_server: Running, world: World) -> None:
    async with follower(faulty_server) as client:
        await client.follow(STATUS, id=world.execution.id)
        await client.next()

        await world.set_execution(status=ActivityStatus.FAILED)
        failed, end = await client.rest()
        await client.follow(STATUS, operation="2", id=world.execution.id)
        again, second_end = await client.rest()

    assert failed["payload"] == again["payload"] == {"data": {"execution": {"status": "FAILED"}}}
    assert (end, second_end) == ({"id": "1", "type": "complete"}, {"id": "2", "type": "complete"})


async def test_what_looks_as_before_is_not_sent_again(faulty_server: Running, world: World) -> None:
    async with follower(faulty_server) as client:
        await client.follow(STATUS, id=world.execution.id)
        await client.next()

        await world.set_step(0, ActivityStatus.RUNNING)
        quiet = await client.silent()
        await world.set_execution(status=ActivityStatus.RUNNING)
        changed = await client.next()

    assert quiet
    assert changed == {"status": "RUNNING"}


async def test_changes_of_other_executions_are_not_told(faulty_server: Running, world: World) -> None:
    other = await a_world()
    async with follower(faulty_server) as client:
        await client.follow(EXECUTION, id=world.execution.id)
        await client.next()

        await other.set_step(0, ActivityStatus.RUNNING)

        assert await client.silent()


async def test_two_operations_of_one_socket_follow_two_executions(faulty_server: Running, world: World) -> None:
    other = await a_world()
    async with follower(faulty_server) as client:
        await client.follow(STATUS, operation="a", id=world.execution.id)
        await client.follow(STATUS, operation="b", id=other.execution.id)
        first = {(await client.message())["id"] for _ in range(2)}

        await other.set_execution(status=ActivityStatus.SUCCEEDED)
        told = await client.rest()
        await world.set_execution(status=ActivityStatus.CANCELLED)
        last = await client.rest()

    assert first == {"a", "b"}
    assert [message["id"] for message in told] == ["b", "b"]
    assert [message["id"] for message in last] == ["a", "a"]


async def test_a_thousand_changes_at_once_are_told_in_a_few_messages_the_last_of_which_is_true(
    faulty_server: Running, world: World
) -> None:
    query = "subscription($id:ID!){execution(id:$id){title status}}"
    async with follower(faulty_server) as client:
        await client.follow(query, id=world.execution.id)
        await client.next()

        began = time.monotonic()
        await world.set_in_turn((world.execution, {"title": f"title {number}"}) for number in range(1000))
        await world.set_execution(status=ActivityStatus.SUCCEEDED)
        *told, end = await client.rest()
        took = time.monotonic() - began

    assert told[-1]["payload"]["data"]["execution"] == {"title": "title 999", "status": "SUCCEEDED"}
    assert end["type"] == "complete"
    # However long it takes: never two within a tenth of a second.
    assert len(told) <= took / MIN_WAKE_INTERVAL + 2
    assert MIN_WAKE_INTERVAL == 0.1


async def test_an_unknown_id_is_one_error_and_the_end(faulty_server: Running) -> None:
    for id in ("execution_000000000000000000000000", "step_1", "", "é"):
        async with follower(faulty_server) as client:
            await client.follow(STATUS, id=id)
            told, end = await client.rest()

        assert told["payload"]["data"] is None
        (error,) = told["payload"]["errors"]
        assert (error["path"], error["extensions"]["code"]) == (["execution"], "NOT_FOUND")
        assert end["type"] == "complete"


async def test_an_alias_and_fragments_are_answered_as_in_a_query(faulty_server: Running, world: World) -> None:
    query = """subscription Watch($id: ID!, $all: Boolean!) { ...Root }
        fragment Root on Subscription { run: execution(id: $id) { ...Run digitalTwin @include(if: $all) { name } } }
        fragment Run on Execution { id status __typename }"""
    async with follower(faulty_server) as client:
        await client.follow(query, id=world.execution.id, all=True)
        told = await client.message()

    assert told["payload"]["data"]["run"] == {
        "id": world.execution.id, "status": "PENDING", "__typename": "Execution",
        "digitalTwin": {"name": world.twin.name},
    }  # fmt: skip
