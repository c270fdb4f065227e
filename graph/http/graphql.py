"""GraphQL over HTTP: read the request, prepare its document, execute it, write the answer.

By the GraphQL-over-HTTP specification: https://graphql.github.io/graphql-over-http/draft/. A request that is not
executed is answered without `data`: with 400 as application/graphql-response+json, and with 200 as application/json if
it held a document.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, fields
from functools import partial
from inspect import isawaitable
from operator import attrgetter
from typing import Any, TypeGuard, cast

import pymongo
import structlog
from graphql import ExecutionResult, OperationDefinitionNode, OperationType, execute
from graphql.execution.values import VariableValues
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from strawberry.execution import optimized_is_awaitable

from documents.mongo.replies import counting_replies
from documents.outage import outage_of
from graph.engine import gc_pause
from graph.engine.admission import BYTES_HELD, Admission, Cost
from graph.engine.deadline import REQUEST_TIMEOUT
from graph.engine.plan import Plan, Point, json_output
from graph.engine.prepare import DocumentCache, Prepared, Unacceptable
from graph.engine.single_flight import IsWanted, SingleFlight, key_of
from graph.errors import (
    BAD_USER_INPUT,
    MAX_REQUEST_ERRORS,
    RETRY_AFTER,
    SEND_DOCUMENT,
    UNAVAILABLE,
    Formatted,
    HTTPError,
    Overloaded,
    PersistedQueryNotSupported,
    PublicError,
    RequestError,
    field_errors,
    internal_errors,
    outage_errors,
    outage_status,
    refusal_errors,
    request_errors,
    unanswered_by,
)
from graph.http.complete_request import CompleteRequest, RawHeaders, as_lines
from graph.http.media_types import GRAPHQL_JSON, JSON, answer_type, takes_json, wants_page
from graph.http.metrics import Metrics
from graph.http.middleware import request_id
from graph.http.request import READS, GraphQLRequest, read_request, read_whole
from graph.http.send_buffers import ends_with_client, has_hung_up, outgoing, outlives_client, until_read
from resolvers.access.viewer import Role, Viewer
from resolvers.concurrency import event_loop
from resolvers.reads.loaders import RequestLoader
from resolvers.reads.response_budget import AnswerLimits, AnswerTooLarge

CONTENT_TYPES = {media: f"{media}; charset=utf-8".encode() for media in (JSON, GRAPHQL_JSON)}
RETRY_SOON = {"Retry-After": "1"}
ANSWERED_BY = "X-Provenance-Answer"
# A tuple of all fields, present and future, which hashes faster than the viewer.
_every_field = attrgetter(*(one.name for one in fields(Viewer)))
log = structlog.stdlib.get_logger("graph.http")

MakeContext = Callable[[str | None], Awaitable[object]]
"""From the Authorization header to the context of resolvers."""
Page = Callable[[Request], Response]
Answer = dict[str, Any]
ByPlan = Callable[[RequestLoader, object], Awaitable[list[bytes] | None]]
"""From a request's reader and context to the answer in chunks; None when the plan has to step aside."""
IsAwaitable = Callable[[Any], TypeGuard[Awaitable[Any]]]

UNPLANNED_WEIGHT = 5
"""How much more an object costs without a plan."""
UNPLANNED_LEVELS = 3
"""Levels of pages assumed for an operation without a plan until its first answer."""


