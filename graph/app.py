"""The ASGI application: its routes and the middleware around them."""

import sys
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
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from graph.engine.admission import Admission, Capacity
from graph.engine.capacity import BYTES_PER_SOCKET, MEMORY_PER_CHARACTER, answer_memory, operation_slots
from graph.engine.deadline import DatabaseTimeoutMiddleware
from graph.engine.error_masking import refusal_errors
from graph.engine.prepare import MAX_CACHED_CHARACTERS, DocumentCache
from graph.errors import HTTPError, StartError
from graph.graphiql.html import page, routes
from graph.http.complete_request import RawHeaders, take_complete_request
from graph.http.csvw_documents import CsvwDocuments
from graph.http.graphql import GraphQLHandler, MakeContext
from graph.http.health import Readiness, livez
from graph.http.media_types import JSON, accepts_html
from graph.http.metrics_page import MetricsPage, metrics_app
from graph.http.middleware import InstrumentationMiddleware, RequestInstrumentation, ResponseState
from graph.http.migration_check import ReadinessMiddleware
from graph.http.protocol_errors import ProtocolErrorEndpoint, with_cors
from graph.http.public_origin import PublicOriginMiddleware, set_public_origin
from graph.http.read_only import ReadOnlyMiddleware
from graph.http.response import JSONBytesResponse, json_response
from graph.http.send_buffers import SendBuffers
from graph.limits import REQUEST_TIMEOUT, Limits
from graph.metrics.registry import UNKNOWN, Metrics
from graph.metrics.shared_directory import SharedDirectory
from graph.settings import Executor, MetricsAccess, Settings
from graph.websocket.endpoint import GraphQLWebSocketEndpoint
from resolvers.activities.change_stream import ChangeFeed

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]
Ready = Callable[[], Awaitable[bool]]
OWN_HEADERS = ("Authorization", "Content-Encoding", "Content-Type", "If-None-Match", "Range", "X-Request-Id")
"""Headers that pages of other origins may send because this server reads them."""
TRACING_HEADERS = (
    "traceparent",
    "tracestate",
    "baggage",
    "sentry-trace",
    "apollographql-client-name",
    "apollographql-client-version",
)
"""Headers that tracing libraries and Apollo Client add by themselves; if they were refused, so were the requests."""
STOPPING = "The server is stopping."
PROXY_AND_CORS_HEADERS = frozenset({b"origin", b"x-forwarded-for", b"x-forwarded-proto"})
"""Headers of requests that come from pages or through proxies, which need uvicorn's own layers."""


