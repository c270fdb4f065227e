"""The head of a request: its bounds, and refusals before its content is looked at.

By RFC 9110 and RFC 9112. A request that a proxy could read differently is refused: a single-valued field that occurs
twice, a missing Host, an unknown transfer coding. Other fields that occur several times are joined into one, so that
all code reads the same value.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from websockets.http11 import MAX_LINE_LENGTH, MAX_NUM_HEADERS

from graph.errors import LIMIT_EXCEEDED, HTTPError
from graph.limits import MAX_ADDRESS_BYTES, MAX_FIELD_COUNT, MAX_FIELDS_BYTES, MAX_PIPELINED_REQUESTS

MAX_HOST_BYTES = 300
SINGLE_VALUED_FIELDS = frozenset(
    {
        b"authorization",
        b"content-length",
        b"content-type",
        b"host",
        b"if-range",
        b"origin",
        b"range",
        b"sec-websocket-key",
        b"sec-websocket-version",
    }
)
"""Fields with a single value, in which commas do not separate values."""
HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
ABSOLUTE = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)
WEBSOCKET_VERSION = b"13"

Field = tuple[bytes, bytes]
Fields = dict[bytes, bytes]


def check_head(version: str, address: bytes, lines: list[Field]) -> Fields:
    """The fields of a head by lower-case name. Raises HTTPError: 400, 414 or 431.

    `lines` are the fields as received; afterwards they have each name once.
    """
    fields = dict(lines)
    if len(address) > MAX_ADDRESS_BYTES:
        raise address_too_long()
    if len(lines) > MAX_FIELD_COUNT:
        raise HTTPError(431, f"A request has at most {MAX_FIELD_COUNT} header fields.", LIMIT_EXCEEDED)
    if len(fields) != len(lines):
        lines[:] = _join(lines)
        fields = dict(lines)
    host = fields.get(b"host")
    if version != "1.1":
        _check_http_1_0(version, fields)
    elif host is None:
        raise HTTPError(400, "A request must name its server in one Host header.")
    if host is not None and not (len(host) <= MAX_HOST_BYTES and _is_host(host)):
        raise HTTPError(400, f"Host is not a valid server name: {_quote(host)}.")
    if b"transfer-encoding" in fields and fields[b"transfer-encoding"].lower() != b"chunked":
        # A coding that is not the last one, or is unknown, may end elsewhere for a proxy.
        raise HTTPError(400, f"Transfer-Encoding must be chunked, not {_quote(fields[b'transfer-encoding'])}.")
    return fields


def check_fields_size(lines: Sequence[Field]) -> None:
    """Raise HTTPError 431 when the fields are too large together."""
    if sum(len(name) + len(value) + 4 for name, value in lines) > MAX_FIELDS_BYTES:
        raise fields_too_long()


def check_websocket(method: str, address: bytes, fields: Mapping[bytes, bytes]) -> None:
    """Raise HTTPError for an invalid WebSocket request, so that all refusals look alike."""
    if method != "GET":
        raise HTTPError(405, "A WebSocket is opened with GET.", headers={"Allow": "GET"})
    if fields.get(b"content-length", b"0").strip(b"0") or b"transfer-encoding" in fields:
        raise HTTPError(400, "A WebSocket request must not have a body.")
    if len(address) > MAX_LINE_LENGTH - 20:
        raise address_too_long(MAX_LINE_LENGTH - 20)
    if len(fields) > MAX_NUM_HEADERS or any(len(name) + len(fields[name]) + 4 > MAX_LINE_LENGTH for name in fields):
        bounds = f"at most {MAX_NUM_HEADERS} header fields of {MAX_LINE_LENGTH:,} bytes"
        raise HTTPError(431, f"A WebSocket request may have {bounds}.", LIMIT_EXCEEDED)
    if fields.get(b"sec-websocket-version") != WEBSOCKET_VERSION:
        headers = {"Sec-WebSocket-Version": WEBSOCKET_VERSION.decode(), "Upgrade": "websocket"}
        raise HTTPError(426, "Sec-WebSocket-Version must be 13.", headers=headers)
    if not _is_key(fields.get(b"sec-websocket-key", b"")):
        raise HTTPError(400, "Sec-WebSocket-Key must be 16 bytes in base64.")


def origin_form(address: bytes, lines: list[Field]) -> bytes:
    """The request target in origin form, whose authority becomes the Host. Raises HTTPError for an invalid target."""
    named = ABSOLUTE.match(address)
    if named is None:
        if address == b"*":
            return address
        raise HTTPError(400, f"The address must begin with /: {_quote(address)}.")
    if not named[1] or not _is_host(named[1][:MAX_HOST_BYTES]):
        raise HTTPError(400, f"The address names no server: {_quote(address)}.")
    lines[:] = [line for line in lines if line[0] != b"host"] + [(b"host", named[1])]
    rest = address[named.end() :]
    return rest if rest.startswith(b"/") else b"/" + rest


def address_too_long(limit: int = MAX_ADDRESS_BYTES) -> HTTPError:
    """The error for a request target that is too long."""
    return HTTPError(414, f"An address has at most {limit:,} bytes; send longer requests with POST.", LIMIT_EXCEEDED)


def fields_too_long() -> HTTPError:
    """The error for header fields that are too large together."""
    return HTTPError(431, f"Header fields have at most {MAX_FIELDS_BYTES:,} bytes together.", LIMIT_EXCEEDED)


def too_many_waiting() -> HTTPError:
    """The error for a request when too many pipelined ones wait."""
    return HTTPError(429, f"At most {MAX_PIPELINED_REQUESTS} requests of a connection may wait.", LIMIT_EXCEEDED)


def _check_http_1_0(version: str, fields: Mapping[bytes, bytes]) -> None:
    if version != "1.0":
        raise HTTPError(400, f"This server speaks HTTP/1.1 and HTTP/1.0, not {version}.")
    if b"transfer-encoding" in fields:
        raise HTTPError(400, "An HTTP/1.0 request must not have a Transfer-Encoding.")


def _join(lines: Sequence[Field]) -> list[Field]:
    """Join fields of one name into one. Raises HTTPError for a single-valued field that occurs twice."""
    values: dict[bytes, list[bytes]] = {}
    for name, value in lines:
        values.setdefault(name, []).append(value)
    for name in SINGLE_VALUED_FIELDS & values.keys():
        if len(values[name]) > 1:
            raise HTTPError(400, f"{name.decode().title()} occurs {len(values[name])} times; send it once.")
    return [(name, (b"; " if name == b"cookie" else b", ").join(parts)) for name, parts in values.items()]


@lru_cache(maxsize=64)
def _is_host(host: bytes) -> bool:
    return HOST.fullmatch(host) is not None


def _is_key(key: bytes) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


def _quote(value: bytes) -> str:
    return repr(value[:100].decode("latin-1"))
