"""From HTTP to one GraphQL request: media types, the body within its limit, the four parameters."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

from graph.errors import LIMIT_EXCEEDED, HTTPRefusal
from graph.protocol import RawHeaders, Whole

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
MAX_BODY = 1_000_000
"""Bytes; what is larger goes through an upload."""
BODY_TIMEOUT = 30.0
"""Seconds a client has for sending the body."""


class Silent(Exception):
    """Nothing more of a body arrived in time; the message says so."""


@dataclass(slots=True)
class GraphQLRequest:
    """What a client asks, as the GraphQL-over-HTTP specification names it."""

    query: str
    operation_name: str | None
    variables: dict[str, Any]
    extensions: dict[str, Any]


async def chunks_of(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes. Raises Silent when nothing comes for BODY_TIMEOUT, and ClientDisconnect."""
    chunks = aiter(request.stream())
    while True:
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Silent(f"Nothing arrived for {BODY_TIMEOUT:.0f} s.") from None
        yield chunk


async def read_post(headers: RawHeaders, receive: Receive, offer: Whole | None) -> GraphQLRequest:
    """The request in a POST body. Raises HTTPRefusal: 400, 408, 413 or 415; ClientDisconnect when it never ends."""
    _check_content_type(headers)
    body = await read_body(headers, receive) if offer is None else offer.body
    return _parameters(_json(body, "The body"))


def read_get(request: Request) -> GraphQLRequest:
    """The request in the address. Raises HTTPRefusal 400."""
    parameters: dict[str, Any] = dict(request.query_params)
    for name in ("variables", "extensions"):
        if name in parameters:
            parameters[name] = _json(parameters[name].encode(errors="surrogatepass"), f"The {name} parameter")
    return _parameters(parameters)


@lru_cache(maxsize=64)
def answer_type(accept: bytes | None) -> str | None:
    """The media type to answer with, None when the client takes neither. On equal terms the newer one is chosen."""
    ranges = dict(_ranges(accept or b"*/*"))
    anything = ranges.get("application/*", ranges.get("*/*", 0.0))
    plain, newer = ranges.get(JSON, anything), ranges.get(GRAPHQL_JSON, 0.0)
    if newer and newer >= plain:
        return GRAPHQL_JSON
    return JSON if plain else None


def wants_page(accept: bytes | None) -> bool:
    """Whether this is a browser that opens an address: it names HTML, which no client of the API does."""
    return any(name == "text/html" and quality for name, quality in _ranges(accept or b""))


def _ranges(accept: bytes) -> Iterator[tuple[str, float]]:
    return map(_range, accept.decode("latin-1").split(","))


def _range(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return name, float(parameter[2:])
            except ValueError:
                return name, 0.0
    return name, 1.0


def _check_content_type(headers: RawHeaders) -> None:
    if not _is_json(headers.get(b"content-type", b"")):
        raise HTTPRefusal(415, f"Send the request as {JSON} in UTF-8.", headers={"Accept-Post": JSON})
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise HTTPRefusal(415, "Send the body as it is, without a Content-Encoding.")


@lru_cache(maxsize=64)
def _is_json(content_type: bytes) -> bool:
    media, *parameters = (piece.strip().lower() for piece in content_type.decode("latin-1").split(";"))
    charsets = [parameter[8:].strip('"') for parameter in parameters if parameter.startswith("charset=")]
    return media == JSON and all(charset in ("utf-8", "utf8") for charset in charsets)


async def read_body(headers: RawHeaders, receive: Receive) -> bytes:
    """A whole body. Raises HTTPRefusal 408 or 413, and ClientDisconnect when it never ends."""
    announced = headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced[:20]) > MAX_BODY:
        _too_large()
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await _received(receive)
    except TimeoutError:
        raise HTTPRefusal(408, f"The body did not arrive within {BODY_TIMEOUT:.0f} s.") from None


async def _received(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part: bytes = message.get("body", b"")
        if len(body) + len(part) > MAX_BODY:
            _too_large()
        body += part
        if not message.get("more_body", False):
            return bytes(body)


def _too_large() -> NoReturn:
    raise HTTPRefusal(413, f"The body is larger than {MAX_BODY:,} bytes.", LIMIT_EXCEEDED)


def _json(text: bytes, what: str) -> Any:
    try:
        return _decoder.decode(text.decode("utf-8"))
    except UnicodeDecodeError:
        raise HTTPRefusal(400, f"{what} is not UTF-8.") from None
    except RecursionError:
        raise HTTPRefusal(400, f"{what} is nested too deeply.", LIMIT_EXCEEDED) from None
    except ValueError as error:
        reason = f"{error.msg} at character {error.pos}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise HTTPRefusal(400, f"{what} is not JSON: {reason}.") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


# Made once: that costs more than it takes to read a short request.
_decoder = json.JSONDecoder(parse_constant=_no_constant)


def _parameters(found: Any) -> GraphQLRequest:
    if isinstance(found, list):
        raise HTTPRefusal(400, "Send one operation at a time; batches are not taken.")
    if not isinstance(found, dict):
        raise HTTPRefusal(400, "The body must be a JSON object with a query.")
    query = found.get("query")
    if not isinstance(query, str) or not query.strip():
        raise HTTPRefusal(400, "query must be a string that holds a GraphQL document.")
    name = found.get("operationName")
    if name is not None and not isinstance(name, str):
        raise HTTPRefusal(400, "operationName must be a string.")
    return GraphQLRequest(query, name or None, _object(found, "variables"), _object(found, "extensions"))


def _object(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = found.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise HTTPRefusal(400, f"{name} must be an object.")
    return value
