"""The real server with some more fields, for what the real ones cannot be made to do: be slow, fail, tell their CPU.

`python -m tests.support.faulty_server` serves it as `provenance-graph serve` does. It gives clients up sooner, and
hears of changes by the change stream alone. ALTERED_CONSTANTS gives these and other constants of its code other values
from the beginning: `{"graph.server.run.GRACEFUL_SHUTDOWN_TIMEOUT": 1}`.
"""

import asyncio
import gc
import importlib
import json
import os
import resource
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import strawberry
import typer
from pymongo.errors import ExecutionTimeout, OperationFailure, ServerSelectionTimeoutError

from documents.embedded_mongod.server import EmbeddedError
from documents.storage.bucket import BucketFull, BucketUnavailable
from graph import schema as real
from graph import subscription
from graph.core.scalars import JSON
from graph.errors import PublicError
from graph.http import send_buffers
from graph.server.assemble import serve
from graph.settings import SettingsError, load_settings
from graph.websocket import endpoint
from resolvers.activities import subscriptions
from resolvers.user_errors import NotFound

SECRET = "mongodb://admin:hunter2-canary@db.internal:27017"


OUTAGES = {
    "away": ServerSelectionTimeoutError("db.internal:27017: refused"),
    "late": ExecutionTimeout("operation exceeded time limit", 50),
    "bucket": BucketUnavailable("storage.internal answers 503"),
    "full": BucketFull("The bucket is full: No space left on device."),
    "disk": OperationFailure("no space in storage.internal", 14031),
}


class Faulty(Exception):
    """An error such as a driver raises, with the address that it could not reach."""


@strawberry.type
class Thing:
    name: str = "thing"

    @strawberry.field
    def broken(self) -> str | None:
        raise Faulty(f"cannot reach {SECRET}")

    @strawberry.field
    def late(self) -> str | None:
        raise OUTAGES["late"]


@strawberry.type(name="Query")
class Query(real.Query):
    @strawberry.field
    def hello(self) -> str:
        return "world"

    @strawberry.field
    def thing(self, ids: list[int] | None = None) -> Thing:
        return Thing()

    @strawberry.field
    def echo(self, value: JSON) -> JSON:
        return JSON(json.dumps(value))

    @strawberry.field
    def number(self, value: int) -> int:
        return value

    @strawberry.field
    def wrong_type(self) -> int:
        return SECRET  # type: ignore[return-value]

    @strawberry.field
    def missing(self) -> str | None:
        raise NotFound("Thing", "thing_1")

    @strawberry.field
    def refused(self) -> str | None:
        raise PublicError("No more today.", "LIMIT_EXCEEDED")

    @strawberry.field
    def lost(self, how: str = "away") -> str | None:
        """Fails as what reads from the database or the bucket does."""
        raise OUTAGES[how]

    @strawberry.field
    async def slow(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "done"

    @strawberry.field
    async def held(self, path: str) -> str:
        """Answers once there is a file."""
        await _wait_for(path)
        return "done"

    @strawberry.field
    def stuck(self, seconds: float) -> str:
        """Holds up the whole process."""
        print("stuck", flush=True)
        time.sleep(seconds)
        return "done"

    @strawberry.field
    def cpu(self) -> float:
        """Seconds of CPU that this process has used."""
        return time.process_time()

    @strawberry.field
    def tasks(self) -> int:
        """The number of tasks of this process."""
        return len(asyncio.all_tasks())

    @strawberry.field
    def memory(self) -> int:
        """Kilobytes that this process holds, once what is not needed is collected."""
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() // 1024


@strawberry.type(name="Mutation")
class Mutation(real.Mutation):
    @strawberry.mutation
    def touch(self) -> bool:
        print("touched", flush=True)
        return True

    @strawberry.mutation
    async def touch_late(self, path: str) -> bool:
        """Ends once there is a file."""
        print("touching", flush=True)
        await _wait_for(path)
        print("touched late", flush=True)
        return True

    @strawberry.mutation
    def alter(self, constant: str, value: float) -> float:
        """Give a constant of the code another value; the one that it had."""
        return _alter(constant, value)

    @strawberry.mutation
    def lose(self, how: str = "away") -> str | None:
        raise OUTAGES[how]


@strawberry.type(name="Subscription")
class Subscription(subscription.Subscription):
    @strawberry.subscription
    async def count(self, to: int) -> AsyncGenerator[int, None]:
        for n in range(to):
            yield n
        if to > 5:
            raise Faulty(f"cannot reach {SECRET}")

    @strawberry.subscription
    async def role(self, info: strawberry.Info) -> AsyncGenerator[str, None]:
        yield info.context.loader.viewer.role.value


async def _wait_for(path: str) -> None:
    while not Path(path).exists():
        await asyncio.sleep(0.01)


def _alter(constant: str, value: float) -> float:
    module, _, name = constant.rpartition(".")
    code = importlib.import_module(module)
    before: float = getattr(code, name)
    setattr(code, name, value)
    return before


def schema_with_faults() -> real.Schema:
    """The real schema with additional fields that fail, wait or write."""
    return real.make_schema(query=Query, mutation=Mutation, subscription=Subscription)


def main() -> None:
    """Serve until told to stop."""
    endpoint.SEND_TIMEOUT = 3.0  # type: ignore[attr-defined]
    send_buffers.WRITE_TIMEOUT, send_buffers.MIN_BYTES_PER_SECOND = 2.0, 1e9
    subscriptions.POLL_INTERVAL, subscriptions.REORDER_TIMEOUT = 3_600.0, 600.0
    for constant, value in json.loads(os.environ.get("ALTERED_CONSTANTS", "{}")).items():
        _alter(constant, value)
    try:
        serve(load_settings(), schema=schema_with_faults())
    except (SettingsError, EmbeddedError) as error:
        typer.echo(str(error), err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
