"""From HTTP to one GraphQL request: its body, within the limit, and its four parameters."""

import asyncio
import codecs
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

from graph.engine.admission import Admission
from graph.errors import LIMIT_EXCEEDED, HTTPError, Overloaded, PersistedQueryNotSupported
from graph.http.complete_request import CompleteRequest, RawHeaders
from graph.http.content_encoding import is_packed, unpacked
from graph.http.media_types import JSON, is_json

READS = ("GET", "HEAD")
"""Methods with parameters in the query string; HEAD gets the response without its body."""
MAX_BODY = 1_000_000
"""Bytes of a body; larger files go through an upload."""
BOM = codecs.BOM_UTF8
BODY_TIMEOUT = 30.0
"""Seconds for the client to send the body."""

IsKnown = Callable[[bytes | None], Awaitable[bool]]
"""From the Authorization header to whether the caller is signed in. Raises HTTPError for invalid credentials."""


class Silent(Exception):
    """No more of a body arrived in time; the message says so."""


@dataclass(slots=True)
class GraphQLRequest:
    """A GraphQL request, with the names of the GraphQL-over-HTTP specification."""

    query: str
    operation_name: str | None
    variables: dict[str, Any]
    extensions: dict[str, Any]


async def chunks_of(request: Request) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises Silent when nothing arrives for BODY_TIMEOUT, and ClientDisconnect."""
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


async def read_request(
    request: Request, offer: CompleteRequest | None, headers: RawHeaders, admission: Admission, is_known: IsKnown
) -> GraphQLRequest:
    """The request in a URL or a body, compressed or not. Raises HTTPError, Overloaded and ClientDisconnect."""
    if request.method in READS:
        return _read_get(request)
    _check_content_type(headers)
    packed = is_packed(headers)
    body = _whole_body(offer) if offer else await _counted_body(request, headers, admission)
    if not packed:
        return _parameters(_json(body, "The body"))
    # A compressed body of 1 kB may take as long to read as one of 1 MB.
    if admission.unpacking.is_used_up and not await is_known(headers.get(b"authorization")):
        raise Overloaded
    with admission.unpacking.taking():
        return _parameters(_json(unpacked(body, MAX_BODY), "The body"))


async def _counted_body(request: Request, headers: RawHeaders, admission: Admission) -> bytes:
    async with admission.bodies.receiving(request.receive) as counted:
        return await read_body(headers, counted)


def read_whole(headers: RawHeaders, offer: CompleteRequest) -> GraphQLRequest:
    """The request in a complete, uncompressed POST body. Raises HTTPError: 400, 413 or 415."""
    _check_content_type(headers)
    return _parameters(_json(_whole_body(offer), "The body"))


def _read_get(request: Request) -> GraphQLRequest:
    given = request.query_params.multi_items()
    parameters: dict[str, Any] = dict(given)
    if len(given) != len(parameters):
        raise HTTPError(400, "A query parameter occurs twice; send each once.")
    for name in ("variables", "extensions"):
        if name in parameters:
            parameters[name] = _json(parameters[name].encode(errors="surrogatepass"), f"The {name} parameter")
    return _parameters(parameters)


def _check_content_type(headers: RawHeaders) -> None:
    if not is_json(headers.get(b"content-type", b"")):
        raise HTTPError(415, f"Send the request as {JSON} in UTF-8.", headers={"Accept-Post": JSON})


async def read_body(headers: RawHeaders, receive: Receive) -> bytes:
    """The whole body. Raises HTTPError 408 or 413, and ClientDisconnect when it never ends."""
    announced = headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced[:20]) > MAX_BODY:
        _too_large()
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await _received(receive)
    except TimeoutError:
        raise HTTPError(408, f"The body did not arrive within {BODY_TIMEOUT:.0f} s.") from None


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


def _whole_body(offer: CompleteRequest) -> bytes:
    body = offer.body
    if len(body) > MAX_BODY:
        _too_large()
    return body


def _too_large() -> NoReturn:
    raise HTTPError(413, f"The body is larger than {MAX_BODY:,} bytes.", LIMIT_EXCEEDED)


def _json(text: bytes, what: str) -> Any:
    try:
        return _decoder.decode(text.decode("utf-8"))
    except UnicodeDecodeError:
        raise HTTPError(400, f"{what} is not UTF-8.") from None
    except RecursionError:
        raise HTTPError(400, f"{what} is nested too deeply.", LIMIT_EXCEEDED) from None
    except ValueError as error:
        if text.startswith(BOM) and not text.startswith(2 * BOM):
            return _json(text.removeprefix(BOM), what)
        reason = f"{error.msg} at character {error.pos}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise HTTPError(400, f"{what} is not JSON: {reason}.") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


# Made once, since making it costs more than reading a short request.
_decoder = json.JSONDecoder(parse_constant=_no_constant)


def _parameters(found: Any) -> GraphQLRequest:
    if isinstance(found, list):
        raise HTTPError(400, "Send one operation at a time; batches are not accepted.")
    if not isinstance(found, dict):
        raise HTTPError(400, "The body must be a JSON object with a query.")
    query = found.get("query")
    if not isinstance(query, str) or not query.strip():
        if "persistedQuery" in _object(found, "extensions"):
            raise PersistedQueryNotSupported
        raise HTTPError(400, "query must be a string that holds a GraphQL document.")
    name = found.get("operationName")
    if name is not None and not isinstance(name, str):
        raise HTTPError(400, "operationName must be a string.")
    return GraphQLRequest(query, name or None, _object(found, "variables"), _object(found, "extensions"))


def _object(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = found.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise HTTPError(400, f"{name} must be an object.")
    return value
