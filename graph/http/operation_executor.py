"""Running the operations of clients: by a plan, or by graphql-core, the reference, once there is room for them.

HTTP and WebSockets run their queries and mutations here.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from contextlib import nullcontext
from dataclasses import dataclass, field, fields
from functools import partial
from inspect import isawaitable
from operator import attrgetter
from typing import Any, TypeGuard, cast

import pymongo
from graphql import ExecutionResult, OperationDefinitionNode, OperationType, execute
from graphql.execution.values import VariableValues
from starlette.requests import HTTPConnection, Request
from starlette.types import Scope
from strawberry.execution import optimized_is_awaitable

from documents.mongo.replies import counting_replies
from documents.mongo.round_trips import counting_round_trips
from graph.engine.admission import MEMORY_PER_ANSWER_BYTE, Admission, Cost
from graph.engine.error_masking import MAX_REQUEST_ERRORS
from graph.engine.plan import Plan, PointLookup, json_output
from graph.engine.prepare import DocumentCache, PreparedDocument
from graph.engine.single_flight import IsWanted, SingleFlight, key_of
from graph.errors import HTTPError, Overloaded, OverloadReason, ReadOnly, RequestError
from graph.http.request import SAFE_METHODS, RequestParameters
from graph.http.response import ResponseBody, add_measured_cost, to_response_body
from graph.http.send_buffers import cancel_on_hang_up, has_hung_up, ignore_hang_up, wait_until_read
from graph.limits import REQUEST_TIMEOUT
from resolvers.access.viewer import Role, Viewer
from resolvers.concurrency.garbage_collection import pause_collection
from resolvers.reads.answer_budget import AnswerLimits
from resolvers.reads.loaders import RequestLoader

# A tuple of all fields, present and future, which hashes faster than the viewer.
_all_fields = attrgetter(*(field.name for field in fields(Viewer)))

PlanRunner = Callable[[RequestLoader, object], Awaitable[list[bytes] | None]]
"""From a request's loader and context to the response body in chunks; None when the plan has to fall back."""
IsAwaitable = Callable[[Any], TypeGuard[Awaitable[Any]]]

UNPLANNED_WEIGHT = 5
"""How much more an object costs without a plan."""
UNPLANNED_LEVELS = 3
"""Levels of pages assumed for an operation without a plan until its first answer."""


