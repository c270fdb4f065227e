"""The application: every address it answers, and what goes around the answers."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import strawberry
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from graph.envelope import Envelope
from graph.errors import HTTPRefusal, refusal_errors
from graph.graphiql.page import page, routes
from graph.health import Readiness, livez
from graph.http import GraphQLHandler, MakeContext, write
from graph.limits import Limits
from graph.metrics import Metrics
from graph.prepare import Preparer
from graph.request import JSON, wants_page
from graph.settings import Executor, Settings
from graph.sockets import Sockets

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]
Ready = Callable[[], Awaitable[bool]]


def create_app(
    *,
    schema: strawberry.Schema,
    settings: Settings,
    make_context: MakeContext,
    ready: Ready,
    lifespan: Lifespan | None = None,
    extra_routes: Sequence[BaseRoute] = (),
    limits: Limits | None = None,
) -> Starlette:
    """The server as an ASGI application.

    `make_context` is awaited once for each operation that passed the limits, and each WebSocket; it raises
    HTTPRefusal for credentials that cannot be accepted. `ready` tells whether the database answers.
    `app.state.draining` is set by the server when it begins to stop.
    """
    metrics, preparer = Metrics(), Preparer(schema, limits or Limits())
    routes_ = [*_routes(preparer, settings, make_context, ready, metrics), *routes(), *extra_routes]
    app = Starlette(
        routes=routes_,
        lifespan=lifespan or _nothing_to_start,
        middleware=_middleware(settings, metrics, routes_),
        exception_handlers={HTTPException: _http_exception},
    )
    app.state.draining = False
    app.state.metrics = metrics
    return app


def _routes(
    preparer: Preparer, settings: Settings, make_context: MakeContext, ready: Ready, metrics: Metrics
) -> list[BaseRoute]:
    # Routes are made before the application whose state they ask for, so they ask by way of the request.
    reference, telling = settings.executor is Executor.REFERENCE, not settings.production

    async def graphql(request: Request) -> Response:
        handler = GraphQLHandler(preparer, make_context, metrics, lambda: _draining(request), page, reference, telling)
        return await handler(request)

    async def readyz(request: Request) -> Response:
        return await Readiness(ready, lambda: _draining(request))(request)

    return [
        Route("/", _front, methods=["GET"]),
        Route("/graphql", graphql, methods=["GET", "POST"]),
        WebSocketRoute("/graphql", Sockets(preparer, make_context, settings.allowed_origins, metrics)),
        Route("/livez", livez, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
        Route("/metrics", metrics.page, methods=["GET"]),
    ]


def _middleware(settings: Settings, metrics: Metrics, routes: Sequence[BaseRoute]) -> list[Middleware]:
    paths = frozenset(route.path for route in routes if isinstance(route, Route) and "{" not in route.path)
    around = [Middleware(Envelope, metrics=metrics, paths=paths)]
    if settings.allowed_origins:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=list(settings.allowed_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-Request-Id"],
            expose_headers=["X-Request-Id"],
            max_age=3600,
        )
        around.append(cors)
    return around


def _draining(request: Request) -> bool:
    return bool(request.app.state.draining)


async def _front(request: Request) -> Response:
    if wants_page(request.headers.get("accept")):
        return page(request)
    return PlainTextResponse("provenance-graph: POST GraphQL to /graphql, or open this address in a browser.\n")


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    refusal = HTTPRefusal(error.status_code, error.detail)
    return write({"errors": refusal_errors(refusal)}, JSON, error.status_code, error.headers)


@asynccontextmanager
async def _nothing_to_start(app: Starlette) -> AsyncIterator[None]:
    yield
