"""A small server with the behaviour of the real one around a schema that misbehaves on demand.

`python -m tests.graph.toy` serves it and prints its address. The surface's tests start it as a process of its own, so
that its CPU time is its own and real signals can be sent to it.
"""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import strawberry
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from strawberry.scalars import JSON

from graph.app import create_app
from graph.errors import PublicError, unauthenticated
from graph.server import run
from graph.settings import load_settings
from resolvers.refusals import NotFound

SECRET = "mongodb://admin:hunter2-canary@db.internal:27017"


class Faulty(Exception):
    """What a driver raises, with the address it could not reach."""


@strawberry.input
class Where:
    eq: str | None = None
    any: list["Where"] | None = None


@strawberry.type
class Thing:
    name: str = "thing"

    @strawberry.field
    def child(self, first: int = 1, where: Where | None = None) -> "Thing":
        return Thing()

    @strawberry.field
    def other(self) -> "Thing":
        return Thing()

    @strawberry.field
    def broken(self) -> str | None:
        raise Faulty(f"cannot reach {SECRET}")


@strawberry.type
class Query:
    @strawberry.field
    def hello(self) -> str:
        return "world"

    @strawberry.field
    def thing(self, where: Where | None = None, ids: list[int] | None = None) -> Thing:
        return Thing()

    @strawberry.field
    def echo(self, value: JSON) -> JSON:
        return value

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
    def cpu(self) -> float:
        """Seconds of CPU that this process has used."""
        return time.process_time()


@strawberry.type
class Mutation:
    @strawberry.mutation
    def touch(self) -> bool:
        print("touched", flush=True)
        return True


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, to: int) -> AsyncGenerator[int, None]:
        for n in range(to):
            yield n
        if to > 5:
            raise Faulty(f"cannot reach {SECRET}")


class Schema(strawberry.Schema):
    def process_errors(self, errors: object, execution_context: object = None) -> None:
        pass


schema = Schema(Query, Mutation, Subscription)


async def make_context(connection: HTTPConnection) -> object:
    """Takes any token but one that begins with `bad`."""
    if connection.headers.get("authorization", "").startswith("Bearer bad"):
        raise unauthenticated("The token has expired.")
    return {}


async def ready() -> bool:
    """Does not answer when the process was told that its database is gone."""
    if "--database-gone" in sys.argv:
        await asyncio.sleep(30)
    return True


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Says when it closes, and may never come to an end."""
    yield
    if "--hang" in sys.argv:
        await asyncio.sleep(60)
    print("closed", flush=True)


def main() -> None:
    """Serve on the port that the settings name."""
    settings = load_settings()
    app = create_app(schema=schema, settings=settings, make_context=make_context, ready=ready, lifespan=lifespan)
    run(lambda: app, settings, started=lambda url: print(url, flush=True))
    print("returned", flush=True)


if __name__ == "__main__":
    main()
