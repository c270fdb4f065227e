"""HTTP as uvicorn speaks it, with a shorter way for requests and answers that are whole.

uvicorn hands the parts of a request to the application as they come and writes those of an answer as they are made,
several messages and two writes for the smallest of them. A POST whose body has come together with its head is offered
whole instead, in the scope, its answer can be written at once, and an application may have a part of itself that
answers it alone. Whatever is not that plain goes uvicorn's own way.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from starlette.types import Scope
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

WHOLE = "provenance.whole"
"""The extension of the scope that holds the offer."""
RawHeaders = Mapping[bytes, bytes]
"""Headers as they came, by lower-case name."""
ShortWay = Callable[[Any, RawHeaders], ASGI3Application | None]
"""By its scope, what answers a request that is whole, where that is not the whole application."""


@dataclass(slots=True)
class Whole:
    """A request that is all there, and the way to answer it in one piece."""

    _cycle: RequestResponseCycle
    headers: RawHeaders

    @property
    def body(self) -> bytes:
        """All of the request's body."""
        return bytes(self._cycle.body)

    def write(self, headers: bytes, body: bytes) -> bool:
        """Answer 200; False, with nothing written, where something is in the way and the answer has to be sent.

        `headers` are lines. Nothing in them may come from a client unchecked: they are written as they are.
        """
        cycle = self._cycle
        if cycle.disconnected or not cycle.keep_alive or cycle.flow.write_paused or cycle.transport.is_closing():
            return False
        lines = as_lines(cycle.default_headers)
        cycle.transport.write(b"%b%b%b\r\n%b" % (STATUS_LINE[200], lines, headers, body))
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        cycle.on_response()
        return True


def as_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Headers as HTTP/1.1 writes them."""
    return b"\r\n".join([*map(b": ".join, headers), b""])


def whole(scope: Scope) -> Whole | None:
    """The offer, where there is one, taken out of the scope.

    It refers to the scope: left there, only the collector would free what belongs to the request.
    """
    extensions = scope.get("extensions")
    return extensions.pop(WHOLE, None) if extensions else None


class Protocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._short_way = cast(ShortWay | None, getattr(self.config.app, "short_way", None))
        self._held: tuple[RequestResponseCycle, ASGI3Application] | None = None
        """A POST whose head has come, until all that has come with it is read."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._held is not None:
            self._begin(*self._held)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if self._held is not None:
            self._begin(*self._held)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if cycle.scope["method"] != "POST":
            super()._start_asgi_task(cycle, app)
        elif cycle.more_body:
            self._held = cycle, app
        else:
            # One that waited for the answer to the one before it is there already.
            self._begin(cycle, app)

    def _begin(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._held = None
        if not cycle.more_body:
            offer = Whole(cycle, dict(cycle.scope["headers"]))
            cycle.scope["extensions"] = {WHOLE: offer}  # type: ignore[dict-item]
            if self._short_way is not None and app is self.app:
                app = self._short_way(cycle.scope, offer.headers) or app
        super()._start_asgi_task(cycle, app)
