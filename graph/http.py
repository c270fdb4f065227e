"""GraphQL over HTTP: read the request, prepare its document, execute it, write the answer.

By the GraphQL-over-HTTP specification: https://graphql.github.io/graphql-over-http/draft/. A request that is not run
answers without `data`: 400 as application/graphql-response+json, 200 as application/json once it held a document.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from inspect import isawaitable
from operator import attrgetter
from typing import Any, TypeGuard, cast

import pymongo
import structlog
from graphql import ExecutionResult, OperationDefinitionNode, OperationType, execute
from graphql.execution.values import VariableValues
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from strawberry.execution import optimized_is_awaitable

from graph import collector
from graph.alike import Alike
from graph.deadline import REQUEST_WITHIN
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
from graph.plan import Plan, Point, text
from graph.prepare import Prepared, Preparer, Unacceptable
from graph.protocol import RawHeaders, Whole, as_lines
from graph.request import GRAPHQL_JSON, JSON, GraphQLRequest, answer_type, read_get, read_post, wants_page
from resolvers import turns
from resolvers.reader import Reader
from resolvers.viewer import Viewer

CONTENT_TYPES = {media: f"{media}; charset=utf-8".encode() for media in (JSON, GRAPHQL_JSON)}
ANSWERED_BY = "X-Provenance-Answer"
# As a tuple, which hashes faster than the viewer, and of every field, whichever are added.
_every_field = attrgetter(*(one.name for one in fields(Viewer)))
log = structlog.stdlib.get_logger("graph.http")

MakeContext = Callable[[str | None], Awaitable[object]]
"""From the Authorization header to what resolvers are given."""
Page = Callable[[Request], Response]
Answer = dict[str, Any]
ByPlan = Callable[[Reader, object], Awaitable[list[bytes] | None]]
"""From what a request reads with, and its context, to the answer in parts; None when the plan has to step aside."""
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
    _alike: Alike[list[bytes]] = field(default_factory=Alike, init=False)

    async def __call__(self, request: Request, offer: Whole | None = None) -> Response:
        """The response to a GraphQL request; every failure is a well-formed GraphQL answer."""
        headers: RawHeaders = dict(request.scope["headers"]) if offer is None else offer.headers
        accept = headers.get(b"accept")
        if request.method == "GET" and self.page and wants_page(accept) and "query" not in request.query_params:
            return self.page(request)
        media = answer_type(accept)
        try:
            if media is None:
                raise HTTPRefusal(406, f"Answers are written as {GRAPHQL_JSON} or {JSON}.")
            return await self._answer(request, offer, headers, media)
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
            self.metrics.operations.add("failed")
            return write({"errors": internal_errors(request_id())}, media or JSON, 500)

    async def _answer(self, request: Request, offer: Whole | None, headers: RawHeaders, media: str) -> Response:
        if self.draining():
            raise HTTPRefusal(503, "The server is stopping.", UNAVAILABLE, {"Retry-After": "1"})
        until = time.monotonic() + REQUEST_WITHIN
        asked = read_get(request) if request.method == "GET" else await read_post(headers, request.receive, offer)
        try:
            prepared = self.preparer.prepare(asked.query)
            plan = self._plan(prepared, asked, request)
            credentials = headers.get(b"authorization")
            context = await self.make_context(None if credentials is None else credentials.decode("latin-1"))
            reader: Reader | None = getattr(context, "reader", None)
            by = "reference"
            if plan is not None and reader is not None:
                if (parts := await plan(reader, context)) is not None:
                    return self._planned(parts, media)
                by = "stepped_aside"
            self.metrics.executions.add(by)
            # A plan may take as long as its reads are answered. All else, and what follows upon a plan, is given until
            # then, since the driver would go on for minutes while the database is away.
            with pymongo.timeout(max(0.1, until - time.monotonic())):
                result = await self._executed(prepared, asked, context)
        except Unacceptable as refusal:
            return self._refused(refusal.errors, media)
        except RequestRefused as refusal:
            return self._refused(refusal_errors(refusal), media)
        self.metrics.operations.add("errors" if "errors" in result else "ok")
        return write(result, media, headers=self._told(by))

    def _plan(self, prepared: Prepared, asked: GraphQLRequest, request: Request) -> ByPlan | None:
        """What answers a request by plan, where one may. Raises what a request is refused by."""
        point = None if self.reference or asked.extensions else prepared.point
        if point is not None and (value := point.value(asked.operation_name, asked.variables)) is not None:
            # What it takes is within all limits.
            return partial(_looked_up, point, value)
        operation = self._operation(prepared, asked, request.method)
        if self.reference or operation.operation is not OperationType.QUERY:
            return None
        return partial(self._read, prepared, operation, asked, request)

    async def _read(
        self,
        prepared: Prepared,
        operation: OperationDefinitionNode,
        asked: GraphQLRequest,
        request: Request,
        reader: Reader,
        context: object,
    ) -> list[bytes] | None:
        """The answer of a plan, which others that ask the same may be given."""
        found = prepared.plans.find(operation, asked.variables)
        if found is None:
            return None
        plan, variables = found
        written = partial(_written, plan, variables, asked, reader, context)
        if plan.gathers or asked.extensions:
            return await written()
        with collector.paused():
            return await self._alike.answer(_likeness(prepared, asked, request, reader), written)

    def _planned(self, parts: list[bytes], media: str) -> Response:
        """The response that carries what a plan gave."""
        self.metrics.executions.add("planned")
        self.metrics.operations.add("ok")
        return Written(parts, media, 200, self._told("planned"))

    def _told(self, by: str) -> dict[str, str]:
        return {ANSWERED_BY: by.replace("_", "-")} if self.telling else {}

    def _operation(self, prepared: Prepared, asked: GraphQLRequest, method: str) -> OperationDefinitionNode:
        operation = prepared.operation(asked.operation_name)
        kind = operation.operation
        if kind is OperationType.SUBSCRIPTION:
            raise RequestRefused("Subscriptions are answered over WebSocket, by graphql-transport-ws.")
        if kind is OperationType.MUTATION and method == "GET":
            raise HTTPRefusal(405, "Send mutations with POST.", headers={"Allow": "POST"})
        check_variables(asked.variables, self.preparer.limits)
        return operation

    async def _executed(self, prepared: Prepared, asked: GraphQLRequest, context: object) -> Answer:
        """The standard executor's answer."""
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


