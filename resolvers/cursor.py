"""Cursors: where a row stands in one order of one filtered list."""

import base64
import binascii
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from resolvers.order import Order, SortKey, value_at
from resolvers.refusals import Refusal

EPOCH = datetime(1970, 1, 1)
LONGEST = 4096


class BadCursor(Refusal):
    """A cursor that is none, or belongs to another list, order or filter."""

    code = "BAD_CURSOR"


def fingerprint(*parts: object) -> str:
    """A short name for an order and a filter: equal for equal ones, on every server."""
    return hashlib.blake2s(repr(parts).encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def encode_cursor(document: dict[str, Any], order: Order, mark: str) -> str:
    """The place of `document` in `order`. `mark` binds it to the list's fingerprint."""
    values = [_portable(value_at(document, key.path)) for key in order.keys]
    return base64.urlsafe_b64encode(orjson.dumps([mark, *values])).rstrip(b"=").decode()


def decode_cursor(text: str, order: Order, mark: str) -> list[Any]:
    """The sort values at a place, one a key of `order`. Raises BadCursor."""
    decoded = _decoded(text)
    if not isinstance(decoded, list) or len(decoded) != len(order.keys) + 1 or not isinstance(decoded[0], str):
        raise BadCursor(f"Not a cursor: {text[:100]!r}.")
    if decoded[0] != mark:
        raise BadCursor("This cursor belongs to another list: it was made with another orderBy or where.")
    return [_restored(value, key, text) for value, key in zip(decoded[1:], order.keys, strict=True)]


def _decoded(text: str) -> Any:
    if len(text) > LONGEST:
        raise BadCursor(f"Not a cursor: {text[:100]!r}.")
    try:
        return orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, orjson.JSONDecodeError, ValueError) as error:
        raise BadCursor(f"Not a cursor: {text[:100]!r}.") from error


def _portable(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value.replace(tzinfo=None) - EPOCH) // timedelta(milliseconds=1)
    return value


def _restored(value: Any, key: SortKey, text: str) -> Any:
    """A value of the key's own type: a cursor is a client's text, and must not bring an operator into a filter."""
    if value is None and key.nullable:
        return None
    wanted = int if key.holds is datetime else key.holds
    if type(value) is not wanted or (isinstance(value, int) and not -(2**63) <= value < 2**63):
        raise BadCursor(f"Not a cursor: {text[:100]!r}.")
    return _moment(value, text) if key.holds is datetime and isinstance(value, int) else value


def _moment(milliseconds: int, text: str) -> datetime:
    try:
        return (EPOCH + timedelta(milliseconds=milliseconds)).replace(tzinfo=UTC)
    except OverflowError as error:
        raise BadCursor(f"Not a cursor: {text[:100]!r}.") from error
