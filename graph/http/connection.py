"""One HTTP connection of uvicorn's, with bounds for everything but bodies.

uvicorn bounds neither the size of a head nor its time, accepts ambiguous requests, and answers unparsable ones itself.
Here a head has its bounds and is checked (`graph/http/request_head.py`), and a refused request is answered by the
application, in its turn, as the last request of its connection.
"""

from asyncio import TimerHandle, Transport
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import httptools
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from graph import limits
from graph.errors import HTTPError
from graph.http import request_head
from graph.http.complete_request import RawHeaders
from graph.http.response_writer import ClosingConnection

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

MAX_PIECE_BYTES = limits.MAX_FIELDS_BYTES
"""Bytes that are parsed at once: the maximum of a head, so that one that came in one piece is within its bound."""
ParserStop = httptools.HttpParserUpgrade | httptools.HttpParserError
"""The parser's exceptions when it stops."""


class HTTPConnection(ClosingConnection):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._fields: RawHeaders = {}
        """The header fields of the newest request."""
        self._bytes_without_progress = 0
        """Bytes received since the last end of a head, piece of a body, or end of a body."""
        self._head_timer: TimerHandle | None = None
        """The timer of a head that arrives in several pieces."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # A client that connects and sends nothing is disconnected without a response, like an idle one.
        seconds = limits.HEAD_TIMEOUT
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_keepalive_if_required()
        self._unset_head_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes | memoryview) -> None:
        if len(data) > MAX_PIECE_BYTES:
            self._receive_in_pieces(data)
            return
        self._bytes_without_progress += len(data)
        stopped: ParserStop | None = None
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserUpgrade, httptools.HttpParserError) as error:
            stopped = error
        if stopped is not None:
            has_resumed = self._resume(stopped, data)
            # The error's traceback refers to this frame.
            stopped = None
            if not has_resumed:
                return
        if self._pending is not None:
            self._begin(self._pending)
        if self._bytes_without_progress or "path" not in self.scope:
            self._check_unfinished()

    def _receive_in_pieces(self, data: bytes | memoryview) -> None:
        pieces = memoryview(data)
        for start in range(0, len(data), MAX_PIECE_BYTES):
            if self.transport.get_protocol() is self and not self.transport.is_closing():
                self.data_received(pieces[start : start + MAX_PIECE_BYTES])

    def _parse(self, data: bytes | memoryview) -> ParserStop | None:
        """The exception that stopped the parser, if any: raised later errors must not have it as their context."""
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserUpgrade, httptools.HttpParserError) as error:
            return error
        return None

    def _resume(self, stopped: ParserStop, data: bytes | memoryview) -> bool:
        """Handle the exception that stopped the parser; returns whether it has parsed the rest of the piece since."""
        last: ParserStop | None = stopped
        while isinstance(last, httptools.HttpParserUpgrade):
            data = data[last.args[0] :]
            if self._should_upgrade():
                self._open_websocket(data)
                return False
            last = self._parse(self._without_upgrade()) or self._parse(data)
        if last is None:
            return True
        self._refuse(_http_error(last))
        return False

    def _open_websocket(self, rest: bytes | memoryview) -> None:
        if rest:
            # uvicorn drops them, and both sides would wait.
            self._refuse(HTTPError(400, "Send nothing on a WebSocket before its handshake is answered."))
        else:
            self.handle_websocket_upgrade()

    def _without_upgrade(self) -> bytes:
        """The head of a request without its Upgrade header, for a parser that starts anew.

        With the header, the body would not be parsed as one. An attacker could have it read as the next request
        (request smuggling), and Java's client offers HTTP/2 with every POST.
        """
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        scope = self.scope
        fields = [line for line in scope["headers"] if line[0] != b"upgrade"]
        first = b"%b %b HTTP/%b" % (scope["method"].encode(), self.url, scope["http_version"].encode())
        return b"\r\n".join([first, *map(b": ".join, fields), b"", b""])

    def _check_unfinished(self) -> None:
        """Refuse a request whose head is already too long, or does not end in time."""
        if not self._in_head():
            if self._bytes_without_progress > limits.MAX_FIELDS_BYTES:
                self._end_excess_framing()
        elif len(self.url) > limits.MAX_ADDRESS_BYTES:
            self._refuse(request_head.address_too_long())
        elif self._bytes_without_progress - len(self.url) > limits.MAX_FIELDS_BYTES:
            self._refuse(request_head.fields_too_long())
        elif self._head_timer is None:
            self._set_head_timer()

    def _end_excess_framing(self) -> None:
        """Close a connection with too many bytes that belong to no head and no body."""
        if self._is_idle():
            # Empty lines, which belong to no request.
            self.transport.close()
        elif self.cycle.more_body:
            self._refuse(request_head.fields_too_long())
        else:
            self._make_last(self.cycle)
            self._linger()

    def on_headers_complete(self) -> None:
        """Take a complete head, as uvicorn does but with less work. Raises HTTPError."""
        parser, scope = self.parser, self.scope
        version = parser.get_http_version()
        self._check_head(version)
        scope["method"] = parser.get_method().decode("ascii")
        if version != "1.1":
            scope["http_version"] = version
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        if self._head_timer is not None:
            self._unset_head_timer()
        if parser.should_upgrade():
            self._check_upgrade()
            return
        raw_path, _, scope["query_string"] = self.url.partition(b"?")
        scope["raw_path"] = raw_path
        path = raw_path.decode("ascii")
        scope["path"] = unquote(path) if "%" in path else path
        self._bytes_without_progress = 0
        waits = not (self.cycle is None or self.cycle.response_complete)
        cycle = self.cycle = self._cycle(scope, version == "1.1" and parser.should_keep_alive())
        if b"transfer-encoding" in self._fields:
            # Trailer fields are no headers of the request, so they are dropped.
            self.headers = []
        if waits:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))
        elif scope["method"] == "POST":
            self._pending = cycle
        else:
            self._begin_in_parts(cycle, self.app)

    def _check_head(self, version: str) -> None:
        if self._head_timer is not None:
            request_head.check_fields_size(self.headers)
        self._fields = request_head.check_head(version, self.url, self.headers)
        if not self.url.startswith(b"/"):
            self.url = request_head.origin_form(self.url, self.headers)
        if b"#" in self.url:
            self.url = self.url.partition(b"#")[0]
        if len(self.pipeline) >= limits.MAX_PIPELINED_REQUESTS:
            raise request_head.too_many_waiting()

    def _check_upgrade(self) -> None:
        if self.scope["method"] == "CONNECT":
            raise HTTPError(400, "This server is not a proxy: CONNECT is not supported.")
        if self._should_upgrade():
            request_head.check_websocket(self.scope["method"], self.url, self._fields)
            if not self._is_idle():
                raise HTTPError(400, "Open a WebSocket only when all earlier requests of the connection are answered.")

    def _should_upgrade(self) -> bool:
        return self.scope["http_version"] == "1.1" and super()._should_upgrade()

    def on_body(self, body: bytes) -> None:
        # As in uvicorn, but without a call to it; `on_message_complete` too.
        self._bytes_without_progress = 0
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.body += body
            if len(cycle.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            cycle.message_event.set()

    def on_message_complete(self) -> None:
        self._bytes_without_progress = 0
        cycle = self.cycle
        if "path" not in self.scope or cycle.response_complete:
            # A request with Upgrade is handled when the parser has stopped.
            return
        cycle.more_body = False
        cycle.message_event.set()
        if self._pending is not None:
            self._begin(cycle)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: "ASGI3Application") -> None:
        """Start a request that waited for the response before it: all of its body may be there already."""
        if app is self.app and cycle.scope["method"] == "POST":
            self._begin(cycle)
        else:
            self._begin_in_parts(cycle, app)

    def _begin(self, cycle: RequestResponseCycle) -> None:
        """Start answering a POST, once all bytes that came with its head are parsed."""
        self._pending = None
        self._begin_in_parts(cycle, self.app)

    def _begin_in_parts(self, cycle: RequestResponseCycle, app: "ASGI3Application") -> None:
        self._current = cycle
        super()._start_asgi_task(cycle, partial(self._answer_in_parts, cycle, app))

    async def _answer_in_parts(
        self, cycle: RequestResponseCycle, app: Any, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer; if the response begins before the whole request has arrived, it is the connection's last."""

        async def send_as_last(message: Message) -> None:
            if cycle.more_body and message["type"] == "http.response.start":
                self._make_last(cycle)
            await send(message)

        await app(scope, receive, send_as_last)

    def _refuse(self, error: HTTPError) -> None:
        self._unset_head_timer()
        super()._refuse(error)

    def _set_head_timer(self) -> None:
        self._unset_keepalive_if_required()
        self._head_timer = self.loop.call_later(limits.HEAD_TIMEOUT, self._on_head_timeout)

    def _unset_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _on_head_timeout(self) -> None:
        if self.flow.read_paused:
            # The server itself has paused reading.
            self._set_head_timer()
        elif not self.transport.is_closing():
            seconds = limits.HEAD_TIMEOUT
            self._refuse(HTTPError(408, f"The head of the request did not arrive within {seconds:g} s."))


def _http_error(error: httptools.HttpParserError) -> HTTPError:
    """The error for a request that cannot be parsed. Re-raises errors of the server."""
    cause = error.__context__
    if isinstance(cause, HTTPError):
        return cause
    if isinstance(error, httptools.HttpParserCallbackError) and not isinstance(cause, httptools.HttpParserError):
        raise cause or error
    return HTTPError(400, f"This is not an HTTP/1.1 request: {cause or error}.")
