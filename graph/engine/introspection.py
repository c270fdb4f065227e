"""Answers to introspection queries: cached, since the schema never changes, and made in a thread, since they are large.

The standard introspection query resolves 16,000 fields, which takes 50 ms of CPU or more and would block the event
loop. A thread releases the interpreter every few milliseconds.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from graphql import DocumentNode, ExecutionResult, MiddlewareManager, OperationDefinitionNode, OperationType, execute
from strawberry import Schema

from graph.engine.complexity import INTROSPECTION, ComplexityMeter
from graph.engine.plan import json_output
from graph.engine.single_flight import key_of
from graph.errors import LIMIT_EXCEEDED, Overloaded, OverloadReason, RequestError
from graph.limits import MAX_INTROSPECTION_FIELDS, MAX_SCHEMA_FIELDS

SCHEMA_FIELD = "__schema"
MAX_CACHED_ANSWERS = 16
MAX_CACHED_BYTES = 8_000_000
"""Bytes of all cached answers."""
MAX_PENDING = 16
"""Answers that are being made or are waiting; they are made one after another."""

SchemaAnswer = bytes | RequestError
"""The text of an answer's data, or the refusal in its place."""


class _TooManyFields(BaseException):
    """Ends an execution. An Exception would become the error of one field, and the others would go on."""


def asks_for_schema(document: DocumentNode, operation: OperationDefinitionNode) -> bool:
    """Whether an operation asks for the schema. Raises RequestError when it asks twice, or for other fields too."""
    if operation.operation is not OperationType.QUERY:
        return False
    names = [nodes[0].name.value for nodes in ComplexityMeter(document).root_fields(operation).values()]
    introspection = [name for name in names if name in INTROSPECTION]
    if (times := introspection.count(SCHEMA_FIELD)) > MAX_SCHEMA_FIELDS:
        raise RequestError(f"The operation asks for {SCHEMA_FIELD} {times} times; once is allowed.", LIMIT_EXCEEDED)
    others = [name for name in names if name not in (*INTROSPECTION, "__typename")]
    if introspection and others:
        both = f"{introspection[0]} beside {others[0]}"
        raise RequestError(f"The operation asks for {both}. Ask for the schema by itself.", LIMIT_EXCEEDED)
    return bool(introspection)


class SchemaAnswers:
    """Makes and caches the answers to introspection queries of one schema."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._answers: OrderedDict[Hashable, SchemaAnswer] = OrderedDict()
        self._pending: dict[Hashable, asyncio.Future[SchemaAnswer]] = {}
        # One thread: several would only take turns, each with an answer in memory.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="introspection")

    async def data(
        self, query: str, document: DocumentNode, name: str | None, variables: dict[str, Any]
    ) -> bytes | None:
        """The JSON text of the data; None when variables do not fit, which the standard executor reports.

        Raises RequestError when there would be too many fields, and Overloaded when too many requests wait.
        """
        key = (query, name, key_of(variables))
        if (answer := self._answers.get(key)) is not None:
            self._answers.move_to_end(key)
        else:
            answer = await asyncio.shield(self._start(key, document, name, variables))
        if isinstance(answer, RequestError):
            raise RequestError(answer.message, answer.code)
        return answer or None

    def _start(
        self, key: Hashable, document: DocumentNode, name: str | None, variables: dict[str, Any]
    ) -> asyncio.Future[SchemaAnswer]:
        if (pending := self._pending.get(key)) is not None:
            return pending
        if len(self._pending) >= MAX_PENDING:
            raise Overloaded(OverloadReason.SCHEMA_READS)
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._thread, self._execute, document, name, variables)
        self._pending[key] = future
        future.add_done_callback(lambda done: self._finish(key, done))
        return future

    def _finish(self, key: Hashable, done: "asyncio.Future[SchemaAnswer]") -> None:
        del self._pending[key]
        if not done.cancelled() and done.exception() is None and (answer := done.result()):
            self._answers[key] = answer
            while len(self._answers) > MAX_CACHED_ANSWERS or sum(map(_size, self._answers.values())) > MAX_CACHED_BYTES:
                self._answers.popitem(last=False)

    def _execute(self, document: DocumentNode, name: str | None, variables: dict[str, Any]) -> SchemaAnswer:
        fields = 0

        def count(resolve: Any, source: Any, info: Any, **arguments: Any) -> Any:
            nonlocal fields
            fields += 1
            if fields > MAX_INTROSPECTION_FIELDS:
                raise _TooManyFields
            return resolve(source, info, **arguments)

        try:
            result = execute(
                self._schema._schema,
                document,
                variable_values=variables,
                operation_name=name,
                executor_class=self._schema.execution_context_class,
                middleware=MiddlewareManager(count),
            )
        except _TooManyFields:
            limit = f"more than {MAX_INTROSPECTION_FIELDS:,} fields"
            return RequestError(
                f"The answer about the schema would hold {limit}. Ask for fewer aliases or levels.", LIMIT_EXCEEDED
            )
        assert isinstance(result, ExecutionResult)
        return b"" if result.errors else json_output.dumps(result.data)


def _size(answer: SchemaAnswer) -> int:
    return len(answer) if isinstance(answer, bytes) else 0
