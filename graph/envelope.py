"""What goes around every HTTP answer: a request id, security headers, one log line, a measure, a last resort."""

import logging
import re
import time
from dataclasses import dataclass
from random import getrandbits

import orjson
import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from graph import logs
from graph.errors import internal_errors
from graph.metrics import Metrics

SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,100}")
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""For answers that say nothing else: the page of GraphiQL brings its own policy."""
QUIET = ("/livez", "/readyz", "/metrics")

log = structlog.stdlib.get_logger("graph.envelope")


def request_id() -> str:
    """The id of the request being answered."""
    return logs.request_id.get()


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
        given = _given_id(scope)
        token = logs.request_id.set(given or f"{getrandbits(128):032x}")
        try:
            if scope["type"] == "websocket":
                await self.app(scope, receive, send)
            else:
                await self._http(scope, receive, send, given is None)
        finally:
            logs.request_id.reset(token)

    async def _http(self, scope: Scope, receive: Receive, send: Send, own_id: bool) -> None:
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
            self._note(scope, status or 499, time.perf_counter() - began, own_id)

    def _note(self, scope: Scope, status: int, seconds: float, own_id: bool) -> None:
        path = scope["path"]
        known = path in self.paths
        self.metrics.answered(path if known else "other", status, seconds)
        level = logging.DEBUG if path in QUIET and status < 400 else logging.INFO
        fields = {"method": scope["method"], "path": path[:200], "status": status, "ms": round(seconds * 1000, 1)}
        logs.access_log(level, fields, harmless=known and own_id)


def _given_id(scope: Scope) -> str | None:
    """The id that the client gave the request, when it can be one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and SANE_ID.fullmatch(value):
            id: str = value.decode()
            return id
    return None


async def _fail(send: Send) -> None:
    body = orjson.dumps({"errors": internal_errors(request_id())})
    headers = [(b"content-type", b"application/json; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": body})
