"""The outermost middleware: request id, security headers, one log line, metrics, responses to unexpected errors."""

import logging
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import getrandbits

import orjson
import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from documents.outage import Outage, outage_of
from graph import logs
from graph.engine.error_masking import RETRY_AFTER, internal_errors, outage_errors, outage_status
from graph.http.complete_request import CompleteRequest, RawHeaders, serialize_headers, take_complete_request
from graph.metrics.registry import Metrics

Header = tuple[bytes, bytes]
REQUEST_ID_PATTERN = re.compile(rb"[A-Za-z0-9._-]{1,100}")
SECURITY_HEADERS: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""Headers of responses that do not set them: GraphiQL's page has its own content security policy."""
SECURITY_HEADER_BYTES = serialize_headers(SECURITY_HEADERS)
UNLOGGED_PATHS = ("/livez", "/readyz", "/metrics")

log = structlog.stdlib.get_logger("graph.envelope")


def request_id() -> str:
    """The id of the request being answered."""
    return logs.request_id.get()


@dataclass(slots=True)
class ResponseState:
    """The response to a request in progress: its id, and its status once it has begun."""

    id: str
    complete: CompleteRequest | None
    """The way to answer it with one write, if there is one."""
    status: int = 0
    """0 until the response begins."""

    @property
    def header_bytes(self) -> bytes:
        """The middleware's headers, serialised, for a response that sets none of them."""
        return serialize_headers([(b"x-request-id", self.id.encode())]) + SECURITY_HEADER_BYTES

    def start_response(self, status: int, headers: Sequence[Header]) -> list[Header]:
        """Record that the response begins; returns its headers together with the middleware's."""
        self.status = status
        names = dict(headers)
        missing = [header for header in SECURITY_HEADERS if header[0] not in names]
        return [*headers, (b"x-request-id", self.id.encode()), *missing]


Respond = Callable[[Scope, Receive, Send, ResponseState], Awaitable[None]]


@dataclass
class RequestInstrumentation:
    """Answers the requests of one server, with id, headers, log line and metrics."""

    metrics: Metrics
    paths: frozenset[str]
    """Paths with metrics of their own; all others share one."""

    async def handle(self, respond: Respond, scope: Scope, receive: Receive, send: Send) -> None:
        """Have `respond` answer a request that has its own task; it reports in the state when the response begins."""
        complete = take_complete_request(scope)
        client_id = _client_request_id(complete.headers if complete else dict(scope["headers"]))
        state = ResponseState(client_id or _new_id(), complete)
        logs.request_id.set(state.id)
        began = time.perf_counter()
        self.metrics.in_flight += 1
        try:
            await respond(scope, receive, send, state)
        except Exception as error:
            outage = outage_of(error)
            if outage is None or state.status:
                log.exception("the request failed")
            if state.status:
                raise
            await _send_internal_error(_with_headers(send, state), error, outage)
        finally:
            self.metrics.in_flight -= 1
            self._record(scope, state.status or 499, time.perf_counter() - began, client_id is None)

    def _record(self, scope: Scope, status: int, seconds: float, own_id: bool) -> None:
        path = scope["path"]
        is_route = path in self.paths
        self.metrics.durations.add(seconds, path if is_route else "other", status)
        level = logging.DEBUG if path in UNLOGGED_PATHS and status < 400 else logging.INFO
        logs.access_log(level, logs.AccessRecord(scope["method"], path, status, seconds, is_route and own_id))


@dataclass
class InstrumentationMiddleware:
    """The outermost middleware."""

    app: ASGIApp
    instrumentation: RequestInstrumentation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.instrumentation.handle(self._answer, scope, receive, send)
        elif scope["type"] == "websocket":
            logs.request_id.set(_client_request_id(dict(scope["headers"])) or _new_id())
            await self.app(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, state: ResponseState) -> None:
        await self.app(scope, receive, _with_headers(send, state))


def _with_headers(send: Send, state: ResponseState) -> Send:
    """Send a response with the middleware's headers."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = state.start_response(message["status"], message["headers"])
        await send(message)

    return send_with_headers


def _new_id() -> str:
    return getrandbits(128).to_bytes(16).hex()


def _client_request_id(headers: RawHeaders) -> str | None:
    """The request id that the client sent, if it is valid."""
    id = headers.get(b"x-request-id")
    return id.decode() if id and REQUEST_ID_PATTERN.fullmatch(id) else None


async def _send_internal_error(send: Send, error: Exception, outage: Outage | None) -> None:
    """Answer a request that failed through no fault of its own."""
    status = outage_status(outage) if outage else 500
    errors = outage_errors(outage, error) if outage else internal_errors(request_id())
    body = orjson.dumps({"errors": errors})
    headers = [(b"content-type", b"application/json; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in RETRY_AFTER.items() if outage]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
