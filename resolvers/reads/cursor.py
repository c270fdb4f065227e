"""Cursors: the position of a row in one order of one filtered list."""

import base64
import binascii
import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from resolvers.reads.order import Order, SortKey, value_at
from resolvers.user_errors import Refusal

EPOCH = datetime(1970, 1, 1)
LONGEST = 131_072
"""Characters of a cursor, more than one for a name of 10,000 characters has: longer ones are not kept."""
LATE = re.compile(r"(.+)~([0-9]{1,18})", re.ASCII)
"""The cursor of a log's follower: the cursor of a line, and the number of late lines until then."""


class BadCursor(Refusal):
    """A cursor that is malformed, or belongs to another list, order or filter."""

    code = "BAD_CURSOR"


def fingerprint(*parts: object) -> str:
    """A short digest of an order and a filter: equal for equal ones, on every server."""
    return hashlib.blake2s(repr(parts).encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def encode_cursor(document: dict[str, Any], order: Order, mark: str) -> str:
    """The position of `document` in `order`. `mark` binds it to the list's fingerprint."""
    values = [_portable(value_at(document, key.path)) for key in order.keys]
    return base64.urlsafe_b64encode(orjson.dumps([mark, *values])).rstrip(b"=").decode()


def split_late(text: str) -> tuple[str, int]:
    """The cursor of a line, and the number of late lines, 0 where the cursor has none."""
    found = LATE.fullmatch(text) if len(text) <= LONGEST else None
    return (found[1], int(found[2])) if found else (text, 0)


def decode_cursor(text: str, order: Order, mark: str) -> list[Any]:
    """The sort values at a position, one for each key of `order`. Raises BadCursor."""
    decoded = _decoded(split_late(text)[0])
    if not isinstance(decoded, list) or not decoded or not isinstance(decoded[0], str):
        raise BadCursor(f"Not a cursor: {text[:100]!r}.")
    if decoded[0] != mark or len(decoded) != len(order.keys) + 1:
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
