"""Operations over WebSocket: prepared, bounded in time and masked as over HTTP, with a result per event."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from inspect import isawaitable
from typing import Any, cast

import pymongo
import structlog
from graphql import ExecutionResult as Executed
from graphql import OperationDefinitionNode, OperationType
from graphql.execution import create_source_event_stream, execute_subscription_event
from graphql.execution.values import VariableValues
from strawberry.execution import optimized_is_awaitable
from strawberry.types.execution import ExecutionResult, PreExecutionError

from documents.mongo.replies import counting_replies
from documents.mongo.round_trips import counting_round_trips
from documents.outage import outage_of
from graph.activities.log_entry import LogBatch
from graph.context import Context
from graph.engine.admission import Cost
from graph.engine.error_masking import (
    MAX_REQUEST_ERRORS,
    Formatted,
    field_errors,
    internal_errors,
    outage_errors,
    refusal_errors,
    request_errors,
    root_cause,
)
from graph.engine.plan.json_output import data_of
from graph.engine.plan.planner import name_of
from graph.engine.plan.subscription import SubscriptionPlan
from graph.engine.prepare import InvalidDocument, PreparedDocument
from graph.errors import BAD_USER_INPUT, QUOTA_EXCEEDED, READ_ONLY, HTTPError, Overloaded, RequestError
from graph.http.graphql import GraphQLHandler
from graph.http.middleware import request_id
from graph.http.operation_executor import UNPLANNED_WEIGHT, IsAwaitable, is_signed_in
from graph.http.operation_recorder import OperationRecord
from graph.http.quotas import count_objects, count_request
from graph.http.request import RequestParameters
from graph.http.response import ResponseBody, to_response_body, too_large_body
from graph.limits import REQUEST_TIMEOUT
from graph.websocket.delivery import Delivery, as_errors, delivery
from graph.websocket.detached_tasks import read_detached, write_detached
from graph.websocket.session import SubscriptionContext, WebSocketSession
from resolvers.activities.change_stream import ChangeFeed
from resolvers.concurrency.task_cancellation import raise_if_cancelled
from resolvers.reads.answer_budget import AnswerTooLarge
from resolvers.reads.loaders import RequestLoader

FORBIDDEN, TRY_AGAIN_LATER = 4403, 1013
"""Close codes: the protocol's own, and one of the registry that RFC 6455 established. Clients reconnect after both, and
can bring a new token."""

OF_ONE_OPERATION = frozenset({QUOTA_EXCEEDED, READ_ONLY})
"""Codes of refusals after which the socket stays open, and its subscriptions go on."""

SECONDS_PER_DELIVERY, SECONDS_PER_OBJECT = 0.002, 0.000_006
"""CPU seconds of a delivery, and of each object in it."""
SUBSCRIPTION_LEVELS = 2
"""Levels of pages assumed for a subscription until its first delivery."""

log = structlog.stdlib.get_logger("graph.streams")
Planned = tuple[SubscriptionPlan, VariableValues]
Stream = AsyncGenerator[PreExecutionError | ExecutionResult, None]


class OperationRunner:
    """Runs the operations of WebSockets, in the place of the schema in Strawberry's handler."""

    def __init__(self, graphql: GraphQLHandler, changes: ChangeFeed) -> None:
        self._executor, self._recorder = graphql.executor, graphql.recorder
        self._document_cache, self._metrics, self._admission = (
            graphql.document_cache,
            graphql.metrics,
            graphql.admission,
        )
        self._changes = changes

    async def stream(
        self,
        query: str,
        variable_values: dict[str, Any] | None = None,
        context_value: Any = None,
        operation_name: str | None = None,
        **rest: Any,
    ) -> Stream:
        """The results of an operation, one after another. An empty name counts as none, as over HTTP."""
        return self._results_or_refusal(query, variable_values or {}, operation_name or None, context_value)

    async def _results_or_refusal(
        self, query: str, variables: dict[str, Any], name: str | None, session: WebSocketSession
    ) -> Stream:
        """The results, of which the last may be an error; closes the socket when the client has lost access."""
        try:
            async with aclosing(self._results(query, variables, name, session)) as results:
                async for result in results:
                    raise_if_cancelled()
                    yield result
        except InvalidDocument as refusal:
            yield _error_result(refusal.errors)
        except RequestError as refusal:
            yield _error_result(refusal_errors(refusal))
        except Overloaded as error:
            self._metrics.count_refusal(error.code)
            await self._admission.delay_refusal(error.reason)
            yield _error_result(refusal_errors(error))
        except AnswerTooLarge as refusal:
            yield ExecutionResult(data=None, errors=as_errors(too_large_body(refusal)["errors"]))
        except HTTPError as error:
            if error.code not in OF_ONE_OPERATION:
                await session.close(close_code(error), error.message)
                return
            self._metrics.count_refusal(error.code)
            yield _error_result(refusal_errors(error))
        except Exception as error:
            if outage := outage_of(error):
                yield _error_result(outage_errors(outage, error))
            else:
                log.exception("the operation failed")
                yield _error_result(internal_errors(request_id()))

    async def _results(
        self, query: str, variables: dict[str, Any], name: str | None, session: WebSocketSession
    ) -> Stream:
        # Each operation reads afresh and has a budget of its own; the token may have been revoked since the last one.
        context = cast(Context, await session.context())
        await count_request(context.loader.viewer)
        record = OperationRecord()
        record.began = time.monotonic()
        record.loader = context.loader
        prepared = await self._executor.prepare(query, context.loader)
        record.identity = prepared.identities.get(name)
        with self._recorder.recording_failure(record):
            operation = prepared.operation(name)
            prepared.check_variables(operation, variables)
            subscribes = operation.operation is OperationType.SUBSCRIPTION
            result = None
            if not subscribes:
                try:
                    result = await self._single_result(prepared, operation, variables, session, context, record)
                finally:
                    await count_objects(context.loader)
        if result is not None:
            self._finish(record, result)
            yield result
            return
        subscription = SubscriptionContext(session, self._changes, context.loader)
        with self._metrics.subscriptions.track_inprogress():
            async with aclosing(self._subscribe(prepared, variables, name, subscription)) as results:
                async for result in results:
                    yield result

    def _finish(self, record: OperationRecord, result: ExecutionResult) -> None:
        """Record a result that is about to be sent."""
        if result.errors:
            record.code = (result.errors[0].extensions or {}).get("code", "")
        data: object = result.data
        self._recorder.finish(record, len(data) if isinstance(data, bytes) else 0)

    async def _single_result(
        self,
        prepared: PreparedDocument,
        operation: OperationDefinitionNode,
        variables: dict[str, Any],
        session: WebSocketSession,
        context: Context,
        record: OperationRecord,
    ) -> ExecutionResult:
        """The result of a query or mutation."""
        record.executor = "planned"
        if prepared.asks_for_schema(operation):
            data = await self._document_cache.schema_answer(prepared, operation, variables)
            if data is not None:
                # The message's encoder accepts values that are already text.
                return ExecutionResult(data=cast(Any, data), errors=None)
        parameters = RequestParameters(prepared.text, name_of(operation), variables, {})
        reads = operation.operation is OperationType.QUERY
        if reads and not self._executor.use_reference_executor:
            reading = self._executor.answer_by_plan(
                prepared, operation, parameters, session.socket, context.loader, context
            )
            if (parts := await read_detached(reading, context.loader)) is not None:
                return ExecutionResult(data=cast(Any, data_of(parts)), errors=None)
            record.executor = "stepped_aside"
        else:
            record.executor = "reference"
        running = self._executor.answer_by_reference(
            prepared, parameters, context, session.socket.scope, REQUEST_TIMEOUT
        )
        return delivery(await (running if reads else write_detached(running)), context.loader.budget).result

    async def _subscribe(
        self, prepared: PreparedDocument, variables: dict[str, Any], name: str | None, subscription: SubscriptionContext
    ) -> Stream:
        with self._recorder.recording_failure(_record(prepared, name, subscription)):
            executor, events = await self._events(prepared, variables, name, subscription)
        planned = (
            None
            if self._executor.use_reference_executor
            else prepared.plans.subscription(prepared.operation(name), variables)
        )
        sent = b""
        async with aclosing(events) as open_events:
            async for event in open_events:
                raise_if_cancelled()
                record = _record(prepared, name, subscription)
                record.executor = "planned" if planned else "reference"
                with self._recorder.recording_failure(record):
                    # A subscription with deliveries waits for room instead of being refused.
                    message = await self._delivery(
                        prepared, name, planned, executor, event, subscription, patient=bool(sent)
                    )
                # An unchanged state tells a client nothing, but identical log lines are separate events.
                if message.mark != sent or isinstance(event, LogBatch):
                    sent = message.mark
                    self._finish(record, message.result)
                    yield message.result

    async def _delivery(
        self,
        prepared: PreparedDocument,
        name: str | None,
        planned: Planned | None,
        executor: Any,
        event: Any,
        subscription: SubscriptionContext,
        *,
        patient: bool,
    ) -> Delivery:
        """The delivery of an event to its subscriber, made once there is room for it."""
        costs, cost_key, loader = self._admission.costs, (prepared.text, name), subscription.loader
        expected = costs.estimate(cost_key, SUBSCRIPTION_LEVELS, loader.budget.limits.objects)
        signed_in = is_signed_in(loader)
        permit = self._admission.permit(expected, signed_in=signed_in, patient=patient)
        if not signed_in:
            await self._admission.delivery_time.wait_for_turn(
                SECONDS_PER_DELIVERY + SECONDS_PER_OBJECT * expected.objects
            )
        async with self._changes.read_slots, permit:
            began = time.monotonic()
            with (
                pymongo.timeout(REQUEST_TIMEOUT),
                counting_replies(loader.budget.add_stored_bytes),
                counting_round_trips(loader.budget),
            ):
                body = await _answer_by_plan(planned, loader, event) or await _answer_by_reference(executor, event)
            weight = UNPLANNED_WEIGHT if planned is None else 1
            costs.record(cost_key, Cost(weight * loader.budget.objects, seconds=time.monotonic() - began))
            await count_objects(loader)
            return delivery(body, loader.budget)

    async def _events(
        self, prepared: PreparedDocument, variables: dict[str, Any], name: str | None, subscription: SubscriptionContext
    ) -> tuple[Any, AsyncGenerator[Any, None]]:
        """The executor of events, and the events. Raises InvalidDocument when the subscription cannot start."""
        schema = self._document_cache.schema
        executor = schema.execution_context_class.build(
            schema._schema,
            prepared.document,
            context_value=subscription,
            raw_variable_values=variables,
            operation_name=name,
            max_coercion_errors=MAX_REQUEST_ERRORS,
            is_awaitable=cast(IsAwaitable, optimized_is_awaitable),
        )
        if isinstance(executor, list):
            raise InvalidDocument(request_errors(executor, BAD_USER_INPUT))
        stream = create_source_event_stream(executor)
        events = await stream if isawaitable(stream) else stream
        if isinstance(events, Executed):
            raise InvalidDocument(field_errors(events.errors or [], request_id()))
        return executor, cast(AsyncGenerator[Any, None], events)


