"""GraphQL over HTTP: read the request, prepare its document, execute it, write the answer.

By the GraphQL-over-HTTP specification: https://graphql.github.io/graphql-over-http/draft/. A request that is not run
answers without `data`: 400 as application/graphql-response+json, 200 as application/json once it held a document.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, TypeGuard, cast

import structlog
from graphql import ExecutionResult, OperationType, execute
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from strawberry.execution import optimized_is_awaitable

from graph.envelope import request_id
from graph.errors import (
    BAD_USER_INPUT,
    MAX_REQUEST_ERRORS,
    UNAVAILABLE,
    Formatted,
    HTTPRefusal,
    PublicError,
    RequestRefused,
    field_errors,
    internal_errors,
    refusal_errors,
    request_errors,
)
from graph.limits import check_variables
from graph.metrics import Metrics
from graph.plan import text
from graph.prepare import Prepared, Preparer, Unacceptable
from graph.request import GRAPHQL_JSON, JSON, GraphQLRequest, RawHeaders, answer_type, read_get, read_post, wants_page
from resolvers.reader import Reader

CONTENT_TYPES = {media: f"{media}; charset=utf-8".encode() for media in (JSON, GRAPHQL_JSON)}
ANSWERED_BY = "X-Provenance-Answer"
log = structlog.stdlib.get_logger("graph.http")

MakeContext = Callable[[HTTPConnection], Awaitable[object]]
Page = Callable[[Request], Response]
Answer = dict[str, Any]
IsAwaitable = Callable[[Any], TypeGuard[Awaitable[Any]]]


@dataclass
class GraphQLHandler:
    """Answers GET and POST of /graphql."""

    preparer: Preparer
    make_context: MakeContext
    metrics: Metrics
    draining: Callable[[], bool]
    page: Page | None = None
    reference: bool = False
    """Answer by the standard executor alone."""
    telling: bool = False
    """Say in a header of each answer what gave it."""

    async def __call__(self, request: Request) -> Response:
        """The response to a GraphQL request; every failure is a well-formed GraphQL answer."""
        headers: RawHeaders = dict(request.scope["headers"])
        accept = headers[b"accept"].decode("latin-1") if b"accept" in headers else None
        if request.method == "GET" and self.page and wants_page(accept) and "query" not in request.query_params:
            return self.page(request)
        media = answer_type(accept)
        try:
            if media is None:
                raise HTTPRefusal(406, f"Answers are written as {GRAPHQL_JSON} or {JSON}.")
            return await self._answer(request, headers, media)
        except HTTPRefusal as refusal:
            self.metrics.refused(refusal.code)
            return write({"errors": refusal_errors(refusal)}, media or JSON, refusal.status, refusal.headers)
        except asyncio.CancelledError:
            if not self.draining():
                raise
            return self._stopped(media or JSON)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception:
            log.exception("the request failed")
            self.metrics.operations.labels("failed").inc()
            return write({"errors": internal_errors(request_id())}, media or JSON, 500)

    async def _answer(self, request: Request, headers: RawHeaders, media: str) -> Response:
        if self.draining():
            raise HTTPRefusal(503, "The server is stopping.", UNAVAILABLE, {"Retry-After": "1"})
        asked = read_get(request) if request.method == "GET" else await read_post(headers, request.receive)
        try:
            prepared = self._prepare(asked, request.method)
            context = await self.make_context(request)
            result, by = await self._answered(prepared, asked, context)
        except Unacceptable as refusal:
            return self._refused(refusal.errors, media)
        except RequestRefused as refusal:
            return self._refused(refusal_errors(refusal), media)
        (self.metrics.failing if "errors" in result else self.metrics.fine).inc()
        told = {ANSWERED_BY: by.replace("_", "-")} if self.telling else {}
        if by == "planned" and _is_big(context):
            return Written(await text.in_parts(result), media, 200, told)
        return write(result, media, headers=told)

    def _prepare(self, asked: GraphQLRequest, method: str) -> Prepared:
        prepared = self.preparer.prepare(asked.query)
        kind = prepared.operation(asked.operation_name).operation
        if kind is OperationType.SUBSCRIPTION:
            raise RequestRefused("Subscriptions are answered over WebSocket, by graphql-transport-ws.")
        if kind is OperationType.MUTATION and method == "GET":
            raise HTTPRefusal(405, "Send mutations with POST.", headers={"Allow": "POST"})
        check_variables(asked.variables, self.preparer.limits)
        return prepared

    async def _answered(self, prepared: Prepared, asked: GraphQLRequest, context: object) -> tuple[Answer, str]:
        """The answer, by plan where there is one, and what gave it: planned, stepped_aside or reference."""
        operation = prepared.operation(asked.operation_name)
        reader = getattr(context, "reader", None)
        by, data = "reference", None
        if not self.reference and reader is not None and operation.operation is OperationType.QUERY:
            data = await prepared.plans.data(operation, asked.variables, reader)
            by = "stepped_aside" if data is None else "planned"
        self.metrics.by[by].inc()
        if data is None:
            return await self._execute(prepared, asked, context), by
        return _costed({"data": data}, asked, context), by

    async def _execute(self, prepared: Prepared, asked: GraphQLRequest, context: object) -> Answer:
        schema = self.preparer.schema
        running = execute(
            schema._schema,
            prepared.document,
            variable_values=asked.variables,
            operation_name=asked.operation_name,
            context_value=context,
            is_awaitable=cast(IsAwaitable, optimized_is_awaitable),
            executor_class=schema.execution_context_class,
            max_coercion_errors=MAX_REQUEST_ERRORS,
            operation_extensions=asked.extensions,
        )
        result: ExecutionResult = await running if isawaitable(running) else running
        return _costed(answer(result), asked, context)

    def _stopped(self, media: str) -> Response:
        """What a request is told that was still running when the time to stop ran out."""
        self.metrics.refused(UNAVAILABLE)
        refusal = PublicError("The server stopped before the request was finished.", UNAVAILABLE)
        return write({"errors": refusal_errors(refusal)}, media, 503)

    def _refused(self, errors: list[Formatted], media: str) -> Response:
        self.metrics.refused(errors[0]["extensions"]["code"])
        return write({"errors": errors}, media, 400 if media == GRAPHQL_JSON else 200)


def answer(result: ExecutionResult) -> Answer:
    """The result as a client reads it. Raises Unacceptable when the variables did not fit and nothing ran."""
    errors = result.errors or []
    if result.data is None and errors and all(error.path is None for error in errors):
        raise Unacceptable(request_errors(errors, BAD_USER_INPUT))
    written: Answer = {"errors": field_errors(errors, request_id())} if errors else {}
    written["data"] = result.data
    return written


def _costed(answer: Answer, asked: GraphQLRequest, context: object) -> Answer:
    """The answer, with what it cost when the client asked for that."""
    if asked.extensions.get("cost") is True and (cost := getattr(context, "cost", None)) is not None:
        answer["extensions"] = {"cost": cost}
    return answer


def _is_big(context: object) -> bool:
    reader: Reader | None = getattr(context, "reader", None)
    return reader is not None and reader.budget.spent > text.BIG


def write(answer: Answer, media: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """The response that carries an answer. Raises TypeError for a value that no scalar has written."""
    return Written([text.dumps(answer)], media, status, headers or {})


class Written(Response):
    """A response whose body and headers are ready to be sent."""

    def __init__(self, parts: list[bytes], media: str, status: int, headers: Mapping[str, str]) -> None:
        self.status_code = status
        self.parts = parts
        self.background = None
        self.raw_headers = [
            (b"cache-control", b"no-store"),
            (b"content-length", b"%d" % sum(map(len, parts))),
            (b"content-type", CONTENT_TYPES[media]),
        ]
        if headers:
            self.headers.update(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. Parts are let go as they are sent."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        *parts, last = self.parts
        self.parts = parts
        parts.reverse()
        while parts:
            await send({"type": "http.response.body", "body": parts.pop(), "more_body": True})
        await send({"type": "http.response.body", "body": last})
