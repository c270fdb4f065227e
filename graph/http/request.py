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
from graph.errors import LIMIT_EXCEEDED, HTTPError, Overloaded, OverloadReason, PersistedQueryNotSupported
from graph.http.complete_request import CompleteRequest, RawHeaders
from graph.http.content_encoding import decompress, is_gzip
from graph.http.media_types import JSON, is_json
from graph.limits import BODY_TIMEOUT, MAX_BODY_BYTES

SAFE_METHODS = ("GET", "HEAD")
"""Methods with parameters in the query string; HEAD gets the response without its body."""
BOM = codecs.BOM_UTF8

IsSignedIn = Callable[[bytes | None], Awaitable[bool]]
"""From the Authorization header to whether the caller is signed in. Raises HTTPError for invalid credentials."""


class BodyTimeout(Exception):
    """The next part of a body did not arrive in time; the message says so."""


@dataclass(slots=True)
class RequestParameters:
    """The parameters of a GraphQL request, by their names in the GraphQL-over-HTTP specification."""

    query: str
    operation_name: str | None
    variables: dict[str, Any]
    extensions: dict[str, Any]


async def stream_body(request: Request) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises BodyTimeout when nothing arrives for BODY_TIMEOUT, and ClientDisconnect."""
    chunks = aiter(request.stream())
    while True:
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise BodyTimeout(f"Nothing arrived for {BODY_TIMEOUT:.0f} s.") from None
        yield chunk


async def read_request(
    request: Request,
    complete: CompleteRequest | None,
    headers: RawHeaders,
    admission: Admission,
    is_signed_in: IsSignedIn,
) -> RequestParameters:
    """The request in a URL or a body, compressed or not. Raises HTTPError, Overloaded and ClientDisconnect."""
    if request.method in SAFE_METHODS:
        return _read_get(request)
    _check_content_type(headers)
    is_compressed = is_gzip(headers)
    body = _complete_body(complete) if complete else await _counted_body(request, headers, admission)
    if not is_compressed:
        return _parameters(_json(body, "The body"))
    # A compressed body of 1 kB may take as long to read as one of 1 MB.
    if admission.decompression_time.is_used_up and not await is_signed_in(headers.get(b"authorization")):
        raise Overloaded(OverloadReason.DECOMPRESSION)
    with admission.decompression_time.measure():
        return _parameters(_json(decompress(body, MAX_BODY_BYTES), "The body"))


async def _counted_body(request: Request, headers: RawHeaders, admission: Admission) -> bytes:
    async with admission.bodies.count(request.receive) as receive:
        return await read_body(headers, receive)


def read_complete(headers: RawHeaders, complete: CompleteRequest) -> RequestParameters:
    """The request in a complete, uncompressed POST body. Raises HTTPError: 400, 413 or 415."""
    _check_content_type(headers)
    return _parameters(_json(_complete_body(complete), "The body"))


def _read_get(request: Request) -> RequestParameters:
    items = request.query_params.multi_items()
    parameters: dict[str, Any] = dict(items)
    if len(items) != len(parameters):
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
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared[:20]) > MAX_BODY_BYTES:
        _too_large()
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await _collect(receive)
    except TimeoutError:
        raise HTTPError(408, f"The body did not arrive within {BODY_TIMEOUT:.0f} s.") from None


async def _collect(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part: bytes = message.get("body", b"")
        if len(body) + len(part) > MAX_BODY_BYTES:
            _too_large()
        body += part
        if not message.get("more_body", False):
            return bytes(body)


def _complete_body(complete: CompleteRequest) -> bytes:
    body = complete.body
    if len(body) > MAX_BODY_BYTES:
        _too_large()
    return body


def _too_large() -> NoReturn:
    raise HTTPError(413, f"The body is larger than {MAX_BODY_BYTES:,} bytes.", LIMIT_EXCEEDED)


def _json(text: bytes, source: str) -> Any:
    try:
        return _decoder.decode(text.decode("utf-8"))
    except UnicodeDecodeError:
        raise HTTPError(400, f"{source} is not UTF-8.") from None
    except RecursionError:
        raise HTTPError(400, f"{source} is nested too deeply.", LIMIT_EXCEEDED) from None
    except ValueError as error:
        if text.startswith(BOM) and not text.startswith(2 * BOM):
            return _json(text.removeprefix(BOM), source)
        reason = f"{error.msg} at character {error.pos}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise HTTPError(400, f"{source} is not JSON: {reason}.") from None


def _reject_non_finite(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


# Made once, since making it costs more than reading a short request.
_decoder = json.JSONDecoder(parse_constant=_reject_non_finite)


def _parameters(body: Any) -> RequestParameters:
    if isinstance(body, list):
        raise HTTPError(400, "Send one operation at a time; batches are not accepted.")
    if not isinstance(body, dict):
        raise HTTPError(400, "The body must be a JSON object with a query.")
    query = body.get("query")
    if not isinstance(query, str) or not query.strip():
        if "persistedQuery" in _object(body, "extensions"):
            raise PersistedQueryNotSupported
        raise HTTPError(400, "query must be a string that holds a GraphQL document.")
    name = body.get("operationName")
    if name is not None and not isinstance(name, str):
        raise HTTPError(400, "operationName must be a string.")
    return RequestParameters(query, name or None, _object(body, "variables"), _object(body, "extensions"))


def _object(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise HTTPError(400, f"{name} must be an object.")
    return value