@dataclass
class OperationExecutor:
    """Runs queries and mutations."""

    document_cache: DocumentCache
    admission: Admission
    use_reference_executor: bool
    """Run all of them by graphql-core."""
    read_only: bool = False
    """Refuse mutations."""
    _single_flight: SingleFlight[list[bytes]] = field(default_factory=SingleFlight, init=False)

    async def prepare(self, query: str, loader: RequestLoader | None) -> PreparedDocument:
        """The document of an operation, once there is room for it. Raises InvalidDocument and Overloaded."""
        if loader is None or is_signed_in(loader) or self.document_cache.is_point_lookup(query):
            return self.document_cache.prepare(query)
        if self.admission.is_full:
            raise Overloaded(OverloadReason.QUEUE_FULL)
        if self.document_cache.is_cached(query):
            return self.document_cache.prepare(query)
        async with self.admission.new_document():
            prepared = self.document_cache.prepare(query)
            # Compiled within the block too, since that takes as long again.
            _ = prepared.point_lookup
        return prepared

    def plan_runner(
        self, prepared: PreparedDocument, parameters: RequestParameters, request: Request
    ) -> PlanRunner | None:
        """The function that answers a request by plan, None without a plan. Raises the request's refusal."""
        point = None if self.use_reference_executor or parameters.extensions else prepared.point_lookup
        if point is not None and (value := point.value(parameters.operation_name, parameters.variables)) is not None:
            # A point read is within all limits.
            return partial(self._answer_point_lookup, point, value)
        operation = self._operation(prepared, parameters, request.method)
        if prepared.asks_for_schema(operation):
            return partial(self._answer_introspection, prepared, operation, parameters)
        if self.use_reference_executor or operation.operation is not OperationType.QUERY:
            return None
        return partial(self.answer_by_plan, prepared, operation, parameters, request)

    async def answer_by_plan(
        self,
        prepared: PreparedDocument,
        operation: OperationDefinitionNode,
        parameters: RequestParameters,
        request: HTTPConnection,
        loader: RequestLoader,
        context: object,
    ) -> list[bytes] | None:
        """The answer of a plan, which may be shared with identical requests."""
        planned = self._find_plan(prepared, operation, parameters, loader)
        if planned is None:
            return None
        plan, variables = planned
        run = partial(_run_plan, plan, variables, parameters, loader, context)
        if plan.is_coalesced:
            return await (run() if is_signed_in(loader) else self.admission.run_point_read(run))
        run_admitted = partial(self._run_admitted, plan, run, loader, request.scope)
        with cancel_on_hang_up(request.scope):
            if parameters.extensions:
                return await run_admitted(lambda: False)
            return await self._single_flight.answer(
                _single_flight_key(prepared, parameters, request, loader), run_admitted
            )

    def _find_plan(
        self,
        prepared: PreparedDocument,
        operation: OperationDefinitionNode,
        parameters: RequestParameters,
        loader: RequestLoader,
    ) -> tuple[Plan, VariableValues] | None:
        if is_signed_in(loader) or not prepared.plans.depend_on_variables:
            return prepared.plans.find(operation, parameters.variables)
        # Each combination of values in @skip and @include may need a plan of its own.
        if self.admission.document_time.is_used_up:
            raise Overloaded(OverloadReason.NEW_DOCUMENTS)
        with self.admission.document_time.measure():
            return prepared.plans.find(operation, parameters.variables)

    async def _run_admitted(
        self,
        plan: Plan,
        run: Callable[[], Awaitable[list[bytes] | None]],
        loader: RequestLoader,
        scope: Scope,
        is_wanted: IsWanted,
    ) -> list[bytes] | None:
        """The answer of a plan, once there is room for it. It is cancelled when no client waits for it any more."""
        await wait_until_read(scope, signed_in=is_signed_in(loader))
        expected = self.admission.costs.estimate(plan.cost_key, plan.depth, loader.budget.limits.objects)
        async with self.admission.permit(expected, signed_in=is_signed_in(loader)) as permit:

            def check(objects: int) -> None:
                if (loader.is_abandoned or has_hung_up(scope)) and not is_wanted():
                    raise asyncio.CancelledError
                size = max(loader.budget.bytes, loader.budget.stored_bytes // MEMORY_PER_ANSWER_BYTE)
                if objects > expected.objects or size > expected.size:
                    permit.grow(Cost(objects, size))

            loader.budget.on_spend = check
            began = time.monotonic()
            try:
                # Cancelled between two reads and not within one, whose connection would be lost.
                # All reads together: each by itself may take as long as the request.
                with (
                    ignore_hang_up(scope),
                    pause_collection(),
                    pymongo.timeout(REQUEST_TIMEOUT),
                    counting_round_trips(loader.budget),
                ):
                    parts = await run()
            finally:
                # The function refers back to the budget.
                loader.budget.on_spend = None
            size, took = sum(map(len, parts or ())), time.monotonic() - began
            self.admission.costs.record(plan.cost_key, Cost(loader.budget.objects, size, took))
        return parts

    async def _answer_point_lookup(
        self, point: PointLookup, value: str, loader: RequestLoader, context: object
    ) -> list[bytes] | None:
        """The answer of a point read, None when the standard executor has to answer."""
        if is_signed_in(loader):
            data = await point.data(loader, value)
        else:
            data = await self.admission.run_point_read(partial(point.data, loader, value))
        if data is None:
            return None
        body = json_output.dumps({"data": data})
        loader.budget.check_text(len(body))
        return [body]

    async def _answer_introspection(
        self,
        prepared: PreparedDocument,
        operation: OperationDefinitionNode,
        parameters: RequestParameters,
        loader: RequestLoader,
        context: object,
    ) -> list[bytes] | None:
        """The answer to an introspection query; None when the standard executor has to report an error."""
        data = await self.document_cache.schema_answer(prepared, operation, parameters.variables)
        if data is None:
            return None
        body = json_output.dumps(add_measured_cost({"data": data}, parameters, context))
        loader.budget.check_text(len(body))
        return [body]

    async def answer_by_reference(
        self, prepared: PreparedDocument, parameters: RequestParameters, context: object, scope: Scope, seconds: float
    ) -> ResponseBody:
        """The standard executor's answer, once there is room for it. A mutation does not end with its client.

        Plans bound their own reads. The reference executor, also as a fallback, gets the rest of the request's time,
        because PyMongo would otherwise retry for minutes while the database is down. Raises ReadOnly for a mutation in
        read-only mode.
        """
        loader: RequestLoader | None = getattr(context, "loader", None)
        cost_key = (prepared.text, parameters.operation_name)
        writes = prepared.operation(parameters.operation_name).operation is OperationType.MUTATION
        if writes and self.read_only:
            raise ReadOnly
        expected = self.admission.costs.estimate(cost_key, 0 if writes else UNPLANNED_LEVELS, AnswerLimits().objects)
        signed_in = loader is not None and is_signed_in(loader)
        with cancel_on_hang_up(scope):
            await wait_until_read(scope, signed_in=signed_in)
            async with self.admission.permit(expected, signed_in=signed_in) as permit:
                began = time.monotonic()
                if loader is not None:
                    loader.budget.on_spend = lambda objects: permit.grow(Cost(UNPLANNED_WEIGHT * objects))
                with (
                    ignore_hang_up(scope) if writes else nullcontext(),
                    pymongo.timeout(seconds),
                    nullcontext() if loader is None else counting_replies(loader.budget.add_stored_bytes),
                    nullcontext() if loader is None else counting_round_trips(loader.budget),
                ):
                    result = await self._execute_with_graphql_core(prepared, parameters, context)
                if loader is not None:
                    spent, took = loader.budget.objects, time.monotonic() - began
                    self.admission.costs.record(cost_key, Cost(UNPLANNED_WEIGHT * spent, seconds=took))
        return result

    async def _execute_with_graphql_core(
        self, prepared: PreparedDocument, parameters: RequestParameters, context: object
    ) -> ResponseBody:
        """The standard executor's result."""
        schema = self.document_cache.schema
        running = execute(
            schema._schema,
            prepared.document,
            variable_values=parameters.variables,
            operation_name=parameters.operation_name,
            context_value=context,
            is_awaitable=cast(IsAwaitable, optimized_is_awaitable),
            executor_class=schema.execution_context_class,
            max_coercion_errors=MAX_REQUEST_ERRORS,
            operation_extensions=parameters.extensions,
        )
        result: ExecutionResult = await running if isawaitable(running) else running
        kind = prepared.operation(parameters.operation_name).operation
        return to_response_body(result, writing=kind is OperationType.MUTATION)

    def _operation(
        self, prepared: PreparedDocument, parameters: RequestParameters, method: str
    ) -> OperationDefinitionNode:
        operation = prepared.operation(parameters.operation_name)
        kind = operation.operation
        if kind is OperationType.SUBSCRIPTION:
            raise RequestError("Subscriptions are answered over WebSocket, by graphql-transport-ws.")
        if kind is OperationType.MUTATION and method in SAFE_METHODS:
            raise HTTPError(405, "Send mutations with POST.", headers={"Allow": "POST"})
        prepared.check_variables(operation, parameters.variables)
        return operation


async def _run_plan(
    plan: Plan, variables: VariableValues, parameters: RequestParameters, loader: RequestLoader, context: object
) -> list[bytes] | None:
    """The answer of a plan, in chunks; None when the standard executor has to answer."""
    data = await plan.data(loader, variables)
    if data is None:
        return None
    body = {"data": data}
    if parameters.extensions:
        body = add_measured_cost(body, parameters, context)
    parts = (
        await json_output.dump_in_chunks(body)
        if loader.budget.objects > json_output.MAX_OBJECTS_AT_ONCE
        else [json_output.dumps(body)]
    )
    loader.budget.check_text(sum(map(len, parts)))
    return parts


def _single_flight_key(
    prepared: PreparedDocument, parameters: RequestParameters, request: HTTPConnection, loader: RequestLoader
) -> Hashable:
    """A key that is equal for equal answers: the request, the viewer, and the address, which signed URLs contain."""
    address = (request.scope.get("scheme"), _host(request.scope))
    viewer, limits = _all_fields(loader.viewer), loader.budget.limits
    operation = (prepared.text, parameters.operation_name, key_of(parameters.variables))
    return (*operation, viewer, limits.objects, limits.bytes, address)


def _host(scope: Scope) -> bytes | None:
    # Starlette's headers need ten calls for a lookup.
    return next((value for name, value in scope["headers"] if name == b"host"), None)


def is_signed_in(loader: RequestLoader) -> bool:
    """Whether the caller is signed in."""
    return loader.viewer.role is not Role.ANONYMOUS
