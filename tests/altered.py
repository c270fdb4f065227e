"""The real server with some more fields, for what the real ones cannot be made to do: be slow, fail, tell their CPU.

`python -m tests.altered` serves it as `provenance-graph serve` does.
"""

import asyncio
import gc
import json
import resource
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import strawberry
import typer

from documents.embedded import EmbeddedError
from graph import schema as real
from graph import sockets, subscription
from graph.errors import PublicError
from graph.scalars import JSON
from graph.serving import serve
from graph.settings import SettingsError, load_settings
from resolvers.refusals import NotFound

SECRET = "mongodb://admin:hunter2-canary@db.internal:27017"


class Faulty(Exception):
    """What a driver raises, with the address it could not reach."""


@strawberry.type
class Thing:
    name: str = "thing"

    @strawberry.field
    def broken(self) -> str | None:
        raise Faulty(f"cannot reach {SECRET}")


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
    async def slow(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
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
        """How many things this process does side by side."""
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
        yield info.context.reader.viewer.role.value


def altered() -> real.Schema:
    """The real schema and more."""
    return real.make_schema(query=Query, mutation=Mutation, subscription=Subscription)


def main() -> None:
    """Serve until told to stop."""
    sockets.READ_WITHIN = 3.0
    try:
        serve(load_settings(), schema=altered())
    except (SettingsError, EmbeddedError) as error:
        typer.echo(str(error), err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
