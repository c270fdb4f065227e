"""Multipart bodies as they arrive: one part after the other, held no longer than it takes to pass them on.

python-multipart's parser pushes events; here they are pulled, so that a slow disk slows the sender down.
"""

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_PARTS = 8
MAX_HEADERS = 8
MAX_HEADER_BYTES = 2_000
FORM_DATA = b"multipart/form-data"


class MultipartError(Exception):
    """A body that is not valid multipart; the message may be shown to its sender."""


@dataclass(frozen=True)
class _PartStart:
    name: str


class _PartEnd:
    pass


class MultipartReader:
    """The parts of a body. Each must be read, or skipped, before the next is requested. Raises MultipartError."""

    def __init__(self, content_type: str, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self._events: deque[_PartStart | _PartEnd | bytes] = deque()
        self._headers: dict[bytes, bytes] = {}
        self._field, self._value = bytearray(), bytearray()
        self._complete = False
        self._parts = 0
        self._parser = _parser(content_type, self._callbacks())

    async def __aiter__(self) -> AsyncIterator["Part"]:
        while (event := await self._next()) is not None:
            # Skip the rest of a part that was not read.
            if isinstance(event, _PartStart):
                yield Part(event.name, self)

    async def data(self) -> AsyncIterator[bytes]:
        """The remaining bytes of the current part."""
        while isinstance(event := await self._next(), bytes):
            yield event

    async def _next(self) -> "_PartStart | _PartEnd | bytes | None":
        """The next event, None after the end of the last part."""
        while not self._events:
            if self._complete:
                return None
            self._feed(await anext(self._body, b""))
        return self._events.popleft()

    def _feed(self, chunk: bytes) -> None:
        if not chunk:
            raise MultipartError("The body ends before its last part does.")
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise MultipartError(f"The body is not valid multipart/form-data: {error}.") from error

    def _callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._headers.clear,
            "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": lambda data, start, end: self._events.append(data[start:end]),
            "on_part_end": lambda: self._events.append(_PartEnd()),
            "on_end": self._on_end,
        }

    def _on_header_end(self) -> None:
        name = bytes(self._field).lower()
        if name in self._headers:
            raise MultipartError(f"A part has the header {name[:50].decode('latin-1')!r} twice.")
        self._headers[name] = bytes(self._value)
        self._field.clear()
        self._value.clear()

    def _on_headers_finished(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise MultipartError(f"The body has more than {MAX_PARTS} parts.")
        disposition, options = parse_options_header(self._headers.get(b"content-disposition", b"").decode("latin-1"))
        if disposition != b"form-data" or b"name" not in options:
            raise MultipartError("A part has no name.")
        self._events.append(_PartStart(options[b"name"].decode("latin-1")))

    def _on_end(self) -> None:
        self._complete = True


@dataclass(frozen=True)
class Part:
    """A part of a body."""

    name: str
    parts: MultipartReader

    def chunks(self) -> AsyncIterator[bytes]:
        """The part's bytes, as they arrive."""
        return self.parts.data()


def _parser(content_type: str, callbacks: "MultipartCallbacks") -> MultipartParser:
    media_type, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if media_type != FORM_DATA or not boundary:
        raise MultipartError("Send multipart/form-data with a boundary.")
    try:
        return MultipartParser(boundary, callbacks, max_header_count=MAX_HEADERS, max_header_size=MAX_HEADER_BYTES)
    except FormParserError as error:
        raise MultipartError(f"{error}.") from error
