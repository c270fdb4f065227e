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
from graph.errors import RETRY_AFTER, internal_errors, outage_errors, outage_status
from graph.http.complete_request import CompleteRequest, RawHeaders, as_lines, take_complete_request
from graph.http.metrics import Metrics

Header = tuple[bytes, bytes]
SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,100}")
SECURITY_HEADERS: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""Headers of responses that do not set them: GraphiQL's page has its own content security policy."""
SECURITY_LINES = as_lines(SECURITY_HEADERS)
QUIET = ("/livez", "/readyz", "/metrics")

log = structlog.stdlib.get_logger("graph.envelope")


def request_id() -> str:
    """The id of the request being answered."""
    return logs.request_id.get()


@dataclass(slots=True)
class Answering:
    """A request in progress."""

    id: str
    offer: CompleteRequest | None
    """The way to answer it in one piece, if there is one."""
    status: int = 0
    """0 until the response begins."""

    @property
    def lines(self) -> bytes:
        """The middleware's headers as lines, for a response that sets none of them."""
        return as_lines([(b"x-request-id", self.id.encode())]) + SECURITY_LINES

    def begin(self, status: int, headers: Sequence[Header]) -> list[Header]:
        """Note that the response begins; returns its headers together with the middleware's."""
        self.status = status
        said = dict(headers)
        others = [one for one in SECURITY_HEADERS if one[0] not in said]
        return [*headers, (b"x-request-id", self.id.encode()), *others]


Answer = Callable[[Scope, Receive, Send, Answering], Awaitable[None]]


@dataclass
class RequestInstrumentation:
    """Answers the requests of one server, with id, headers, log line and metrics."""

    metrics: Metrics
    paths: frozenset[str]
    """Paths with metrics of their own; all others share one."""

    async def handle(self, answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
        """Have `answer` respond to a request that has its own task; `answer` reports when the response begins."""
        offer = take_complete_request(scope)
        given = _given_id(offer.headers if offer else dict(scope["headers"]))
        answering = Answering(given or _new_id(), offer)
        logs.request_id.set(answering.id)
        began = time.perf_counter()
        self.metrics.in_flight += 1
        try:
            await answer(scope, receive, send, answering)
        except Exception as error:
            outage = outage_of(error)
            if outage is None or answering.status:
                log.exception("the request failed")
            if answering.status:
                raise
            await _fail(_with_headers(send, answering), error, outage)
        finally:
            self.metrics.in_flight -= 1
            self._note(scope, answering.status or 499, time.perf_counter() - began, given is None)

    def _note(self, scope: Scope, status: int, seconds: float, own_id: bool) -> None:
        path = scope["path"]
        known = path in self.paths
        self.metrics.durations.add(path if known else "other", status, seconds)
        level = logging.DEBUG if path in QUIET and status < 400 else logging.INFO
        logs.access_log(level, logs.Answered(scope["method"], path, status, seconds, known and own_id))


@dataclass
class InstrumentationMiddleware:
    """The outermost middleware."""

    app: ASGIApp
    instrumentation: RequestInstrumentation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.instrumentation.handle(self._answer, scope, receive, send)
        elif scope["type"] == "websocket":
            logs.request_id.set(_given_id(dict(scope["headers"])) or _new_id())
            await self.app(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, answering: Answering) -> None:
        await self.app(scope, receive, _with_headers(send, answering))


def _with_headers(send: Send, answering: Answering) -> Send:
    """Send a response with the middleware's headers."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = answering.begin(message["status"], message["headers"])
        await send(message)

    return send_with_headers


def _new_id() -> str:
    return getrandbits(128).to_bytes(16).hex()


def _given_id(headers: RawHeaders) -> str | None:
    """The request id that the client sent, if it is valid."""
    given = headers.get(b"x-request-id")
    return given.decode() if given and SANE_ID.fullmatch(given) else None


async def _fail(send: Send, error: Exception, outage: Outage | None) -> None:
    """Answer a request that failed through no fault of its own."""
    status = outage_status(outage) if outage else 500
    errors = outage_errors(outage, error) if outage else internal_errors(request_id())
    body = orjson.dumps({"errors": errors})
    headers = [(b"content-type", b"application/json; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in RETRY_AFTER.items() if outage]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
