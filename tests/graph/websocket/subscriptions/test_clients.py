"""Clients that people use: graphql-ws of npm, and gql of PyPI."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from gql import Client, GraphQLRequest
from gql.transport.exceptions import TransportQueryError
from gql.transport.websockets import WebsocketsTransport

from documents.activities.activity import ActivityStatus
from tests.graph.websocket.subscriptions.world import World, expire
from tests.support.follower import LOGS
from tests.support.needs import need_npm_packages
from tests.support.patience import BOUND, within
from tests.support.running import Running
from tests.support.tokens import make_token

HERE = Path(__file__).parent / "clients"
STATUS = "subscription Watch($id: ID!) { execution(id: $id) { status } }"


@pytest.fixture(scope="module")
def modules() -> Path:
    return need_npm_packages(HERE / "package.json")


class Following:
    """The lines that the client prints."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def next(self, seconds: float = BOUND) -> Any:
        """The next of them, None after the last."""
        assert self._process.stdout
        async with asyncio.timeout(within(seconds)):
            line = await self._process.stdout.readline()
        return json.loads(line) if line else None


@asynccontextmanager
async def graphql_ws(modules: Path, server: Running, **given: Any) -> AsyncIterator[Following]:
    """The client of npm, following."""
    address = server.url.replace("http", "ws", 1) + "/graphql"
    process = await asyncio.create_subprocess_exec(
        "node", str(HERE / "follow.mjs"), str(modules), address, json.dumps(given), stdout=subprocess.PIPE
    )
    try:
        yield Following(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_graphql_ws_follows_an_execution_to_its_end(faulty_server: Running, modules: Path, world: World) -> None:
    given = {"query": STATUS, "variables": {"id": world.execution.id}, "tokens": [faulty_server.token]}
    async with graphql_ws(modules, faulty_server, **given) as client:
        first = await client.next()
        await world.set_execution(status=ActivityStatus.RUNNING)
        second = await client.next()
        await world.set_execution(status=ActivityStatus.SUCCEEDED)
        rest = [await client.next() for _ in range(3)]

    assert [one["data"]["execution"]["status"] for one in (first, second, rest[0])] == [
        "PENDING", "RUNNING", "SUCCEEDED",
    ]  # fmt: skip
    assert "complete" in rest


async def test_graphql_ws_is_told_of_an_unknown_id_and_the_end(
    faulty_server: Running, modules: Path, world: World
) -> None:
    given = {"query": STATUS, "variables": {"id": "execution_0"}, "tokens": [faulty_server.token]}
    async with graphql_ws(modules, faulty_server, **given) as client:
        told = await client.next()

    assert told["data"] is None
    assert told["errors"][0]["extensions"]["code"] == "NOT_FOUND"


async def test_graphql_ws_comes_back_with_a_new_token_when_its_own_has_expired(
    looking: Running, modules: Path, world: World
) -> None:
    token, short = await make_token("USER", name="short", user_id=world.owner.id, lifetime=timedelta(days=1))
    given = {"query": STATUS, "variables": {"id": world.execution.id}, "tokens": [short, looking.token]}
    async with graphql_ws(modules, looking, **given) as client:
        first = await client.next()
        await expire(token.id)
        closed = await client.next()
        again = await client.next()

    assert first == again == {"data": {"execution": {"status": "PENDING"}}}
    assert closed["closed"] == 4403


async def test_gql_follows_an_execution_and_a_log_to_their_ends(faulty_server: Running, world: World) -> None:
    transport = WebsocketsTransport(
        url=faulty_server.url.replace("http", "ws", 1) + "/graphql",
        init_payload={"Authorization": f"Bearer {faulty_server.token}"},
        subprotocols=["graphql-transport-ws"],
        connect_args={"proxy": None},
    )
    await world.write(1, 3)
    async with Client(transport=transport) as session:
        execution = session.subscribe(GraphQLRequest(STATUS, variable_values={"id": world.execution.id}))
        first = await anext(execution)
        await world.set_execution(status=ActivityStatus.CANCELLED)
        last = [told async for told in execution]
        await world.set_step(0, ActivityStatus.CANCELLED)
        asked = GraphQLRequest(LOGS, variable_values={"id": world.steps[0].id})
        lines = [told async for told in session.subscribe(asked)]

    assert first == {"execution": {"status": "PENDING"}}
    assert last == [{"execution": {"status": "CANCELLED"}}]
    assert [entry["sequence"] for entry in lines[0]["activityLogs"]["entries"]] == [1, 2, 3]
    assert len(lines) == 1


async def test_gql_raises_for_an_unknown_id(faulty_server: Running) -> None:
    transport = WebsocketsTransport(
        url=faulty_server.url.replace("http", "ws", 1) + "/graphql", connect_args={"proxy": None}
    )
    async with Client(transport=transport) as session:
        with pytest.raises(TransportQueryError, match="No Execution with id execution_0"):
            async for _ in session.subscribe(GraphQLRequest(STATUS, variable_values={"id": "execution_0"})):
                pass