def create_app(
    *,
    schema: strawberry.Schema,
    settings: Settings,
    make_context: MakeContext,
    ready: Ready,
    lifespan: Lifespan | None = None,
    extra_routes: Sequence[BaseRoute] = (),
    limits: Limits | None = None,
    processes: int = 1,
    metrics_directory: SharedDirectory | None = None,
) -> "Application":
    """The server as an ASGI application.

    `make_context` is awaited once for each operation that passed the limits, and each WebSocket; it raises
    HTTPError for credentials that cannot be accepted. `ready` tells whether the database answers.
    `app.draining` is set by the server when it begins to stop, `app.unready` while its database cannot be used. What
    operations may take is shared with the other `processes` of the server, and so are their metrics, by way of
    `metrics_directory`.
    """
    metrics, memory = Metrics(metrics_directory, settings.commit or UNKNOWN), answer_memory(settings, processes)
    document_cache = DocumentCache(
        schema, limits or Limits(), max_characters=min(MAX_CACHED_CHARACTERS, memory // MEMORY_PER_CHARACTER)
    )
    admission = Admission(Capacity(operation_slots(settings, processes), memory * 2 // 3))
    send_buffers = SendBuffers(memory // 3, metrics.unread.inc)
    changes = ChangeFeed()
    metrics.export_load(admission, lambda: send_buffers.size)
    metrics.export_changes(changes)

    def is_draining() -> bool:
        return app.draining

    def why_closed() -> str | None:
        return STOPPING if app.draining else app.unready

    graphql = GraphQLHandler(
        document_cache,
        make_context,
        metrics,
        admission,
        is_draining,
        why_closed,
        page,
        use_reference_executor=settings.executor is Executor.REFERENCE,
        read_only=settings.read_only,
        expose_executor=not settings.production,
        slow_seconds=settings.slow_seconds,
    )
    is_public = settings.metrics_access is MetricsAccess.PUBLIC
    routes_ = [
        Route("/", _root, methods=["GET"]),
        Route("/graphql", graphql.__call__, methods=["GET", "POST"]),
        WebSocketRoute(
            "/graphql",
            GraphQLWebSocketEndpoint(graphql, settings.allowed_origins, memory // BYTES_PER_SOCKET, changes),
        ),
        Route("/livez", livez, methods=["GET"]),
        Route("/readyz", Readiness(ready, is_draining, lambda: app.unready).__call__, methods=["GET"]),
        Route("/metrics", MetricsPage(metrics, None if is_public else make_context).__call__, methods=["GET"]),
        *routes(),
        *CsvwDocuments(make_context, admission, why_closed).routes(),
        *extra_routes,
    ]
    instrumentation = RequestInstrumentation(metrics, _paths(routes_))
    read_only = [Middleware(ReadOnlyMiddleware)] if settings.read_only else []
    cors = [Middleware(CORSMiddleware, **_cors(settings))] if settings.allowed_origins else []
    app: Application = Application(
        routes=routes_,
        lifespan=lifespan or _null_lifespan,
        middleware=[
            Middleware(InstrumentationMiddleware, instrumentation=instrumentation),
            Middleware(PublicOriginMiddleware),
            *cors,
            Middleware(ReadinessMiddleware, reason=lambda: app.unready),
            *read_only,
            Middleware(DatabaseTimeoutMiddleware, seconds=REQUEST_TIMEOUT),
        ],
        exception_handlers={HTTPException: _http_exception},
    )
    app.send_buffers = send_buffers
    app.metrics, app.metrics_app = metrics, metrics_app(metrics)
    app.graphql_endpoint = GraphQLEndpoint(graphql, instrumentation)
    app.graphql_endpoint_with_cors = CORSMiddleware(app.graphql_endpoint, **_cors(settings)) if cors else None
    protocol_errors = ProtocolErrorEndpoint(instrumentation, metrics)
    app.protocol_error_endpoint = (
        with_cors(CORSMiddleware(protocol_errors, **_cors(settings))) if cors else protocol_errors
    )
    return app


class Application(Starlette):
    """Dispatches POST /graphql, the hot path, directly to its handler, skipping routing and middleware."""

    draining = False
    """Whether the server is stopping and accepts no new work."""
    unready: str | None = None
    """The reason why the server must not use its database yet, None when it may."""
    send_buffers: SendBuffers
    """Bytes that clients have yet to read."""
    metrics: Metrics
    metrics_app: ASGIApp
    """Serves the metrics alone, for a port of its own."""
    graphql_endpoint: ASGIApp
    graphql_endpoint_with_cors: ASGIApp | None
    """`graphql_endpoint` behind CORS, for pages of other origins, where some are allowed."""
    protocol_error_endpoint: ASGIApp
    """Answers requests that the HTTP protocol refuses."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            send = _without_traceback(send)
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != "/graphql":
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        if self.graphql_endpoint_with_cors and any(name == b"origin" for name, _ in scope["headers"]):
            # CORS adds its headers to the messages sent, so the response must not be written past it.
            take_complete_request(scope)
            await self.graphql_endpoint_with_cors(scope, receive, send)
        else:
            await self.graphql_endpoint(scope, receive, send)

    def fast_path(self, scope: Scope, headers: RawHeaders) -> ASGIApp | None:
        """The handler of a POST that arrived whole, without uvicorn's own layers; None where they are needed."""
        if scope["path"] != "/graphql" or not PROXY_AND_CORS_HEADERS.isdisjoint(headers):
            return None
        scope["app"] = self
        return self.graphql_endpoint


def _without_traceback(send: Send) -> Send:
    """A `send` that tells in a sentence why the server cannot start, where Starlette sends a traceback to be logged."""

    async def send_sentence(message: Message) -> None:
        error = sys.exc_info()[1]
        if message["type"] == "lifespan.startup.failed" and isinstance(error, StartError):
            message = {**message, "message": str(error)}
        await send(message)

    return send_sentence


@dataclass
class GraphQLEndpoint:
    """Answers POST /graphql."""

    handler: GraphQLHandler
    instrumentation: RequestInstrumentation

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self.instrumentation.handle(self._answer, scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, state: ResponseState) -> None:
        set_public_origin(scope)
        complete = state.complete
        response = await self.handler(Request(scope, receive), complete)
        if complete and isinstance(response, JSONBytesResponse) and response.write(complete, state.header_bytes):
            state.status = response.status_code
        else:
            response.raw_headers = state.start_response(response.status_code, response.raw_headers)
            await response(scope, receive, send)


def _cors(settings: Settings) -> dict[str, Any]:
    return {
        "allow_origins": list(settings.allowed_origins),
        "allow_methods": ["GET", "HEAD", "POST", "PUT"],
        "allow_headers": [*OWN_HEADERS, *TRACING_HEADERS, *settings.allowed_headers],
        "expose_headers": ["ETag", "X-Request-Id"],
        "max_age": 3600,
    }


def _paths(routes: Sequence[BaseRoute]) -> frozenset[str]:
    return frozenset(route.path for route in routes if isinstance(route, Route) and "{" not in route.path)


async def _root(request: Request) -> Response:
    if accepts_html(dict(request.scope["headers"]).get(b"accept")):
        return page(request)
    return PlainTextResponse("provenance-graph: POST GraphQL to /graphql, or open this address in a browser.\n")


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    errors = refusal_errors(HTTPError(error.status_code, error.detail))
    return json_response({"errors": errors}, JSON, error.status_code, error.headers)


@asynccontextmanager
async def _null_lifespan(app: Starlette) -> AsyncIterator[None]:
    yield
