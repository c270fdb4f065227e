"""Many sockets at once, and what is left of them when they are gone."""

import asyncio
import time
from contextlib import AsyncExitStack

from documents.activity import ActivityStatus
from tests.graph.subscriptions.follower import EXECUTION, LOGS, Follower, follower, gauge
from tests.graph.subscriptions.world import World
from tests.running import Running

MANY = 200
GAUGES = ("provenance_websockets_open", "provenance_subscriptions_open")


async def following(stack: AsyncExitStack, server: Running, world: World) -> list[Follower]:
    """Many clients that know the present state."""
    clients = [await stack.enter_async_context(follower(server)) for _ in range(MANY)]
    for client in clients:
        await client.follow(EXECUTION, id=world.execution.id)
    await asyncio.gather(*(client.next(30) for client in clients))
    return clients


async def test_a_change_made_by_another_process_reaches_200_sockets_within_a_second(
    altered: Running, world: World
) -> None:
    async with AsyncExitStack() as stack:
        clients = await following(stack, altered, world)
        gauges = [gauge(altered, name) for name in GAUGES]

        began = time.perf_counter()
        await world.set_step(0, ActivityStatus.RUNNING)
        told = await asyncio.gather(*(client.next(30) for client in clients))
        seconds = time.perf_counter() - began

    print(f"a change reached {MANY} sockets in {seconds:.2f} s")
    assert gauges == [MANY, MANY]
    assert all(execution["steps"]["nodes"][0]["status"] == "RUNNING" for execution in told)
    # About 0.3 s on a quiet machine; this one may be doing other things.
    assert seconds < 5


async def test_a_burst_of_changes_ends_with_the_last_state_on_every_socket_and_costs_little(
    altered: Running, world: World
) -> None:
    async with AsyncExitStack() as stack:
        clients = await following(stack, altered, world)
        before = altered.cpu()

        for number in range(1000):
            await world.set_step(number % 2, ActivityStatus.RUNNING, worker=str(number))
        await world.set_step(0, ActivityStatus.SUCCEEDED)
        await world.set_step(1, ActivityStatus.SUCCEEDED)
        await world.set_execution(status=ActivityStatus.SUCCEEDED)
        told = await asyncio.gather(*(client.rest(60) for client in clients))
        used = altered.cpu() - before

    last = {str(messages[-2]["payload"]) for messages in told}
    assert len(last) == 1
    assert last.pop().count("SUCCEEDED") == 3
    assert all(messages[-1]["type"] == "complete" for messages in told)
    # 200,000 reads, one for each change and socket, would take minutes.
    print(f"the server used {used:.1f} s for it")
    assert used < 15


async def test_after_closing_tasks_and_memory_are_what_they_were(altered: Running, world: World) -> None:
    await world.write(1, 50)

    async def rounds(count: int) -> tuple[int, int]:
        for _ in range(count):
            async with AsyncExitStack() as stack:
                clients = await following(stack, altered, world)
                for client in clients[::2]:
                    await client.follow(LOGS, "2", id=world.steps[0].id)
                # Half of them go without a word.
                for client in clients[::4]:
                    client.socket.transport.abort()
        deadline = time.monotonic() + 20
        while any(gauge(altered, name) for name in GAUGES):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        await asyncio.sleep(1)
        answer = altered.post("{tasks memory}").json()["data"]
        return answer["tasks"], answer["memory"]

    warm, _ = altered.post("{tasks memory}").json()["data"].values()
    _, before = await rounds(2)
    tasks, after = await rounds(3)

    print(f"{after - before} kB more after 600 sockets")
    assert tasks <= warm
    assert after - before < 20_000
