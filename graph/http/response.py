"""Responses to GraphQL requests: their bodies, and the bytes that are sent."""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from graphql import ExecutionResult
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from graph.engine.error_masking import field_errors, refusal_errors, request_errors
from graph.engine.plan import json_output
from graph.engine.prepare import InvalidDocument
from graph.errors import BAD_USER_INPUT, PublicError
from graph.http.complete_request import CompleteRequest, serialize_headers
from graph.http.media_types import GRAPHQL_JSON, JSON
from graph.http.middleware import request_id
from graph.http.request import RequestParameters
from graph.http.send_buffers import send_buffer_of
from resolvers.concurrency import event_loop
from resolvers.reads.answer_budget import AnswerTooLarge
from resolvers.reads.loaders import RequestLoader

CONTENT_TYPES = {media: f"{media}; charset=utf-8".encode() for media in (JSON, GRAPHQL_JSON)}
RETRY_SOON = {"Retry-After": "1"}

ResponseBody = dict[str, Any]


def to_response_body(result: ExecutionResult, *, writing: bool = False) -> ResponseBody:
    """The body for a result. Raises InvalidDocument when the variables did not fit and nothing ran."""
    errors = result.errors or []
    if result.data is None and errors and all(error.path is None for error in errors):
        raise InvalidDocument(request_errors(errors, BAD_USER_INPUT))
    body: ResponseBody = {"errors": field_errors(errors, request_id(), writing=writing)} if errors else {}
    body["data"] = result.data
    return body


def too_large_body(refusal: AnswerTooLarge) -> ResponseBody:
    """The body in place of one that is too large; it shows none of the data."""
    return {"errors": refusal_errors(PublicError(refusal.message, refusal.error_code)), "data": None}


def add_measured_cost(body: ResponseBody, parameters: RequestParameters, context: object) -> ResponseBody:
    """Add the cost to the body, its size included, if the client asked for it."""
    loader: RequestLoader | None = getattr(context, "loader", None)
    if parameters.extensions.get("cost") is True and loader is not None:
        loader.budget.bytes = len(json_output.dumps(body["data"]))
    return add_cost(body, parameters, context)


def add_cost(body: ResponseBody, parameters: RequestParameters, context: object) -> ResponseBody:
    """Add the cost counted so far to the body, if the client asked for it."""
    if parameters.extensions.get("cost") is True and (cost := getattr(context, "cost", None)) is not None:
        body["extensions"] = {"cost": cost}
    return body


def json_response(
    body: ResponseBody, media: str, status: int = 200, headers: Mapping[str, str] | None = None
) -> "JSONBytesResponse":
    """The response with a body. Raises TypeError for a value that no scalar has serialised."""
    return JSONBytesResponse([json_output.dumps(body)], media, status, headers or {})


class JSONBytesResponse(Response):
    """A response whose body and headers are ready to be sent."""

    def __init__(self, parts: list[bytes], media: str, status: int, headers: Mapping[str, str]) -> None:
        self.status_code = status
        self.parts = parts
        self.size = sum(map(len, parts))
        self.background = None
        self.raw_headers = [
            (b"cache-control", b"no-store"),
            (b"content-length", b"%d" % self.size),
            (b"content-type", CONTENT_TYPES[media]),
        ]
        if headers:
            self.headers.update(headers)

    def write(self, complete: CompleteRequest, more: bytes) -> bool:
        """Write the response at once, with `more` headers; False when it has to be sent as messages."""
        if len(self.parts) > 1:
            return False
        return complete.write(serialize_headers(self.raw_headers) + more, self.parts[0], self.status_code)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response, releasing each chunk once it is sent."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        # A list of its own: identical requests share the chunks.
        parts, self.parts = self.parts[::-1], []
        buffer = send_buffer_of(scope)
        with buffer.holding(sum(map(len, parts))) if buffer else nullcontext(_count_nothing) as release:
            while parts:
                part = parts.pop()
                await send({"type": "http.response.body", "body": part, "more_body": bool(parts)})
                release(len(part))
                if parts:
                    # `send` does not wait if the client reads fast enough.
                    await event_loop.yield_to_event_loop()


def _count_nothing(written: int) -> None:
    """Stand in for counting where the client's connection is unknown."""
