"""Records of operations that were answered: the metrics of each, and a log line when it was slow."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from documents.outage import outage_of
from graph.engine.operation_identity import OperationIdentity
from graph.engine.prepare import InvalidDocument
from graph.errors import INTERNAL, PublicError
from graph.metrics.families import BATCH_SIZE
from graph.metrics.operations import OperationMetrics
from resolvers.access.viewer import Role
from resolvers.reads.answer_budget import AnswerTooLarge
from resolvers.reads.loaders import RequestLoader

DEFAULT_SLOW_SECONDS = 1.0
UNANSWERED = "none"
"""The executor of an operation that was refused, or that failed, before one answered it."""

log = structlog.stdlib.get_logger("graph.slow")


class OperationRecord:
    """One operation on its way from the request to the answer, as far as is known.

    Its fields have defaults in the class, because each request makes one, and an __init__ would take three times as
    long.
    """

    began: float
    """By time.monotonic()."""
    identity: OperationIdentity | None = None
    """None until its document was prepared."""
    loader: RequestLoader | None = None
    """None until its caller is known."""
    executor = UNANSWERED
    code = ""
    """The code of the first error, empty without errors."""


@dataclass
class OperationRecorder:
    """Counts the operations of a server, and logs slow ones: without their text, variables and credentials."""

    metrics: OperationMetrics
    slow_seconds: float = DEFAULT_SLOW_SECONDS

    def finish(self, record: OperationRecord, size: int) -> None:
        """Record that the operation was answered with so many bytes, if it is known which one it was."""
        identity, loader = record.identity, record.loader
        if identity is None:
            return
        seconds = time.monotonic() - record.began
        role = Role.ANONYMOUS if loader is None else loader.viewer.role
        series = self.metrics.series.get((identity, role, record.code))
        if series is None:
            series = self.metrics.series_of(identity, role, record.code)
        # Not `series.add`: this is done for each request, and the call would double its cost.
        pending = series.pending
        pending.append((seconds, size))
        if len(pending) >= BATCH_SIZE:
            series.count()
        if seconds >= self.slow_seconds:
            _log_slow(record, identity, role, seconds, size)

    @contextmanager
    def recording_failure(self, record: OperationRecord) -> Iterator[None]:
        """Record the operation as failed when the block raises an error."""
        try:
            yield
        except Exception as error:
            record.code = error_code(error)
            self.finish(record, 0)
            raise


def error_code(error: Exception) -> str:
    """The code that the answer has for an error."""
    match error:
        case InvalidDocument():
            return str(error.errors[0]["extensions"]["code"])
        case PublicError():
            return error.code
        case AnswerTooLarge():
            return error.error_code
    outage = outage_of(error)
    return outage.value if outage else INTERNAL


def _log_slow(record: OperationRecord, identity: OperationIdentity, role: str, seconds: float, size: int) -> None:
    budget = record.loader and record.loader.budget
    log.warning(
        "an operation was slow",
        operation=identity.name[:80],
        kind=identity.kind,
        role=role.lower(),
        by=record.executor,
        code=record.code,
        roundTrips=budget.round_trips if budget else 0,
        objects=budget.objects if budget else 0,
        bytes=size,
        ms=round(seconds * 1000, 1),
    )
