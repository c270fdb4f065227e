"""HTTP as uvicorn speaks it, with a shorter way for requests and answers that are whole.

uvicorn hands the parts of a request to the application as they come and writes those of an answer as they are made,
several messages and two writes for the smallest of them. A POST whose body has come together with its head is offered
whole instead, in the scope, and its answer can be written at once. Whatever is not that plain goes uvicorn's own way.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from starlette.types import Scope
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

WHOLE = "provenance.whole"
"""The extension of the scope that holds the offer."""


@dataclass(slots=True)
class Whole:
    """A request that is all there, and the way to answer it in one piece."""

    _cycle: RequestResponseCycle

    @property
    def body(self) -> bytes:
        """All of the request's body."""
        return bytes(self._cycle.body)

    def write(self, headers: Iterable[tuple[bytes, bytes]], body: bytes, more: bytes = b"") -> bool:
        """Answer 200; False, with nothing written, where something is in the way and the answer has to be sent.

        `more` are headers as lines. Nothing in them or in `headers` may come from a client unchecked: they are written
        as they are.
        """
        cycle = self._cycle
        if cycle.disconnected or not cycle.keep_alive or cycle.flow.write_paused or cycle.transport.is_closing():
            return False
        lines = as_lines((*cycle.default_headers, *headers))
        cycle.transport.write(b"".join((STATUS_LINE[200], lines, more, b"\r\n", body)))
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        cycle.on_response()
        return True


def as_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Headers as HTTP/1.1 writes them."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def whole(scope: Scope) -> Whole | None:
    """The offer, where there is one."""
    offer: Whole | None = scope.get("extensions", {}).get(WHOLE)
    return offer


class Protocol(HttpToolsProtocol):
    """One connection."""

    _held: tuple[RequestResponseCycle, ASGI3Application] | None = None
    """A POST whose head has come, until all that has come with it is read."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._begin()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._begin()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if cycle.scope["method"] != "POST":
            super()._start_asgi_task(cycle, app)
            return
        self._held = cycle, app
        # One that waited for the answer to the one before it is there already.
        if not cycle.more_body:
            self._begin()

    def _begin(self) -> None:
        if self._held is None:
            return
        (cycle, app), self._held = self._held, None
        if not cycle.more_body:
            cycle.scope["extensions"] = {WHOLE: Whole(cycle)}  # type: ignore[dict-item]
        super()._start_asgi_task(cycle, app)
