"""Serialisation of answers: at once when they are small, in batches and in chunks when they are big.

Each page of a big answer is serialised as soon as all below it is, since text takes less memory than objects, and is
then only copied into the page above. No batch takes so long that it blocks other requests. Serialised text is held as
bytes among the objects.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from graph.engine.plan.occurrences import Occurrences
from resolvers.concurrency import event_loop
from resolvers.reads.answer_budget import AnswerBudget

# Scalars have serialised dates already; an unserialised value that gets here is a bug.
ORJSON = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
MAX_OBJECTS_AT_ONCE = 10_000
"""Objects in an answer; a larger answer is serialised page by page."""
CHUNK_BYTES = 1_000_000
"""Bytes that are written in one turn."""
MAX_COPIED_BYTES = 50_000
"""Bytes of a text; with a larger one the spare memory that orjson allocates does not matter."""
MAX_CHUNKED_DEPTH = 5
"""Levels of an answer that are serialised piece by piece: data, field, connection, list and member."""


@dataclass
class Pieces:
    """The text of one value in pieces, which are joined when the answer is written."""

    texts: list[bytes]


def dumps(value: Any) -> bytes:
    """JSON. Raises TypeError for a value that no scalar has serialised."""
    return orjson.dumps(value, _fragment, ORJSON)


def _fragment(value: Any) -> orjson.Fragment:
    """A serialised value. Raises TypeError for other values that orjson does not know."""
    if type(value) is Pieces:
        return orjson.Fragment(b"".join(value.texts))
    if type(value) is not bytes:
        raise TypeError(f"{type(value).__name__} is not JSON")
    return orjson.Fragment(value)


def dump_rows(
    rows: list[Any], columns: list[list[Any]], times: Occurrences, budget: AnswerBudget
) -> tuple[list[bytes], int]:
    """The JSON of each row, and the bytes of all, counted as often as they occur in the answer.

    Raises AnswerTooLarge.
    """
    texts, size = [], 0
    for number, row in enumerate(rows):
        text, occurrences = dumps(row), 1 if times is None else times[number]
        # The text of nested fields has been counted already.
        nested = sum([len(column[number]) for column in columns if type(column[number]) is bytes]) if columns else 0
        budget.add_bytes(occurrences * (len(text) - nested))
        size += occurrences * len(text)
        # A copy, because orjson allocates several times the size of a short text.
        texts.append(text if len(text) > MAX_COPIED_BYTES else bytes(memoryview(text)))
    return texts, size


def dump_members(values: list[Any]) -> bytes:
    """The members of a list, serialised at once, with commas between them."""
    return dumps(values)[1:-1]


def dump_list(texts: list[bytes]) -> bytes:
    """A list of serialised members."""
    return b"[%b]" % b",".join(texts)


def list_in_pieces(texts: list[bytes]) -> Pieces:
    """A list of serialised members, which are not copied."""
    separated = [piece for text in texts for piece in (b",", text)]
    return Pieces([b"[", *separated[1:], b"]"])


async def dump_in_chunks(value: Any) -> list[bytes]:
    """JSON in chunks. Lists are emptied on the way, so that memory is not taken twice."""
    chunks: list[bytes] = []
    pieces: list[bytes] = []
    size = 0
    for piece in _pieces(value, MAX_CHUNKED_DEPTH):
        pieces.append(piece)
        if (size := size + len(piece)) > CHUNK_BYTES:
            chunks.append(b"".join(pieces) if len(pieces) > 1 else piece)
            pieces, size = [], 0
            await event_loop.yield_to_event_loop()
    return [*chunks, b"".join(pieces)]


def data_of(chunks: list[bytes]) -> bytes:
    """The data of an answer that has only data."""
    answer = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    return answer[len(b'{"data":') : -1]


def _pieces(value: Any, levels: int, *, once: bool = True) -> Iterator[bytes]:
    """The JSON of a value in pieces. Only a value that occurs `once` is emptied: a list may repeat a member."""
    if type(value) is Pieces:
        value.texts.reverse()
        while value.texts:
            yield value.texts.pop()
    elif levels and isinstance(value, dict):
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