async def _looked_up(point: Point, value: str, reader: Reader, context: object) -> list[bytes] | None:
    """The answer of a point read, None where the standard executor has to answer."""
    data = await point.data(reader, value)
    return None if data is None else [text.dumps({"data": data})]


async def _written(
    plan: Plan, variables: VariableValues, asked: GraphQLRequest, reader: Reader, context: object
) -> list[bytes] | None:
    """The answer of a plan, in parts; None where the standard executor has to answer."""
    data = await plan.data(reader, variables)
    if data is None:
        return None
    answer = _costed({"data": data}, asked, context)
    return await text.in_parts(answer) if reader.budget.spent > text.BIG else [text.dumps(answer)]


def _likeness(prepared: Prepared, asked: GraphQLRequest, request: Request, reader: Reader) -> Hashable:
    """Equal where answers are: what is asked, by whom, and at which address, which signed URLs name."""
    where = (request.scope.get("scheme"), request.headers.get("host"))
    who = _every_field(reader.viewer)
    return (prepared.text, asked.operation_name, repr(asked.variables), who, reader.budget.objects, where)


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

    def write(self, offer: Whole, more: bytes) -> bool:
        """Answer in one piece, with `more` headers; False where it has to be sent."""
        if len(self.parts) > 1 or self.status_code != 200:
            return False
        return offer.write(as_lines(self.raw_headers) + more, self.parts[0])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. Parts are let go as they are sent."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        *parts, last = self.parts
        self.parts = parts
        parts.reverse()
        while parts:
            await send({"type": "http.response.body", "body": parts.pop(), "more_body": True})
            # A client that reads fast enough never makes this one wait.
            await turns.give_way()
        await send({"type": "http.response.body", "body": last})