@dataclass
class GraphQLHandler:
    """Answers GET, HEAD and POST of /graphql."""

    document_cache: DocumentCache
    make_context: MakeContext
    metrics: Metrics
    admission: Admission
    draining: Callable[[], bool]
    closed: Callable[[], str | None]
    """The reason why no new request is answered, None when there is none."""
    page: Page | None = None
    reference: bool = False
    """Answer by the standard executor alone."""
    telling: bool = False
    """Name the executor in a header of each response."""
    _single_flight: SingleFlight[list[bytes]] = field(default_factory=SingleFlight, init=False)

    async def __call__(self, request: Request, offer: CompleteRequest | None = None) -> Response:
        """The response to a GraphQL request; every failure is a well-formed GraphQL answer."""
        headers: RawHeaders = dict(request.scope["headers"]) if offer is None else offer.headers
        accept = headers.get(b"accept")
        if offer is None and self.page and wants_page(accept) and _opens_page(request):
            return self.page(request)
        media = answer_type(accept)
        try:
            if media is None:
                raise HTTPError(406, f"Responses are {GRAPHQL_JSON} or {JSON}; accept one of them.")
            return await self._answer(request, offer, headers, media)
        except HTTPError as refusal:
            return await self._turned_away(refusal, accept, media or JSON)
        except asyncio.CancelledError:
            if has_hung_up(request.scope):
                return Response(status_code=400)
            if not self.draining():
                raise
            return self._stopped(media or JSON)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:
            return self._failed(error, media or JSON)

    async def _turned_away(self, refusal: HTTPError, accept: bytes | None, media: str) -> Response:
        """The response to a request that is refused before its operation is looked at."""
        self.metrics.refused(refusal.code)
        errors, status = refusal_errors(refusal), refusal.status
        if isinstance(refusal, Overloaded):
            await self.admission.refusal_due()
        elif isinstance(refusal, PersistedQueryNotSupported):
            errors.append(SEND_DOCUMENT)
            if takes_json(accept):
                # Apollo's client for iOS reads no body with another status.
                media, status = JSON, 200
        return write({"errors": errors}, media, status, refusal.headers)

    async def _answer(
        self, request: Request, offer: CompleteRequest | None, headers: RawHeaders, media: str
    ) -> Response:
        if closed := self.closed():
            raise HTTPError(503, closed, UNAVAILABLE, RETRY_SOON)
        until = time.monotonic() + REQUEST_TIMEOUT
        if offer is None or b"content-encoding" in headers:
            asked = await read_request(request, offer, headers, self.admission, self._is_known)
        else:
            asked = read_whole(headers, offer)
        credentials = headers.get(b"authorization")
        try:
            prepared, context = self.document_cache.good.get(asked.query), None
            if prepared is None or self.admission.is_full:
                prepared, context = await self._prepare(asked, credentials)
            plan = self._plan(prepared, asked, request)
            if context is None:
                context = await self._context(credentials)
            reader: RequestLoader | None = getattr(context, "reader", None)
            by = "reference"
            if plan is not None and reader is not None:
                if (parts := await plan(reader, context)) is not None:
                    return self._planned(parts, media)
                by = "stepped_aside"
            self.metrics.executions.add(by)
            seconds = max(0.1, until - time.monotonic())
            result = await self.by_reference(prepared, asked, context, request.scope, seconds)
            return self._executed_response(result, asked, context, media, by)
        except Unacceptable as refusal:
            return self._refused(refusal.errors, media)
        except RequestError as refusal:
            return self._refused(refusal_errors(refusal), media)
        except AnswerTooLarge as refusal:
            self.metrics.refused(refusal.error_code)
            return write(_with_cost(too_large(refusal), asked, context), media)

    def _executed_response(
        self, result: Answer, asked: GraphQLRequest, context: object, media: str, by: str
    ) -> Response:
        """The response with the standard executor's result. Raises AnswerTooLarge."""
        body = json_output.dumps(_costed(result, asked, context))
        reader: RequestLoader | None = getattr(context, "reader", None)
        if reader is not None:
            reader.budget.check_text(len(body))
        if outage := unanswered_by(result):
            self.metrics.operations.add("unanswered")
            return write(result, media, outage_status(outage), self._told(by) | RETRY_AFTER)
        self.metrics.operations.add("errors" if "errors" in result else "ok")
        return JSONBytesResponse([body], media, 200, self._told(by))

    async def _context(self, credentials: bytes | None) -> object:
        return await self.make_context(None if credentials is None else credentials.decode("latin-1"))

    async def _is_known(self, credentials: bytes | None) -> bool:
        """Whether the caller is signed in. Raises HTTPError for invalid credentials."""
        reader: RequestLoader | None = getattr(await self._context(credentials), "reader", None)
        return reader is not None and is_signed_in(reader)

    async def _prepare(self, asked: GraphQLRequest, credentials: bytes | None) -> tuple[Prepared, object | None]:
        """The document of a request, and its context if that was needed first."""
        if self.document_cache.is_known(asked.query) and not self.admission.is_full:
            return self.document_cache.prepare(asked.query), None
        # Before any expensive work, the caller is authenticated.
        context = await self._context(credentials)
        return await self.prepared(asked.query, getattr(context, "reader", None)), context

    async def prepared(self, query: str, reader: RequestLoader | None) -> Prepared:
        """The document of an operation, once there is room for it. Raises Unacceptable and Overloaded."""
        if reader is None or is_signed_in(reader) or self.document_cache.is_point(query):
            return self.document_cache.prepare(query)
        if self.admission.is_full:
            raise Overloaded
        if self.document_cache.is_known(query):
            return self.document_cache.prepare(query)
        async with self.admission.new_document():
            found = self.document_cache.prepare(query)
            # Compiled within the block too, since that takes as long again.
            _ = found.point
        return found

    def _plan(self, prepared: Prepared, asked: GraphQLRequest, request: Request) -> ByPlan | None:
        """The function that answers a request by plan, None without a plan. Raises the request's refusal."""
        point = None if self.reference or asked.extensions else prepared.point
        if point is not None and (value := point.value(asked.operation_name, asked.variables)) is not None:
            # A point read is within all limits.
            return partial(self._looked_up, point, value)
        operation = self._operation(prepared, asked, request.method)
        if prepared.asks_for_schema(operation):
            return partial(self._about_schema, prepared, operation, asked)
        if self.reference or operation.operation is not OperationType.QUERY:
            return None
        return partial(self.read, prepared, operation, asked, request)

    async def read(
        self,
        prepared: Prepared,
        operation: OperationDefinitionNode,
        asked: GraphQLRequest,
        request: HTTPConnection,
        reader: RequestLoader,
        context: object,
    ) -> list[bytes] | None:
        """The answer of a plan, which may be shared with identical requests."""
        found = self._found(prepared, operation, asked, reader)
        if found is None:
            return None
        plan, variables = found
        written = partial(_written, plan, variables, asked, reader, context)
        if plan.gathers:
            return await (written() if is_signed_in(reader) else self.admission.point(written))
        admitted = partial(self._admitted, plan, written, reader, request.scope)
        with ends_with_client(request.scope):
            if asked.extensions:
                return await admitted(lambda: False)
            return await self._single_flight.answer(_likeness(prepared, asked, request, reader), admitted)

    def _found(
        self, prepared: Prepared, operation: OperationDefinitionNode, asked: GraphQLRequest, reader: RequestLoader
    ) -> tuple[Plan, VariableValues] | None:
        if is_signed_in(reader) or not prepared.plans.vary:
            return prepared.plans.find(operation, asked.variables)
        # Each combination of values in @skip and @include may need a plan of its own.
        if self.admission.documents.is_used_up:
            raise Overloaded
        with self.admission.documents.taking():
            return prepared.plans.find(operation, asked.variables)

    async def _admitted(
        self,
        plan: Plan,
        written: Callable[[], Awaitable[list[bytes] | None]],
        reader: RequestLoader,
        scope: Scope,
        is_wanted: IsWanted,
    ) -> list[bytes] | None:
        """The answer of a plan, once there is room for it. It is cancelled when no client waits for it any more."""
        await until_read(scope, signed_in=is_signed_in(reader))
        expected = self.admission.costs.expected(plan.likeness, plan.depth, reader.budget.limits.objects)
        async with self.admission.place(expected, signed_in=is_signed_in(reader)) as place:

            def check(objects: int) -> None:
                if (reader.is_abandoned or has_hung_up(scope)) and not is_wanted():
                    raise asyncio.CancelledError
                size = max(reader.budget.bytes, reader.budget.stored // BYTES_HELD)
                if objects > expected.objects or size > expected.size:
                    place.grow(Cost(objects, size))

            reader.budget.on_spend = check
            began = time.monotonic()
            try:
                # Cancelled between two reads and not within one, whose connection would be lost.
                with outlives_client(scope), gc_pause.paused():
                    parts = await written()
            finally:
                # The function refers back to the budget.
                reader.budget.on_spend = None
            size, took = sum(map(len, parts or ())), time.monotonic() - began
            self.admission.costs.note(plan.likeness, Cost(reader.budget.objects, size, took))
        return parts

    async def _looked_up(self, point: Point, value: str, reader: RequestLoader, context: object) -> list[bytes] | None:
        """The answer of a point read, None when the standard executor has to answer."""
        if is_signed_in(reader):
            data = await point.data(reader, value)
        else:
            data = await self.admission.point(partial(point.data, reader, value))
        if data is None:
            return None
        body = json_output.dumps({"data": data})
        reader.budget.check_text(len(body))
        return [body]

    async def by_reference(
        self, prepared: Prepared, asked: GraphQLRequest, context: object, scope: Scope, seconds: float
    ) -> Answer:
        """The standard executor's answer, once there is room for it. A mutation does not end with its client.

        Plans bound their own reads. The reference executor, also as a fallback, gets the rest of the request's time,
        because PyMongo would otherwise retry for minutes while the database is down.
        """
        reader: RequestLoader | None = getattr(context, "reader", None)
        shape = (prepared.text, asked.operation_name)
        writes = prepared.operation(asked.operation_name).operation is OperationType.MUTATION
        expected = self.admission.costs.expected(shape, 0 if writes else UNPLANNED_LEVELS, AnswerLimits().objects)
        signed_in = reader is not None and is_signed_in(reader)
        with ends_with_client(scope):
            await until_read(scope, signed_in=signed_in)
            async with self.admission.place(expected, signed_in=signed_in) as place:
                began = time.monotonic()
                counting: AbstractContextManager[None] = nullcontext()
                if reader is not None:
                    reader.budget.on_spend = lambda objects: place.grow(Cost(UNPLANNED_WEIGHT * objects))
                    counting = counting_replies(reader.budget.add_stored)
                with outlives_client(scope) if writes else nullcontext(), pymongo.timeout(seconds), counting:
                    result = await self._executed(prepared, asked, context)
                if reader is not None:
                    spent, took = reader.budget.objects, time.monotonic() - began
                    self.admission.costs.note(shape, Cost(UNPLANNED_WEIGHT * spent, seconds=took))
        return result

    async def _about_schema(
        self,
        prepared: Prepared,
        operation: OperationDefinitionNode,
        asked: GraphQLRequest,
        reader: RequestLoader,
        context: object,
    ) -> list[bytes] | None:
        """The answer to an introspection query; None when the standard executor has to report an error."""
        data = await self.document_cache.schema_answer(prepared, operation, asked.variables)
        if data is None:
            return None
        body = json_output.dumps(_costed({"data": data}, asked, context))
        reader.budget.check_text(len(body))
        return [body]

    def _planned(self, parts: list[bytes], media: str) -> Response:
        """The response with a plan's answer."""
        self.metrics.executions.add("planned")
        self.metrics.operations.add("ok")
        return JSONBytesResponse(parts, media, 200, self._told("planned"))

    def _told(self, by: str) -> dict[str, str]:
        return {ANSWERED_BY: by.replace("_", "-")} if self.telling else {}

    def _operation(self, prepared: Prepared, asked: GraphQLRequest, method: str) -> OperationDefinitionNode:
        operation = prepared.operation(asked.operation_name)
        kind = operation.operation
        if kind is OperationType.SUBSCRIPTION:
            raise RequestError("Subscriptions are answered over WebSocket, by graphql-transport-ws.")
        if kind is OperationType.MUTATION and method in READS:
            raise HTTPError(405, "Send mutations with POST.", headers={"Allow": "POST"})
        prepared.check_variables(operation, asked.variables)
        return operation

    async def _executed(self, prepared: Prepared, asked: GraphQLRequest, context: object) -> Answer:
        """The standard executor's result."""
        schema = self.document_cache.schema
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
        kind = prepared.operation(asked.operation_name).operation
        return answer(result, writing=kind is OperationType.MUTATION)

    def _failed(self, error: Exception, media: str) -> Response:
        """The response to a request that failed through no fault of its own."""
        if outage := outage_of(error):
            self.metrics.operations.add("unanswered")
            return write({"errors": outage_errors(outage, error)}, media, outage_status(outage), RETRY_AFTER)
        log.error("the request failed", exc_info=error)
        self.metrics.operations.add("failed")
        return write({"errors": internal_errors(request_id())}, media, 500)

    def _stopped(self, media: str) -> Response:
        """The response to a request that was still running when the server's time to stop ran out."""
        self.metrics.refused(UNAVAILABLE)
        refusal = PublicError("The server stopped before the request was finished.", UNAVAILABLE)
        return write({"errors": refusal_errors(refusal)}, media, 503)

    def _refused(self, errors: list[Formatted], media: str) -> Response:
        self.metrics.refused(errors[0]["extensions"]["code"])
        return write({"errors": errors}, media, 400 if media == GRAPHQL_JSON else 200)


async def _written(
    plan: Plan, variables: VariableValues, asked: GraphQLRequest, reader: RequestLoader, context: object
) -> list[bytes] | None:
    """The answer of a plan, in chunks; None when the standard executor has to answer."""
    data = await plan.data(reader, variables)
    if data is None:
        return None
    answer = {"data": data}
    if asked.extensions:
        answer = _costed(answer, asked, context)
    parts = (
        await json_output.in_parts(answer) if reader.budget.objects > json_output.BIG else [json_output.dumps(answer)]
    )
    reader.budget.check_text(sum(map(len, parts)))
    return parts


def _likeness(prepared: Prepared, asked: GraphQLRequest, request: HTTPConnection, reader: RequestLoader) -> Hashable:
    """A key that is equal for equal answers: the request, the viewer, and the address, which signed URLs contain."""
    where = (request.scope.get("scheme"), _host(request.scope))
    who, limits = _every_field(reader.viewer), reader.budget.limits
    asked_for = (prepared.text, asked.operation_name, key_of(asked.variables))
    return (*asked_for, who, limits.objects, limits.bytes, where)


def _opens_page(request: Request) -> bool:
    return request.method in READS and "query" not in request.query_params


def _host(scope: Scope) -> bytes | None:
    # Starlette's headers need ten calls for a look-up.
    return next((value for name, value in scope["headers"] if name == b"host"), None)


def is_signed_in(reader: RequestLoader) -> bool:
    """Whether the caller is signed in."""
    return reader.viewer.role is not Role.ANONYMOUS


def answer(result: ExecutionResult, *, writing: bool = False) -> Answer:
    """The result as an answer. Raises Unacceptable when the variables did not fit and nothing ran."""
    errors = result.errors or []
    if result.data is None and errors and all(error.path is None for error in errors):
        raise Unacceptable(request_errors(errors, BAD_USER_INPUT))
    written: Answer = {"errors": field_errors(errors, request_id(), writing=writing)} if errors else {}
    written["data"] = result.data
    return written


def too_large(refusal: AnswerTooLarge) -> Answer:
    """The answer in place of one that is too large; it shows none of the data."""
    return {"errors": refusal_errors(PublicError(refusal.message, refusal.error_code)), "data": None}


def _costed(answer: Answer, asked: GraphQLRequest, context: object) -> Answer:
    """The answer, with its cost if the client asked for it."""
    reader: RequestLoader | None = getattr(context, "reader", None)
    if asked.extensions.get("cost") is True and reader is not None:
        reader.budget.bytes = len(json_output.dumps(answer["data"]))
    return _with_cost(answer, asked, context)


def _with_cost(answer: Answer, asked: GraphQLRequest, context: object) -> Answer:
    """The answer with the cost counted so far, if the client asked for it."""
    if asked.extensions.get("cost") is True and (cost := getattr(context, "cost", None)) is not None:
        answer["extensions"] = {"cost": cost}
    return answer


def write(answer: Answer, media: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """The response with an answer. Raises TypeError for a value that no scalar has serialised."""
    return JSONBytesResponse([json_output.dumps(answer)], media, status, headers or {})


class JSONBytesResponse(Response):
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

    def write(self, offer: CompleteRequest, more: bytes) -> bool:
        """Write the response in one piece, with `more` headers; False when it has to be sent as messages."""
        if len(self.parts) > 1:
            return False
        return offer.write(as_lines(self.raw_headers) + more, self.parts[0], self.status_code)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response, releasing each chunk once it is sent."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        # A list of its own: identical requests share the chunks.
        parts, self.parts = self.parts[::-1], []
        client = outgoing(scope)
        with client.holding(sum(map(len, parts))) if client else nullcontext(_uncounted) as release:
            while parts:
                part = parts.pop()
                await send({"type": "http.response.body", "body": part, "more_body": bool(parts)})
                release(len(part))
                if parts:
                    # `send` does not wait if the client reads fast enough.
                    await event_loop.yield_to_event_loop()


def _uncounted(written: int) -> None:
    """Count nothing, since the client's connection is unknown."""
