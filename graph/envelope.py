"""What goes around every HTTP answer: a request id, security headers, one log line, a measure, a last resort."""

import logging
import re
import time
import uuid
from contextvars import ContextVar
from dataclasses import dataclass

import orjson
import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from graph.errors import internal_errors
from graph.metrics import Metrics

SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""For answers that say nothing else: the page of GraphiQL brings its own policy."""
QUIET = ("/livez", "/readyz", "/metrics")

_request_id: ContextVar[str] = ContextVar("request_id", default="")
access = structlog.stdlib.get_logger("graph.access")
log = structlog.stdlib.get_logger("graph.envelope")


def request_id() -> str:
    """The id of the request being answered."""
    return _request_id.get()


@dataclass
class Envelope:
    """The outermost middleware."""

    app: ASGIApp
    metrics: Metrics
    paths: frozenset[str]
    """Paths that are measured by name; all others are measured as one."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        given = Headers(scope=scope).get("x-request-id", "")
        id = given if SANE_ID.fullmatch(given) else uuid.uuid4().hex
        token = _request_id.set(id)
        try:
            with structlog.contextvars.bound_contextvars(requestId=id):
                if scope["type"] == "websocket":
                    await self.app(scope, receive, send)
                else:
                    await self._http(scope, receive, send)
        finally:
            _request_id.reset(token)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, status = time.perf_counter(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                said = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id().encode()),
                    *(header for header in SECURITY_HEADERS if header[0] not in said),
                ]
            await send(message)

        self.metrics.in_flight.inc()
        try:
            await self.app(scope, receive, send_with_headers)
        except Exception:
            log.exception("the request failed")
            if status:
                raise
            await _fail(send_with_headers)
        finally:
            self.metrics.in_flight.dec()
            self._note(scope, status or 499, time.perf_counter() - began)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        path = scope["path"]
        self.metrics.seconds.labels(path if path in self.paths else "other", str(status)).observe(seconds)
        level = logging.DEBUG if path in QUIET and status < 400 else logging.INFO
        # Asked first, because a line that nobody reads costs as much to put together as one that is read.
        if not logging.getLogger("graph.access").isEnabledFor(level):
            return
        access.log(
            level, "answered", method=scope["method"], path=path[:200], status=status, ms=round(seconds * 1000, 1)
        )


async def _fail(send: Send) -> None:
    body = orjson.dumps({"errors": internal_errors(request_id())})
    headers = [(b"content-type", b"application/json; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": body})
