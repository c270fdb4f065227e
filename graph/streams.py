"""Operations over WebSocket: prepared, bounded in time and masked as over HTTP, and followed when they subscribe."""

import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from inspect import isawaitable
from typing import Any, cast

import pymongo
import structlog
from graphql import ExecutionResult as Executed
from graphql import GraphQLError, OperationType, execute
from graphql.execution import create_source_event_stream, execute_subscription_event
from pymongo.errors import PyMongoError
from strawberry.execution import optimized_is_awaitable
from strawberry.types.execution import ExecutionResult, PreExecutionError

from graph.deadline import REQUEST_WITHIN
from graph.envelope import request_id
from graph.errors import (
    BAD_USER_INPUT,
    MAX_REQUEST_ERRORS,
    Formatted,
    HTTPRefusal,
    RequestRefused,
    field_errors,
    internal_errors,
    refusal_errors,
    request_errors,
    root_cause,
)
from graph.following import Conversation, Following
from graph.http import IsAwaitable, answer
from graph.limits import check_variables
from graph.metrics import Metrics
from graph.plan.text import dumps
from graph.prepare import Prepared, Preparer, Unacceptable
from resolvers.cancellation import check_cancelled
from resolvers.changes import Changes

FORBIDDEN, TRY_AGAIN_LATER = 4403, 1013
"""Codes to close with: the protocol's own, and one of the registry that RFC 6455 opened. Clients connect again after
both, which is their chance to bring a new token."""

log = structlog.stdlib.get_logger("graph.streams")
Stream = AsyncGenerator[PreExecutionError | ExecutionResult, None]


class Streams:
    """Stands where Strawberry's handler expects a schema."""

    def __init__(self, preparer: Preparer, metrics: Metrics) -> None:
        self._preparer = preparer
        self._metrics = metrics
        self._changes = Changes()

    async def stream(
        self,
        query: str,
        variable_values: dict[str, Any] | None = None,
        context_value: Any = None,
        operation_name: str | None = None,
        **rest: Any,
    ) -> Stream:
        """The results of an operation, one after another."""
        return self._told(query, variable_values or {}, operation_name, context_value)

    async def _told(self, query: str, variables: dict[str, Any], name: str | None, of: Conversation) -> Stream:
        """The results, the last of which may say why there are none; the socket is closed to whoever may not go on."""
        try:
            async with aclosing(self._results(query, variables, name, of)) as results:
                async for result in results:
                    check_cancelled()
                    yield result
        except Unacceptable as refusal:
            yield _refused(refusal.errors)
        except RequestRefused as refusal:
            yield _refused(refusal_errors(refusal))
        except HTTPRefusal as refusal:
            await of.close(close_code(refusal), refusal.message)
        except (PyMongoError, TimeoutError) as error:
            log.warning("the database does not answer a subscription", reason=str(error)[:200])
            await of.close(TRY_AGAIN_LATER, "The database does not answer.")
        except Exception:
            log.exception("the operation failed")
            yield _refused(internal_errors(request_id()))

    async def _results(self, query: str, variables: dict[str, Any], name: str | None, of: Conversation) -> Stream:
        prepared = self._preparer.prepare(query)
        kind = prepared.operation(name).operation
        check_variables(variables, self._preparer.limits)
        # Each operation reads anew and has a budget of its own, and a token may have been revoked meanwhile.
        context = await of.context()
        if kind is not OperationType.SUBSCRIPTION:
            yield await self._single(prepared, variables, name, context)
            return
        following = Following(of, self._changes, cast(Any, context).reader)
        with self._metrics.subscriptions.track_inprogress():
            async with aclosing(self._followed(prepared, variables, name, following)) as results:
                async for result in results:
                    yield result

    async def _single(
        self, prepared: Prepared, variables: dict[str, Any], name: str | None, context: object
    ) -> ExecutionResult:
        schema = self._preparer.schema
        with pymongo.timeout(REQUEST_WITHIN):
            running = execute(
                schema._schema,
                prepared.document,
                variable_values=variables,
                operation_name=name,
                context_value=context,
                is_awaitable=cast(IsAwaitable, optimized_is_awaitable),
                executor_class=schema.execution_context_class,
                max_coercion_errors=MAX_REQUEST_ERRORS,
            )
            return _shown(await running if isawaitable(running) else running)

    async def _followed(
        self, prepared: Prepared, variables: dict[str, Any], name: str | None, following: Following
    ) -> Stream:
        executor, events = await self._events(prepared, variables, name, following)
        sent = b""
        async with aclosing(events) as open_events:
            async for event in open_events:
                check_cancelled()
                async with self._changes.turn:
                    with pymongo.timeout(REQUEST_WITHIN):
                        running = execute_subscription_event(executor.build_per_event_executor(event))
                        result = await running if isawaitable(running) else running
                _check_database(result)
                shown = _shown(result)
                mark = hashlib.blake2b(dumps([shown.data, _messages(shown)])).digest()
                # What looks as before tells a client nothing.
                if mark != sent:
                    yield shown
                sent = mark

    async def _events(
        self, prepared: Prepared, variables: dict[str, Any], name: str | None, following: Following
    ) -> tuple[Any, AsyncGenerator[Any, None]]:
        """What executes events, and the events themselves. Raises Unacceptable when there are none to come."""
        schema = self._preparer.schema
        executor = schema.execution_context_class.build(
            schema._schema,
            prepared.document,
            context_value=following,
            raw_variable_values=variables,
            operation_name=name,
            max_coercion_errors=MAX_REQUEST_ERRORS,
            is_awaitable=cast(IsAwaitable, optimized_is_awaitable),
        )
        if isinstance(executor, list):
            raise Unacceptable(request_errors(executor, BAD_USER_INPUT))
        made = create_source_event_stream(executor)
        events = await made if isawaitable(made) else made
        if isinstance(events, Executed):
            raise Unacceptable(field_errors(events.errors or [], request_id()))
        return executor, cast(AsyncGenerator[Any, None], events)


def close_code(refusal: HTTPRefusal) -> int:
    """What to close a socket with whose client is refused."""
    return TRY_AGAIN_LATER if refusal.status == 503 else FORBIDDEN


def _check_database(result: Executed) -> None:
    """Raise what the database failed with: the client had better connect again than read half an answer."""
    for error in result.errors or []:
        if isinstance(cause := root_cause(error), PyMongoError):
            raise cause


def _shown(result: Executed) -> ExecutionResult:
    written = answer(result)
    errors = written.get("errors")
    return ExecutionResult(data=written["data"], errors=_as_errors(errors) if errors else None)


def _messages(result: ExecutionResult) -> list[str]:
    return [error.message for error in result.errors or []]


def _refused(errors: list[Formatted]) -> PreExecutionError:
    return PreExecutionError(data=None, errors=_as_errors(errors))


def _as_errors(formatted: list[Formatted]) -> list[GraphQLError]:
    return [GraphQLError(one["message"], path=one.get("path"), extensions=one["extensions"]) for one in formatted]
