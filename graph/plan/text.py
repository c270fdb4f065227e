"""Answers as text: at once when they are small, in turns and in parts when they are big.

Of a big answer each page is written as soon as all below it is, since text takes less room than the objects it tells
of, and what is text already is only copied into the page above. Nothing is written for so long that others wait. Text
stands among the objects as bytes.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from resolvers import turns

# Scalars write dates as GraphQL wants them; a value that reaches the writer unwritten is a mistake of ours.
ORJSON = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
BIG = 10_000
"""Objects in an answer beyond which it is written page by page."""
PART = 1_000_000
"""Bytes that are written before others have their turn."""
ROOMY = 50_000
"""Bytes beyond which the room that orjson leaves around a text does not matter."""
DEEPEST = 5
"""Levels of an answer that are taken apart: data, field, connection, list and member."""


def dumps(value: Any) -> bytes:
    """JSON. Raises TypeError for a value that no scalar has written."""
    return orjson.dumps(value, _text, ORJSON)


def _text(value: Any) -> orjson.Fragment:
    """What is text already. Raises TypeError for all else that orjson does not know."""
    if type(value) is not bytes:
        raise TypeError(f"{type(value).__name__} is not JSON")
    return orjson.Fragment(value)


async def as_text(values: list[Any]) -> None:
    """Write each value as it will stand in the answer, in its place."""
    written = 0
    for place, value in enumerate(values):
        text = dumps(value)
        # A copy, because orjson leaves a short text in several times its room.
        values[place] = text if len(text) > ROOMY else bytes(memoryview(text))
        if (written := written + len(text)) > PART:
            written = 0
            await turns.give_way()


async def in_parts(value: Any) -> list[bytes]:
    """JSON in parts. Its lists are emptied on the way, so that no room is taken twice."""
    parts: list[bytes] = []
    some: list[bytes] = []
    size = 0
    for piece in _pieces(value, DEEPEST):
        some.append(piece)
        if (size := size + len(piece)) > PART:
            parts.append(b"".join(some) if len(some) > 1 else piece)
            some, size = [], 0
            await turns.give_way()
    return [*parts, b"".join(some)]


def _pieces(value: Any, levels: int, *, once: bool = True) -> Iterator[bytes]:
    """A value in pieces. Only what stands there `once` is emptied: a list may have the same member several times."""
    if levels and isinstance(value, dict):
        for number, (key, member) in enumerate(value.items()):
            yield (b"," if number else b"{") + dumps(key) + b":"
            yield from _pieces(member, levels - 1, once=once)
        yield b"}" if value else b"{}"
    elif levels and isinstance(value, list):
        for number, member in enumerate(value):
            yield b"," if number else b"["
            if once:
                value[number] = None
            yield from _pieces(member, levels - 1, once=False)
        yield b"]" if value else b"[]"
    elif isinstance(value, bytes):
        yield value
    else:
        yield dumps(value)
