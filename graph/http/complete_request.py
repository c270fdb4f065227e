"""Complete requests: a POST whose body arrived together with its head, and the way to answer it with one write.

`graph/http/uvicorn_protocol.py` puts them into the scope. With uvicorn's own protocol, there are none.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Scope

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

RawHeaders = Mapping[bytes, bytes]
"""Headers as they arrived, by lower-case name."""
COMPLETE_REQUEST = "provenance.complete_request"
"""The extension of the scope that holds the CompleteRequest."""
STATUS_LINE = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
FastPath = Callable[[Any, RawHeaders], ASGIApp | None]
"""From the scope of a complete request to the app that answers it, where that is not the whole application."""


@dataclass(slots=True)
class CompleteRequest:
    """A complete request, and the way to answer it with one write."""

    _cycle: "RequestResponseCycle"
    headers: RawHeaders

    @property
    def body(self) -> bytes:
        """The request's body."""
        return bytes(self._cycle.body)

    def write(self, headers: bytes, body: bytes, status: int = 200) -> bool:
        """Write the response; returns False, with nothing written, when it has to be sent as messages.

        `headers` are lines, written unchecked: they must contain nothing that a client sent.
        """
        cycle = self._cycle
        if cycle.disconnected or not cycle.keep_alive or cycle.flow.write_paused or cycle.transport.is_closing():
            return False
        lines = serialize_headers(cycle.default_headers)
        cycle.transport.write(b"%b%b%b\r\n%b" % (STATUS_LINE[status], lines, headers, body))
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        cycle.on_response()
        return True


def serialize_headers(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Headers as the bytes of HTTP/1.1, each line with its line break."""
    return b"\r\n".join([*map(b": ".join, headers), b""])


def take_complete_request(scope: Scope) -> CompleteRequest | None:
    """Take the complete request, if it is one, out of the scope.

    It refers to the scope: left there, the request would be freed only by the garbage collector.
    """
    extensions = scope.get("extensions")
    return extensions.pop(COMPLETE_REQUEST, None) if extensions else None
