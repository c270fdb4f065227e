"""Following through one server what workers do through another."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx2

from documents.activities.activity import ActivityStatus
from tests.graph.websocket.subscriptions.world import World
from tests.support.follower import EXECUTION, LOGS, follower
from tests.support.patience import within
from tests.support.running import Running

CLAIM = """mutation($worker:String!){claimActivity(input:{worker:$worker,kinds:[STEP]}){
    activity{id attempt}userErrors{message}}}"""
APPEND = "mutation($input:AppendLogsInput!){appendLogs(input:$input){nextSequence userErrors{code message}}}"
COMPLETE = """mutation($id:ID!,$worker:String!){completeActivity(
    input:{id:$id,worker:$worker,attempt:2,outcome:SUCCEEDED}){userErrors{code message}}}"""
LINES = 1000


class Worker:
    """A worker that speaks to a server over HTTP."""

    def __init__(self, server: Running, client: httpx2.AsyncClient) -> None:
        self._server = server
        self._client = client
        self.id = ""

    async def ask(self, query: str, **variables: Any) -> Any:
        """The payload of a mutation that was not refused."""
        headers = {"authorization": f"Bearer {self._server.token}"}
        body = {"query": query, "variables": variables}
        answer = (await self._client.post(f"{self._server.url}/graphql", json=body, headers=headers)).json()
        (payload,) = answer["data"].values()
        assert payload["userErrors"] == [], answer
        return payload

    async def append(self, first: int, count: int) -> None:
        """Append lines whose message is their number."""
        at = datetime.now(UTC).isoformat()
        entries = [{"timestamp": at, "message": str(first + place)} for place in range(count)]
        line = {"activityId": self.id, "attempt": 2, "firstSequence": first, "entries": entries}
        await self.ask(APPEND, input=line)

    async def write_everything(self) -> None:
        """Append all lines, neighbouring ones in the wrong order and some twice, and be done."""
        for first in range(1, LINES, 40):
            await self.append(first + 20, 20)
            await self.append(first, 20)
            await self.append(first + 10, 20)
            await asyncio.sleep(0.02)
        await self.ask(COMPLETE, id=self.id, worker="elsewhere")


async def test_a_client_that_comes_back_with_its_cursor_misses_no_line_and_sees_none_twice(
    faulty_server: Running, looking: Running, world: World
) -> None:
    await world.set_step(0, ActivityStatus.READY)
    seen: list[tuple[int, str]] = []
    cursor: str | None = None
    connections = 0
    async with httpx2.AsyncClient(timeout=within(), trust_env=False) as client:
        worker = Worker(looking, client)
        worker.id = (await worker.ask(CLAIM, worker="elsewhere"))["activity"]["id"]
        assert worker.id == world.steps[0].id
        writing = asyncio.create_task(worker.write_everything())

        ended = False
        while not ended:
            connections += 1
            async with follower(faulty_server) as one:
                await one.follow(LOGS, id=worker.id, after=cursor)
                for _ in range(2):
                    message = await one.message()
                    if ended := message["type"] == "complete":
                        break
                    batch = message["payload"]["data"]["activityLogs"]
                    seen += [(entry["sequence"], entry["message"]) for entry in batch["entries"]]
                    cursor = batch["cursor"]
        await writing

    assert seen == [(number, str(number)) for number in range(1, LINES + 1)]
    assert connections > 3


async def test_what_a_worker_reports_to_one_server_is_followed_at_another(
    faulty_server: Running, looking: Running, world: World
) -> None:
    await world.set_step(0, ActivityStatus.READY)
    states: list[tuple[str, list[str]]] = []
    async with follower(faulty_server) as one, httpx2.AsyncClient(timeout=within(), trust_env=False) as client:
        await one.follow(EXECUTION, id=world.execution.id)

        async def read(until: list[str]) -> None:
            while not states or states[-1][1] != until:
                told = await one.next()
                states.append((told["status"], [step["status"] for step in told["steps"]["nodes"]]))

        await read(["READY", "PENDING"])
        worker = Worker(looking, client)
        worker.id = (await worker.ask(CLAIM, worker="elsewhere"))["activity"]["id"]
        await read(["RUNNING", "PENDING"])
        await worker.append(1, 5)
        quiet = await one.silent()
        await world.set_step(1, ActivityStatus.READY)
        await worker.ask(COMPLETE, id=worker.id, worker="elsewhere")
        await read(["SUCCEEDED", "READY"])

    assert quiet
    assert ("RUNNING", ["RUNNING", "PENDING"]) in states
    assert states[-1] == ("RUNNING", ["SUCCEEDED", "READY"])
