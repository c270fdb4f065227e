"""Parser for JSON from outside: returns an object, or raises InvalidInput with what is wrong with the text."""

import json
from collections.abc import Iterator
from typing import Any, NoReturn

from resolvers.user_errors import InvalidInput

MAX_DEPTH = 100
MAX_NAME_LENGTH = 10_000
"""Characters of a name or title that is extracted from a document."""


def read_object(text: str, *, noun: str, max_bytes: int) -> dict[str, Any]:
    """The object in a JSON text, with each number as its text.

    Raises InvalidInput for texts that could not be put into an answer unchanged: anything but strict JSON (RFC 8259, so
    neither NaN nor Infinity), a leading byte order mark, lone surrogates, more than `max_bytes` of UTF-8 or 100 levels.
    A duplicate key is not an error: its last value is used, and the text is stored unchanged.
    """
    utf8(text, noun=noun, max_bytes=max_bytes)
    try:
        value = json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse_constant)
    except RecursionError:
        raise InvalidInput(f"The {noun} is nested more than {MAX_DEPTH} levels deep.") from None
    except ValueError as error:
        raise InvalidInput(f"The {noun} is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise InvalidInput(f"The {noun} is {_kind_of(value)}, not an object.")
    if _is_deeper_than(value, MAX_DEPTH):
        raise InvalidInput(f"The {noun} is nested more than {MAX_DEPTH} levels deep.")
    return value


def utf8(text: str, *, noun: str, max_bytes: int) -> bytes:
    """The UTF-8 bytes of a text. Raises InvalidInput if there are too many, or the text has no UTF-8 form."""
    if len(text) > max_bytes:
        raise InvalidInput(f"The {noun} is larger than {max_bytes:,} bytes.")
    try:
        encoded = text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"The {noun} holds a lone surrogate (half of a character) at {error.start}.") from None
    if len(encoded) > max_bytes:
        raise InvalidInput(f"The {noun} has {len(encoded):,} bytes, more than {max_bytes:,}.")
    return encoded


def storable_text(text: str) -> str:
    """The text without surrounding space, with � for characters that UTF-8 or some clients cannot represent.

    An escape such as `\\ud800` or `\\u0000` is valid JSON, but the string cannot be encoded or stored later.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd").strip()


def cut_name(text: str) -> str:
    """The text, cut to the maximum length of a name or title. Lists are sorted by names, and cursors contain them."""
    return text if len(text) <= MAX_NAME_LENGTH else f"{text[: MAX_NAME_LENGTH - 1]}…"


def texts(value: object) -> Iterator[str]:
    """The non-blank texts of a string or a list of strings."""
    for entry in value if isinstance(value, list) else [value]:
        if isinstance(entry, str) and (text := storable_text(entry)):
            yield text


def first_text(*values: object) -> str | None:
    """The first non-blank text of the values, which are strings or lists of strings; None if they have none."""
    return next((text for value in values for text in texts(value)), None)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _kind_of(value: object) -> str:
    kinds = {list: "a list", str: "a string or a number", bool: "a truth value"}
    return kinds.get(type(value), "null")


def _is_deeper_than(value: object, limit: int) -> bool:
    level: list[object] = [value]
    for _ in range(limit + 1):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return False
    return True


def _children(value: object) -> list[object]:
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [child for child in members if isinstance(child, dict | list)]
