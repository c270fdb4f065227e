"""Serialisation of answers: at once when they are small, in turns and in chunks when they are big.

Each page of a big answer is serialised as soon as all below it is, since text takes less memory than objects, and is
then only copied into the page above. No turn is so long that it blocks other requests. Serialised text stands among the
objects as bytes.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from graph.engine.plan.occurrences import Times
from resolvers.concurrency import event_loop
from resolvers.reads.response_budget import AnswerBudget

# Scalars have serialised dates already; an unserialised value that gets here is a bug.
ORJSON = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
BIG = 10_000
"""Objects in an answer beyond which it is serialised page by page."""
PART = 1_000_000
"""Bytes that are written in one turn."""
ROOMY = 50_000
"""Bytes beyond which the spare room that orjson allocates with a text does not matter."""
DEEPEST = 5
"""Levels of an answer that are written piecewise: data, field, connection, list and member."""


def dumps(value: Any) -> bytes:
    """JSON. Raises TypeError for a value that no scalar has serialised."""
    return orjson.dumps(value, _text, ORJSON)


def _text(value: Any) -> orjson.Fragment:
    """The text of serialised values. Raises TypeError for other values that orjson does not know."""
    if type(value) is not bytes:
        raise TypeError(f"{type(value).__name__} is not JSON")
    return orjson.Fragment(value)


def write_rows(
    rows: list[Any], columns: list[list[Any]], times: Times, budget: AnswerBudget
) -> tuple[list[bytes], int]:
    """The JSON of each row, and the bytes of all, counted as often as they occur in the answer.

    Raises AnswerTooLarge.
    """
    texts, size = [], 0
    for number, row in enumerate(rows):
        text, each = dumps(row), 1 if times is None else times[number]
        # The text of a column has been counted already.
        brought = sum([len(column[number]) for column in columns if type(column[number]) is bytes]) if columns else 0
        budget.add_bytes(each * (len(text) - brought))
        size += each * len(text)
        # A copy, because orjson allocates several times the size of a short text.
        texts.append(text if len(text) > ROOMY else bytes(memoryview(text)))
    return texts, size


def write_list(texts: list[bytes]) -> bytes:
    """A list of serialised members."""
    return b"[%b]" % b",".join(texts)


async def in_parts(value: Any) -> list[bytes]:
    """JSON in chunks. Its lists are emptied on the way, so that memory is not taken twice."""
    parts: list[bytes] = []
    some: list[bytes] = []
    size = 0
    for piece in _pieces(value, DEEPEST):
        some.append(piece)
        if (size := size + len(piece)) > PART:
            parts.append(b"".join(some) if len(some) > 1 else piece)
            some, size = [], 0
            await event_loop.yield_to_event_loop()
    return [*parts, b"".join(some)]


def data_of(parts: list[bytes]) -> bytes:
    """The data of an answer that has only data."""
    whole = parts[0] if len(parts) == 1 else b"".join(parts)
    return whole[len(b'{"data":') : -1]


def _pieces(value: Any, levels: int, *, once: bool = True) -> Iterator[bytes]:
    """A value in pieces. Only a value that occurs `once` is emptied: a list may hold the same member several times."""
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
