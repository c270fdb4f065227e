"""What goes around every HTTP answer: a request id, security headers, one log line, a measure, a last resort."""

import logging
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import getrandbits

import orjson
import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from graph import logs
from graph.errors import internal_errors
from graph.metrics import Metrics
from graph.protocol import RawHeaders, Whole, as_lines, whole

Header = tuple[bytes, bytes]
SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,100}")
SECURITY_HEADERS: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""For answers that say nothing else: the page of GraphiQL brings its own policy."""
SECURITY_LINES = as_lines(SECURITY_HEADERS)
QUIET = ("/livez", "/readyz", "/metrics")

log = structlog.stdlib.get_logger("graph.envelope")


def request_id() -> str:
    """The id of the request being answered."""
    return logs.request_id.get()


@dataclass(slots=True)
class Answering:
    """A request while it is answered."""

    id: str
    offer: Whole | None
    """The way to answer it in one piece, where there is one."""
    status: int = 0
    """0 until the answer begins."""

    @property
    def lines(self) -> bytes:
        """The envelope's headers as they are written, for an answer that has none of them itself."""
        return as_lines([(b"x-request-id", self.id.encode())]) + SECURITY_LINES

    def begin(self, status: int, headers: Sequence[Header]) -> list[Header]:
        """Note that the answer begins; the headers of the response are those of the answer and the envelope's."""
        self.status = status
        said = dict(headers)
        others = [one for one in SECURITY_HEADERS if one[0] not in said]
        return [*headers, (b"x-request-id", self.id.encode()), *others]


Answer = Callable[[Scope, Receive, Send, Answering], Awaitable[None]]


@dataclass
class Envelope:
    """What goes around every answer of one server."""

    metrics: Metrics
    paths: frozenset[str]
    """Paths that are measured by name; all others are measured as one."""

    async def around(self, answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
        """Have a request, whose task is its own, answered by `answer`, which says when it begins to."""
        offer = whole(scope)
        given = _given_id(offer.headers if offer else dict(scope["headers"]))
        answering = Answering(given or _new_id(), offer)
        logs.request_id.set(answering.id)
        began = time.perf_counter()
        self.metrics.in_flight += 1
        try:
            await answer(scope, receive, send, answering)
        except Exception:
            log.exception("the request failed")
            if answering.status:
                raise
            await _fail(_with_headers(send, answering))
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
class Enveloped:
    """The outermost middleware."""

    app: ASGIApp
    envelope: Envelope

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.envelope.around(self._answer, scope, receive, send)
        elif scope["type"] == "websocket":
            logs.request_id.set(_given_id(dict(scope["headers"])) or _new_id())
            await self.app(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, answering: Answering) -> None:
        await self.app(scope, receive, _with_headers(send, answering))


def _with_headers(send: Send, answering: Answering) -> Send:
    """Sends an answer with the headers of the envelope."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = answering.begin(message["status"], message["headers"])
        await send(message)

    return send_with_headers


def _new_id() -> str:
    return getrandbits(128).to_bytes(16).hex()


def _given_id(headers: RawHeaders) -> str | None:
    """The id that the client gave the request, when it can be one."""
    given = headers.get(b"x-request-id")
    return given.decode() if given and SANE_ID.fullmatch(given) else None


async def _fail(send: Send) -> None:
    body = orjson.dumps({"errors": internal_errors(request_id())})
    headers = [(b"content-type", b"application/json; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": body})
