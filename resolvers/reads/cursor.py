"""Cursors: the position of a row in one order of one filtered list."""

import base64
import binascii
import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from resolvers.reads.order import Order, SortKey, value_at
from resolvers.user_errors import Refusal

EPOCH = datetime(1970, 1, 1)
MAX_CURSOR_LENGTH = 131_072
"""Characters of a cursor, more than one for a name of 10,000 characters has."""
LATE_LINES = re.compile(r"(.+)~([0-9]{1,18})", re.ASCII)
"""A cursor of a log's subscription: the cursor of a line, and the number of late lines sent until then."""


class BadCursor(Refusal):
    """A cursor that is malformed, or belongs to another list, order or filter."""

    code = "BAD_CURSOR"


def fingerprint(*parts: object) -> str:
    """A short digest of an order and a filter: equal for equal ones, on every server and in every release.

    It depends on values alone. Names of classes and fields would invalidate all cursors whenever one is renamed, so
    that clients could not go on paging, or resume a subscription, while servers are upgraded.
    """
    text = json.dumps(parts, default=_plain_value)
    return hashlib.blake2s(text.encode(), digest_size=6).hexdigest()


def encode_cursor(document: dict[str, Any], order: Order, fingerprint: str) -> str:
    """The position of `document` in the order of the list with this fingerprint."""
    values = [_to_json(value_at(document, key.path)) for key in order.keys]
    return base64.urlsafe_b64encode(orjson.dumps([fingerprint, *values])).rstrip(b"=").decode()


def split_late(text: str) -> tuple[str, int]:
    """The cursor of a line, and the number of late lines, 0 where the cursor has none."""
    match = LATE_LINES.fullmatch(text) if len(text) <= MAX_CURSOR_LENGTH else None
    return (match[1], int(match[2])) if match else (text, 0)


def decode_cursor(text: str, order: Order, fingerprint: str) -> list[Any]:
    """The sort values at a position, one for each key of `order`. Raises BadCursor."""
    decoded = _decode(split_late(text)[0])
    if not isinstance(decoded, list) or not decoded or not isinstance(decoded[0], str):
        raise BadCursor(f"Not a cursor: {text[:100]!r}.")
    if decoded[0] != fingerprint or len(decoded) != len(order.keys) + 1:
        raise BadCursor("This cursor belongs to another list: it was made with another orderBy or where.")
    return [_sort_value(value, key, text) for value, key in zip(decoded[1:], order.keys, strict=True)]


def _decode(text: str) -> Any:
    if len(text) > MAX_CURSOR_LENGTH:
        raise BadCursor(f"Not a cursor: {text[:100]!r}.")
    try:
        return orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, orjson.JSONDecodeError, ValueError) as error:
        raise BadCursor(f"Not a cursor: {text[:100]!r}.") from error


def _plain_value(part: object) -> Any:
    """A part of a fingerprint that JSON does not know."""
    if isinstance(part, Order):
        return part.keys
    if isinstance(part, SortKey):
        return [part.path, part.value_type.__name__, part.nullable, part.direction, part.nulls_last]
    return str(part)


def _to_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value.replace(tzinfo=None) - EPOCH) // timedelta(milliseconds=1)
    return value


def _sort_value(value: Any, key: SortKey, text: str) -> Any:
    """A value of the key's own type: a cursor is a client's text, and must not bring an operator into a filter."""
    if value is None and key.nullable:
        return None
    encoded_type = int if key.value_type is datetime else key.value_type
    if type(value) is not encoded_type or (isinstance(value, int) and not -(2**63) <= value < 2**63):
        raise BadCursor(f"Not a cursor: {text[:100]!r}.")
    return _datetime(value, text) if key.value_type is datetime and isinstance(value, int) else value


def _datetime(milliseconds: int, text: str) -> datetime:
    try:
        return (EPOCH + timedelta(milliseconds=milliseconds)).replace(tzinfo=UTC)
    except OverflowError as error:
        raise BadCursor(f"Not a cursor: {text[:100]!r}.") from error
