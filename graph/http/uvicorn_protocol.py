"""uvicorn's HTTP/1.1 protocol with a fast path: a POST that arrived in one read is answered with one write.

uvicorn hands a request to the application in several messages and writes a response as its parts are made, at least two
writes for the smallest. Here a POST whose body arrived together with its head is put into the scope as one object, its
response can be written at once, and an application may have a handler of its own for it. All other requests take
uvicorn's own path.
"""

import asyncio
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request

from graph.http.complete_request import COMPLETE_REQUEST, CompleteRequest, FastPath
from graph.http.connection import HTTPConnection
from graph.http.send_buffers import SEND_BUFFER_KEY, SendBuffer, send_buffers_of
from graph.http.websocket_handshake import Handshake

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application


class FastPathProtocol(HTTPConnection):
    """One connection to an application that has `fast_path`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._fast_path: FastPath = cast(Any, self.config.app).fast_path

    def _begin(self, cycle: RequestResponseCycle) -> None:
        if cycle.more_body:
            super()._begin(cycle)
            return
        self._pending, self._current = None, cycle
        scope = cycle.scope
        fields = self._fields if cycle is self.cycle else dict(scope["headers"])
        scope["extensions"][COMPLETE_REQUEST] = CompleteRequest(cycle, fields)  # type: ignore[assignment]
        app = cast("ASGI3Application", self._fast_path(scope, fields) or self.app)
        HttpToolsProtocol._start_asgi_task(self, cycle, app)


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        extensions = self.conn.available_extensions
        self.conn = Handshake(extensions=extensions, max_size=self.config.ws_max_size, logger=self.logger)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._send_buffer = SendBuffer(self.transport, send_buffers_of(self.config.app))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._send_buffer.lose()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._send_buffer.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._send_buffer.resume()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if scope := getattr(self, "scope", None):
            scope["extensions"][SEND_BUFFER_KEY] = self._send_buffer

    def handle_cont(self, event: Frame) -> None:
        # Frames without data count for nothing in the bound of a message, so they would be kept without end.
        if event.data or event.fin:
            super().handle_cont(event)

    def handle_parser_exception(self) -> None:
        """Close a connection whose client broke the protocol, and tell the application, which may yet respond."""
        super().handle_parser_exception()
        self.disconnected = True

    def send_receive_event_to_app(self) -> None:
        """Hand over a message, or close the connection when its text is invalid: uvicorn would log a traceback."""
        try:
            if self.curr_msg_data_type == "text" and not self.close_sent:
                b"".join(self.frames).decode()
        except UnicodeDecodeError:
            self.frames = []
            self.conn.send_close(CloseCode.INVALID_DATA)
            self.handle_parser_exception()
        else:
            super().send_receive_event_to_app()
