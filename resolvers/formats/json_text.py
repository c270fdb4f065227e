"""JSON from outside: an object, or a refusal that says what is wrong with the text."""

import json
from collections.abc import Iterator
from typing import Any, NoReturn

from resolvers.user_errors import InvalidInput

MAX_DEPTH = 100
LONGEST_NAME = 10_000
"""Characters of a name or title that is taken out of a document."""


def read_object(text: str, *, noun: str, max_bytes: int) -> dict[str, Any]:
    """The object in a JSON text, with each number as its text.

    Texts that could not be put into an answer unchanged are refused: anything but strict JSON (RFC 8259, so neither NaN
    nor Infinity), a leading byte order mark, lone surrogates, more than `max_bytes` of UTF-8 or 100 levels. A duplicate
    key is no error: the text is kept as it came, and its last value is used.
    """
    utf8(text, noun=noun, max_bytes=max_bytes)
    try:
        value = json.loads(text, parse_int=str, parse_float=str, parse_constant=_no_constant)
    except RecursionError:
        raise InvalidInput(f"The {noun} is nested more than {MAX_DEPTH} levels deep.") from None
    except ValueError as error:
        raise InvalidInput(f"The {noun} is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise InvalidInput(f"The {noun} is {_a_kind(value)}, not an object.")
    if _deeper_than(value, MAX_DEPTH):
        raise InvalidInput(f"The {noun} is nested more than {MAX_DEPTH} levels deep.")
    return value


def utf8(text: str, *, noun: str, max_bytes: int) -> bytes:
    """The UTF-8 bytes of a text. Raises InvalidInput when there are too many or the text has no UTF-8 form."""
    if len(text) > max_bytes:
        raise InvalidInput(f"The {noun} is larger than {max_bytes:,} bytes.")
    try:
        encoded = text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"The {noun} holds a lone surrogate (half of a character) at {error.start}.") from None
    if len(encoded) > max_bytes:
        raise InvalidInput(f"The {noun} has {len(encoded):,} bytes, more than {max_bytes:,}.")
    return encoded


def storable(text: str) -> str:
    """The text without surrounding space, with � for characters that UTF-8 or some client cannot represent.

    An escape such as `\\ud800` or `\\u0000` is valid JSON, but makes a string that breaks later.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd").strip()


def cut_name(text: str) -> str:
    """The text, cut to the maximum length of a name or title. Lists are sorted by names, and cursors contain them."""
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…"


def texts(value: object) -> Iterator[str]:
    """Every text that is not blank in a string or a list of strings."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, str) and (text := storable(one)):
            yield text


def first_text(*values: object) -> str | None:
    """The first text that is not blank, of strings and lists of strings."""
    return next((text for value in values for text in texts(value)), None)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _a_kind(value: object) -> str:
    kinds = {list: "a list", str: "a string or a number", bool: "a truth value"}
    return kinds.get(type(value), "null")


def _deeper_than(value: object, limit: int) -> bool:
    level: list[object] = [value]
    for _ in range(limit + 1):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return False
    return True


def _children(value: object) -> list[object]:
    held = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [child for child in held if isinstance(child, dict | list)]
