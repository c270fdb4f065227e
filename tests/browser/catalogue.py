"""A very small server with the shape of the catalogue, for pages that only need something to ask."""

import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Generic, TypeVar

import strawberry
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from strawberry.asgi import GraphQL
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from graph import graphiql

T = TypeVar("T")


@strawberry.type
class Page(Generic[T]):
    nodes: list[T]


@strawberry.type
class Code:
    repository: str
    path: str
    commit: str


@strawberry.type
class Details:
    completed: bool
    validated: bool


@strawberry.type
class Transform:
    status: str
    details: Details
    code: list[Code]


@strawberry.type
class Distribution:
    sha256: str
    size_bytes: str
    transform: Transform


@strawberry.type
class Version:
    label: str
    ordinal: int
    distribution: Distribution


@strawberry.type
class Dataset:
    identifier: str
    title: str
    versions: Page[Version]


@strawberry.type
class Resource:
    title: str
    landing_page: str
    datasets: Page[Dataset]


@strawberry.type
class Organisation:
    name: str
    url: str
    resources: Page[Resource]


def water_agency() -> Organisation:
    """An organisation with one resource, one dataset, and two versions of it."""
    code = Code(repository="https://code.example.org/water/levels", path="levels.py", commit="5f3c9e1d" * 5)
    transform = Transform(status="SUCCEEDED", details=Details(completed=True, validated=True), code=[code])
    versions = [
        Version(
            label=f"v{ordinal}",
            ordinal=ordinal,
            distribution=Distribution(sha256="9f86d081" * 8, size_bytes=str(2**ordinal), transform=transform),
        )
        for ordinal in (9, 10)
    ]
    dataset = Dataset(identifier="river-levels", title="River levels", versions=Page(nodes=versions))
    resource = Resource(
        title="Levels of rivers", landing_page="https://water.example.org/levels", datasets=Page(nodes=[dataset])
    )
    return Organisation(name="Water agency", url="https://water.example.org", resources=Page(nodes=[resource]))


@strawberry.type
class Query:
    @strawberry.field
    def organisations(self, first: int | None = None) -> Page[Organisation]:
        """Everyone who publishes datasets."""
        return Page(nodes=[water_agency()])


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def countdown(self, info: strawberry.Info) -> AsyncIterator[str]:
        """Says under which authorization the subscription was opened."""
        yield str(info.context["connection_params"].get("Authorization"))


def application() -> Starlette:
    """The small server, with GraphiQL at `/` and at `/graphql`."""
    schema = strawberry.Schema(query=Query, subscription=Subscription)
    ask: GraphQL[object, object] = GraphQL(
        schema, graphql_ide=None, subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL]
    )

    async def show(request: Request) -> Response:
        return graphiql.page(request)

    return Starlette(
        routes=[
            *graphiql.routes(),
            Route("/", show),
            Route("/graphql", show, methods=["GET"]),
            Route("/graphql", ask, methods=["POST"]),
            WebSocketRoute("/graphql", ask),
        ]
    )


@contextlib.contextmanager
def serving(app: Starlette) -> Iterator[str]:
    """The address at which the application is served by uvicorn, in a thread, until the end."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(app, ws="websockets-sansio", log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