def _record(prepared: PreparedDocument, name: str | None, subscription: SubscriptionContext) -> OperationRecord:
    """The record of the next delivery of a subscription."""
    record = OperationRecord()
    record.began = time.monotonic()
    record.identity, record.loader = prepared.identities.get(name), subscription.loader
    return record


def close_code(error: HTTPError) -> int:
    """The close code for a refused client's socket."""
    return TRY_AGAIN_LATER if error.status == 503 else FORBIDDEN


async def _answer_by_plan(planned: Planned | None, loader: RequestLoader, event: Any) -> ResponseBody | None:
    """The plan's answer to an event, None when the standard executor has to answer."""
    if planned is None:
        return None
    plan, variables = planned
    data = await plan.data(loader, variables, event)
    return None if data is None else {"data": data}


async def _answer_by_reference(executor: Any, event: Any) -> ResponseBody:
    running = execute_subscription_event(executor.build_per_event_executor(event))
    result = await running if isawaitable(running) else running
    _check_outage(result)
    return to_response_body(result)


def _check_outage(result: Executed) -> None:
    """Raise the outage that made a result fail: it is better to subscribe again than to get half an answer."""
    for error in result.errors or []:
        if isinstance(cause := root_cause(error), Exception) and outage_of(cause):
            raise cause


def _error_result(errors: list[Formatted]) -> PreExecutionError:
    return PreExecutionError(data=None, errors=as_errors(errors))
