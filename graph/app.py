"""The application: every address it answers, and what goes around the answers."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import strawberry
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from graph.deadline import REQUEST_WITHIN, Deadline
from graph.envelope import Answering, Envelope, Enveloped
from graph.errors import HTTPRefusal, refusal_errors
from graph.graphiql.page import page, routes
from graph.health import Readiness, livez
from graph.http import GraphQLHandler, MakeContext, Written, write
from graph.limits import Limits
from graph.metrics import Metrics
from graph.objects import ReachedAt, tell_where
from graph.prepare import Preparer
from graph.protocol import RawHeaders, whole
from graph.request import JSON, wants_page
from graph.settings import Executor, Settings
from graph.sockets import Sockets

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]
Ready = Callable[[], Awaitable[bool]]
BY_WAY_OF = frozenset({b"origin", b"x-forwarded-for", b"x-forwarded-proto"})
"""Headers of requests that come from pages or through proxies, which layers of their own look at."""


def create_app(
    *,
    schema: strawberry.Schema,
    settings: Settings,
    make_context: MakeContext,
    ready: Ready,
    lifespan: Lifespan | None = None,
    extra_routes: Sequence[BaseRoute] = (),
    limits: Limits | None = None,
) -> "Application":
    """The server as an ASGI application.

    `make_context` is awaited once for each operation that passed the limits, and each WebSocket; it raises
    HTTPRefusal for credentials that cannot be accepted. `ready` tells whether the database answers.
    `app.draining` is set by the server when it begins to stop.
    """
    metrics, preparer = Metrics(), Preparer(schema, limits or Limits())

    def draining() -> bool:
        return app.draining

    reference, telling = settings.executor is Executor.REFERENCE, not settings.production
    graphql = GraphQLHandler(preparer, make_context, metrics, draining, page, reference, telling)
    routes_ = [
        Route("/", _front, methods=["GET"]),
        Route("/graphql", graphql.__call__, methods=["GET", "POST"]),
        WebSocketRoute("/graphql", Sockets(preparer, make_context, settings.allowed_origins, metrics)),
        Route("/livez", livez, methods=["GET"]),
        Route("/readyz", Readiness(ready, draining).__call__, methods=["GET"]),
        Route("/metrics", metrics.page, methods=["GET"]),
        *routes(),
        *extra_routes,
    ]
    envelope = Envelope(metrics, _paths(routes_))
    cors = [Middleware(CORSMiddleware, **_cors(settings))] if settings.allowed_origins else []
    app = Application(
        routes=routes_,
        lifespan=lifespan or _nothing_to_start,
        middleware=[
            Middleware(Enveloped, envelope=envelope),
            Middleware(ReachedAt),
            *cors,
            Middleware(Deadline, seconds=REQUEST_WITHIN),
        ],
        exception_handlers={HTTPException: _http_exception},
    )
    app.posted = Posted(graphql, envelope)
    app.posted_across = CORSMiddleware(app.posted, **_cors(settings)) if cors else None
    return app


class Application(Starlette):
    """Takes what nearly everybody asks, POST /graphql, past routes and layers that are not for it."""

    draining = False
    """Whether the server is stopping, and takes nothing new."""
    posted: ASGIApp
    posted_across: ASGIApp | None
    """The same for pages of other origins, where some are allowed."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != "/graphql":
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        if self.posted_across and any(name == b"origin" for name, _ in scope["headers"]):
            # It adds its headers to what is sent, so the answer may not be written past it.
            whole(scope)
            await self.posted_across(scope, receive, send)
        else:
            await self.posted(scope, receive, send)

    def short_way(self, scope: Scope, headers: RawHeaders) -> ASGIApp | None:
        """What answers a POST that is whole, past uvicorn's own layers too; None where one of them is needed."""
        if scope["path"] != "/graphql" or not BY_WAY_OF.isdisjoint(headers):
            return None
        scope["app"] = self
        return self.posted


@dataclass
class Posted:
    """Answers POST /graphql."""

    handler: GraphQLHandler
    envelope: Envelope

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self.envelope.around(self._answer, scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, answering: Answering) -> None:
        tell_where(scope)
        offer = answering.offer
        response = await self.handler(Request(scope, receive), offer)
        if offer and isinstance(response, Written) and response.write(offer, answering.lines):
            answering.status = response.status_code
        else:
            response.raw_headers = answering.begin(response.status_code, response.raw_headers)
            await response(scope, receive, send)


def _cors(settings: Settings) -> dict[str, Any]:
    return {
        "allow_origins": list(settings.allowed_origins),
        "allow_methods": ["GET", "POST", "PUT"],
        "allow_headers": ["Authorization", "Content-Type", "If-None-Match", "Range", "X-Request-Id"],
        "expose_headers": ["X-Request-Id"],
        "max_age": 3600,
    }


def _paths(routes: Sequence[BaseRoute]) -> frozenset[str]:
    return frozenset(route.path for route in routes if isinstance(route, Route) and "{" not in route.path)


async def _front(request: Request) -> Response:
    if wants_page(dict(request.scope["headers"]).get(b"accept")):
        return page(request)
    return PlainTextResponse("provenance-graph: POST GraphQL to /graphql, or open this address in a browser.\n")


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    refusal = HTTPRefusal(error.status_code, error.detail)
    return write({"errors": refusal_errors(refusal)}, JSON, error.status_code, error.headers)


@asynccontextmanager
async def _nothing_to_start(app: Starlette) -> AsyncIterator[None]:
    yield
