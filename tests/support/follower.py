"""A client that follows something over a WebSocket, as the protocol says."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.patience import BOUND, until_awaited, within
from tests.support.running import Running

EXECUTION = "subscription($id:ID!){execution(id:$id){status steps(first:100){nodes{key status}}}}"
LOGS = "subscription($id:ID!,$after:String){activityLogs(id:$id,after:$after){entries{sequence message}cursor}}"


class Follower:
    """One socket with one operation on it."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def follow(self, query: str, operation: str = "1", **variables: object) -> None:
        payload = {"query": query, "variables": variables}
        await self.socket.send(json.dumps({"id": operation, "type": "subscribe", "payload": payload}))

    async def message(self, seconds: float = BOUND) -> dict[str, Any]:
        """The next message, whichever."""
        async with asyncio.timeout(within(seconds)):
            message: dict[str, Any] = json.loads(await self.socket.recv())
        return message

    async def next(self, seconds: float = BOUND) -> Any:
        """The data of the next message, which must hold some."""
        message = await self.message(seconds)
        assert message["type"] == "next", message
        assert "errors" not in message["payload"], message
        (value,) = message["payload"]["data"].values()
        return value

    async def rest(self, seconds: float = BOUND) -> list[dict[str, Any]]:
        """Every message up to the one that ends the operation."""
        messages = [await self.message(seconds)]
        while messages[-1]["type"] == "next":
            messages.append(await self.message(seconds))
        return messages

    async def silent(self, seconds: float = 1) -> bool:
        """Whether nothing comes for a while."""
        try:
            await self.message(seconds)
        except TimeoutError:
            return True
        return False

    async def wait_for_close(self, seconds: float = BOUND) -> tuple[int, str]:
        """Read everything until the connection is closed; returns the code and the reason."""
        async with asyncio.timeout(within(seconds)):
            with suppress(ConnectionClosed):
                while True:
                    await self.socket.recv()
            await self.socket.wait_closed()
        return self.socket.close_code or 0, self.socket.close_reason or ""


@asynccontextmanager
async def follower(server: Running, token: str | None = None, **options: Any) -> AsyncIterator[Follower]:
    """A client that was let in, with the server's admin token unless told otherwise; anonymous with an empty one."""
    address = server.url.replace("http", "ws", 1) + "/graphql"
    async with connect(address, subprotocols=["graphql-transport-ws"], proxy=None, **options) as socket:  # type: ignore[list-item]
        secret = server.token if token is None else token
        payload = {"payload": {"Authorization": f"Bearer {secret}"}} if secret else {}
        await socket.send(json.dumps({"type": "connection_init", **payload}))
        assert json.loads(await socket.recv()) == {"type": "connection_ack"}
        yield Follower(socket)


def gauge(server: Running, name: str) -> int:
    """A number that the server gives at /metrics."""
    (line,) = (line for line in server.get("/metrics").text.splitlines() if line.startswith(f"{name} "))
    return int(float(line.split()[1]))


GAUGES = ("provenance_websockets_open", "provenance_subscriptions_open")


async def wait_until_unfollowed(server: Running, *gauges: str) -> None:
    """Wait until the server follows nothing any more."""

    async def is_gone() -> bool:
        return not any(gauge(server, name) for name in gauges or GAUGES)

    await until_awaited(is_gone)


def tasks(server: Running) -> int:
    """The number of tasks of a faulty server."""
    return int(server.post("{tasks}").json()["data"]["tasks"])


async def at_most(server: Running, count: int) -> None:
    """Returns when a faulty server does no more than so many things side by side."""

    async def is_quiet() -> bool:
        return tasks(server) <= count

    await until_awaited(is_quiet)
