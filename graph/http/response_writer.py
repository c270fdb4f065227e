"""The writing side of a connection: bytes yet to be read by the client, and the last response, maybe an error."""

import asyncio
from asyncio import Transport
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from graph.errors import HTTP_ERROR_KEY, HTTPError
from graph.http.lingering_close import LastTransport, LingeringClose
from graph.http.send_buffers import SEND_BUFFER_KEY, SendBuffer, send_buffers_of

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application


class ClosingConnection(HttpToolsProtocol):
    """A connection that has its application's `protocol_error_endpoint` answer requests that it refuses."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._protocol_error_endpoint: ASGI3Application = cast(Any, self.config.app).protocol_error_endpoint
        self._pending: RequestResponseCycle | None = None
        """A POST whose head has arrived, held until all bytes that came with it are parsed."""
        self._current: RequestResponseCycle | None = None
        """The request that is being answered; later ones may be waiting behind it."""
        self._lingering: LingeringClose | None = None
        self._send_buffers = send_buffers_of(self.config.app)
        self._send_buffer: SendBuffer | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._send_buffer = SendBuffer(transport, self._send_buffers)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.pipeline.clear()
        if self._current is not None and not self._current.response_complete:
            # uvicorn notifies only the newest request.
            self._give_up(self._current)
        if self._send_buffer is not None:
            self._send_buffer.lose()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._send_buffer is not None:
            self._send_buffer.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._send_buffer is not None:
            self._send_buffer.resume()

    def _refuse(self, error: HTTPError) -> None:
        """Answer the newest request with an error, in its turn, and read nothing more."""
        self._linger()
        self._unset_keepalive_if_required()
        before = self.cycle
        if not self._in_head():
            if before.response_started:
                return
            waits = self._give_up(before)
        else:
            waits = not self._is_idle()
        self.cycle = self._error_cycle(error)
        if waits:
            self.pipeline.appendleft((self.cycle, self._protocol_error_endpoint))
        else:
            self._start_asgi_task(self.cycle, self._protocol_error_endpoint)

    def _give_up(self, cycle: RequestResponseCycle) -> bool:
        """Remove a request whose body cannot be read; returns whether it was still waiting for others."""
        self._pending = None
        if self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()
            return True
        cycle.disconnected = True
        cycle.message_event.set()
        return False

    def _error_cycle(self, error: HTTPError) -> RequestResponseCycle:
        scope = cast(dict[str, Any], dict(self.scope))
        if self._in_head():
            scope["method"] = self.parser.get_method().decode() if self.url else "-"
            scope["path"] = self.url.partition(b"?")[0].decode("latin-1")
            scope["query_string"] = b""
        cycle = self._cycle(scope, keep_alive=False)
        scope["extensions"][HTTP_ERROR_KEY] = error
        cycle.more_body = False
        self._make_last(cycle)
        return cycle

    def _make_last(self, cycle: RequestResponseCycle) -> None:
        cycle.keep_alive = False
        cycle.transport = cast(Transport, LastTransport(self.transport, self._end))

    def _end(self) -> None:
        """Close the connection after its last response."""
        self.pipeline.clear()
        self._linger().close()

    def _linger(self) -> LingeringClose:
        if self._lingering is None:
            self._lingering = LingeringClose(self, self.transport, self.flow)
            self.transport.set_protocol(self._lingering)
        return self._lingering

    def _cycle(self, scope: Any, keep_alive: bool) -> RequestResponseCycle:
        scope["extensions"] = {SEND_BUFFER_KEY: self._send_buffer}
        return RequestResponseCycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            # HTTP/1.0 does not have it.
            expect_100_continue=self.expect_100_continue and scope["http_version"] == "1.1",
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _in_head(self) -> bool:
        """Whether a request has begun whose head is not complete."""
        return self.scope is not None and "path" not in self.scope
