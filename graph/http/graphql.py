"""GraphQL over HTTP: reads the request, has its operation run, and makes the response.

By the GraphQL-over-HTTP specification: https://graphql.github.io/graphql-over-http/draft/. A request that is not
executed is answered without `data`: with 400 as application/graphql-response+json, and with 200 as application/json if
it held a document.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import InitVar, dataclass, field
from functools import partial

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from documents.outage import outage_of
from graph.engine.admission import Admission
from graph.engine.error_masking import (
    RETRY_AFTER,
    Formatted,
    internal_errors,
    outage_code,
    outage_errors,
    outage_status,
    refusal_errors,
)
from graph.engine.plan import json_output
from graph.engine.prepare import DocumentCache, InvalidDocument, PreparedDocument
from graph.errors import (
    SEND_DOCUMENT,
    UNAVAILABLE,
    HTTPError,
    Overloaded,
    PersistedQueryNotSupported,
    PublicError,
    RequestError,
)
from graph.http.complete_request import CompleteRequest, RawHeaders
from graph.http.media_types import GRAPHQL_JSON, JSON, accepts_html, accepts_json, negotiate_media_type
from graph.http.middleware import request_id
from graph.http.operation_executor import OperationExecutor, PlanRunner, is_signed_in
from graph.http.operation_recorder import (
    DEFAULT_SLOW_SECONDS,
    UNANSWERED,
    OperationRecord,
    OperationRecorder,
    error_code,
)
from graph.http.quotas import count_use, is_metered
from graph.http.request import SAFE_METHODS, RequestParameters, read_complete, read_request
from graph.http.response import (
    RETRY_SOON,
    JSONBytesResponse,
    ResponseBody,
    add_cost,
    add_measured_cost,
    json_response,
    too_large_body,
)
from graph.http.send_buffers import has_hung_up
from graph.limits import REQUEST_TIMEOUT
from graph.metrics.registry import Metrics
from resolvers.reads.answer_budget import AnswerTooLarge
from resolvers.reads.loaders import RequestLoader

EXECUTOR_HEADER = "X-Provenance-Answer"
log = structlog.stdlib.get_logger("graph.http")

MakeContext = Callable[[str | None], Awaitable[object]]
"""From the Authorization header to the context of resolvers."""
Page = Callable[[Request], Response]


@dataclass
class GraphQLHandler:
    """Answers GET, HEAD and POST of /graphql."""

    document_cache: DocumentCache
    make_context: MakeContext
    metrics: Metrics
    admission: Admission
    is_draining: Callable[[], bool]
    why_closed: Callable[[], str | None]
    """The reason why no new request is answered, None when there is none."""
    page: Page | None = None
    use_reference_executor: InitVar[bool] = False
    """Answer by the standard executor alone."""
    read_only: InitVar[bool] = False
    """Refuse mutations."""
    expose_executor: bool = False
    """Name the executor in a header of each response."""
    slow_seconds: InitVar[float] = DEFAULT_SLOW_SECONDS
    """Seconds from which on an operation is logged as slow."""
    recorder: OperationRecorder = field(init=False)
    executor: OperationExecutor = field(init=False)

    def __post_init__(self, use_reference_executor: bool, read_only: bool, slow_seconds: float) -> None:
        self.recorder = OperationRecorder(self.metrics.operations_by_name, slow_seconds)
        self.executor = OperationExecutor(self.document_cache, self.admission, use_reference_executor, read_only)

    async def __call__(self, request: Request, complete: CompleteRequest | None = None) -> Response:
        """The response to a GraphQL request; every failure is a well-formed GraphQL answer."""
        headers: RawHeaders = dict(request.scope["headers"]) if complete is None else complete.headers
        accept = headers.get(b"accept")
        if complete is None and self.page and accepts_html(accept) and _opens_page(request):
            return self.page(request)
        media, record = negotiate_media_type(accept), OperationRecord()
        record.began = time.monotonic()
        try:
            if media is None:
                raise HTTPError(406, f"Responses are {GRAPHQL_JSON} or {JSON}; accept one of them.")
            response = await self._answer(request, complete, headers, media, record)
        except HTTPError as error:
            record.code = error.code
            response = await self._http_error_response(error, accept, media or JSON)
        except asyncio.CancelledError:
            if has_hung_up(request.scope):
                return Response(status_code=400)
            if not self.is_draining():
                raise
            return self._shutdown_response(media or JSON)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:
            record.code = error_code(error)
            response = self._failure_response(error, media or JSON)
        self.recorder.finish(record, response.size)
        return response

    async def _http_error_response(self, error: HTTPError, accept: bytes | None, media: str) -> JSONBytesResponse:
        """The response to a request that is refused before its operation is looked at."""
        self.metrics.count_refusal(error.code)
        errors, status = refusal_errors(error), error.status
        if isinstance(error, Overloaded):
            await self.admission.delay_refusal(error.reason)
        elif isinstance(error, PersistedQueryNotSupported):
            errors.append(SEND_DOCUMENT)
            if accepts_json(accept):
                # Apollo's client for iOS reads no body with another status.
                media, status = JSON, 200
        return json_response({"errors": errors}, media, status, error.headers)

    async def _answer(
        self,
        request: Request,
        complete: CompleteRequest | None,
        headers: RawHeaders,
        media: str,
        record: OperationRecord,
    ) -> JSONBytesResponse:
        if reason := self.why_closed():
            raise HTTPError(503, reason, UNAVAILABLE, RETRY_SOON)
        if complete is None or b"content-encoding" in headers:
            parameters = await read_request(request, complete, headers, self.admission, self._is_signed_in)
        else:
            parameters = read_complete(headers, complete)
        credentials = headers.get(b"authorization")
        try:
            prepared, context = self.document_cache.valid.get(parameters.query), None
            if prepared is None or self.admission.is_full:
                prepared, context = await self._prepare_first(parameters, credentials)
            record.identity = prepared.identities.get(parameters.operation_name)
            run_plan = self.executor.plan_runner(prepared, parameters, request)
            if context is None:
                context = await self._context(credentials)
            loader: RequestLoader | None = getattr(context, "loader", None)
            record.loader = loader
            run = partial(self._run, run_plan, prepared, parameters, context, request, media, record)
            return await (run() if loader is None or not is_metered() else count_use(loader, run))
        except InvalidDocument as refusal:
            record.code = error_code(refusal)
            return self._error_response(refusal.errors, media)
        except RequestError as refusal:
            record.code = refusal.code
            return self._error_response(refusal_errors(refusal), media)
        except AnswerTooLarge as refusal:
            record.code = refusal.error_code
            self.metrics.count_refusal(refusal.error_code)
            return json_response(add_cost(too_large_body(refusal), parameters, context), media)

    async def _run(
        self,
        run_plan: PlanRunner | None,
        prepared: PreparedDocument,
        parameters: RequestParameters,
        context: object,
        request: Request,
        media: str,
        record: OperationRecord,
    ) -> JSONBytesResponse:
        """The response by a plan, or else by the standard executor, which gets the rest of the request's time."""
        if run_plan is not None and record.loader is not None:
            record.executor = "planned"
            if (parts := await run_plan(record.loader, context)) is not None:
                return self._plan_response(parts, media)
        record.executor = executor = "reference" if record.executor == UNANSWERED else "stepped_aside"
        self.metrics.executions.add(executor)
        seconds = max(0.1, record.began + REQUEST_TIMEOUT - time.monotonic())
        result = await self.executor.answer_by_reference(prepared, parameters, context, request.scope, seconds)
        return self._result_response(result, parameters, context, media, record)

    def _result_response(
        self,
        result: ResponseBody,
        parameters: RequestParameters,
        context: object,
        media: str,
        record: OperationRecord,
    ) -> JSONBytesResponse:
        """The response with the standard executor's result. Raises AnswerTooLarge."""
        body = json_output.dumps(add_measured_cost(result, parameters, context))
        if record.loader is not None:
            record.loader.budget.check_text(len(body))
        headers = self._executor_header(record.executor)
        if errors := result.get("errors"):
            record.code = errors[0]["extensions"]["code"]
        if outage := outage_code(result):
            self.metrics.operations.add("unanswered")
            return json_response(result, media, outage_status(outage), headers | RETRY_AFTER)
        self.metrics.operations.add("errors" if errors else "ok")
        return JSONBytesResponse([body], media, 200, headers)

    async def _context(self, credentials: bytes | None) -> object:
        return await self.make_context(None if credentials is None else credentials.decode("latin-1"))

    async def _is_signed_in(self, credentials: bytes | None) -> bool:
        """Whether the caller is signed in. Raises HTTPError for invalid credentials."""
        loader: RequestLoader | None = getattr(await self._context(credentials), "loader", None)
        return loader is not None and is_signed_in(loader)

    async def _prepare_first(
        self, parameters: RequestParameters, credentials: bytes | None
    ) -> tuple[PreparedDocument, object | None]:
        """The document of a request that is not prepared yet, and its context if that was needed first."""
        if self.document_cache.is_cached(parameters.query) and not self.admission.is_full:
            return self.document_cache.prepare(parameters.query), None
        # Before any expensive work, the caller is authenticated.
        context = await self._context(credentials)
        return await self.executor.prepare(parameters.query, getattr(context, "loader", None)), context

    def _plan_response(self, parts: list[bytes], media: str) -> JSONBytesResponse:
        """The response with a plan's answer."""
        self.metrics.executions.counts["planned"] += 1
        self.metrics.operations.counts["ok"] += 1
        return JSONBytesResponse(parts, media, 200, self._executor_header("planned"))

    def _executor_header(self, executor: str) -> dict[str, str]:
        return {EXECUTOR_HEADER: executor.replace("_", "-")} if self.expose_executor else {}

    def _failure_response(self, error: Exception, media: str) -> JSONBytesResponse:
        """The response to a request that failed through no fault of its own."""
        if outage := outage_of(error):
            self.metrics.operations.add("unanswered")
            return json_response({"errors": outage_errors(outage, error)}, media, outage_status(outage), RETRY_AFTER)
        log.error("the request failed", exc_info=error)
        self.metrics.operations.add("failed")
        return json_response({"errors": internal_errors(request_id())}, media, 500)

    def _shutdown_response(self, media: str) -> JSONBytesResponse:
        """The response to a request that was still running when the server's time to stop ran out."""
        self.metrics.count_refusal(UNAVAILABLE)
        refusal = PublicError("The server stopped before the request was finished.", UNAVAILABLE)
        return json_response({"errors": refusal_errors(refusal)}, media, 503)

    def _error_response(self, errors: list[Formatted], media: str) -> JSONBytesResponse:
        self.metrics.count_refusal(errors[0]["extensions"]["code"])
        return json_response({"errors": errors}, media, 400 if media == GRAPHQL_JSON else 200)


def _opens_page(request: Request) -> bool:
    return request.method in SAFE_METHODS and "query" not in request.query_params
