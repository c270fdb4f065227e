"""The errors of an answer: known ones with their code, unexpected ones masked and logged."""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from graphql import GraphQLError

from documents.outage import Outage, outage_of
from documents.storage.bucket import BucketFull, BucketUnavailable
from graph.errors import BAD_USER_INPUT, INTERNAL, PublicError
from resolvers.outage_log import count_outage
from resolvers.user_errors import Refusal, Refusals

RETRY_AFTER = {"Retry-After": "2"}
"""A header of answers that an outage left empty: an election takes a few seconds."""
INTERNAL_ERROR_MESSAGE = "Internal error"
MAX_MESSAGE = 500
MAX_LOCATIONS = 5
MAX_REQUEST_ERRORS = 5
"""Errors shown for a request that did not run: the answer to a hostile request stays small."""
MAX_FIELD_ERRORS = 100
MAX_TRACEBACKS = 5
OUTAGE_EVENT = "requests could not be answered"

log = structlog.stdlib.get_logger("graph.errors")
Formatted = dict[str, Any]


def request_errors(errors: Sequence[GraphQLError], code: str) -> list[Formatted]:
    """The errors for a document or variables that cannot be run."""
    return [_format(error, error.message, {"code": code}) for error in errors[:MAX_REQUEST_ERRORS]]


def refusal_errors(refusal: PublicError) -> list[Formatted]:
    """The errors for a refusal that is not about one place in the document."""
    return [{"message": truncate(refusal.message), "extensions": {"code": refusal.code}}]


def internal_errors(request_id: str) -> list[Formatted]:
    """The errors for a failure of the server."""
    return [{"message": INTERNAL_ERROR_MESSAGE, "extensions": {"code": INTERNAL, "requestId": request_id}}]


def outage_errors(outage: Outage, error: Exception) -> list[Formatted]:
    """The errors for a request that an outage left without any data; the outage is counted in the log."""
    count_outage(OUTAGE_EVENT, error, outage)
    return [{"message": outage_message(outage, error), "extensions": {"code": outage.value}}]


def outage_status(outage: str) -> int:
    """The HTTP status of an answer that an outage left empty."""
    return 507 if outage == Outage.INSUFFICIENT_STORAGE else 503


def field_errors(errors: Sequence[GraphQLError], request_id: str, *, writing: bool = False) -> list[Formatted]:
    """The errors of fields that failed while the operation ran. Unexpected ones are masked and logged.

    `writing` says that the operation is a mutation, which may have been applied although it failed.
    """
    formatted: list[Formatted] = []
    unexpected: list[GraphQLError] = []
    _count_outages(errors)
    for error in errors:
        public = _public_error(error, writing)
        if public is None:
            unexpected.append(error)
        if len(formatted) < MAX_FIELD_ERRORS:
            message, extensions = public or (INTERNAL_ERROR_MESSAGE, {"code": INTERNAL, "requestId": request_id})
            formatted.append(_format(error, message, extensions))
    _log_unexpected(unexpected)
    return formatted


def truncate(message: str) -> str:
    """The message, truncated so that a hostile request is not echoed."""
    return message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 1] + "…"


def outage_code(answer: Mapping[str, Any]) -> str | None:
    """The code of the outage that left every root field of an answer without a value, None otherwise."""
    errors: list[Formatted] = answer.get("errors") or []
    codes: set[str] = {error["extensions"]["code"] for error in errors}
    if not errors or not codes <= set(Outage):
        return None
    data: dict[str, Any] = answer["data"] or {}
    failed = {error["path"][0] for error in errors if error.get("path")}
    if any(value is not None or name not in failed for name, value in data.items()):
        return None
    # A database that is away may be back soon, so that is reported rather than a full disk.
    return min(codes, key=outage_status)


def _public_error(error: GraphQLError, writing: bool) -> tuple[str, dict[str, Any]] | None:
    """Message and extensions of an error that was raised for the client, None for any other."""
    cause = root_cause(error)
    if outage := outage_of(cause):
        uncertainty = "" if outage is Outage.INSUFFICIENT_STORAGE else _uncertainty(error, writing)
        return outage_message(outage, cause, _path(error)) + uncertainty, {"code": outage.value}
    if isinstance(cause, PublicError):
        return cause.message, {"code": cause.code}
    if isinstance(cause, Refusal):
        return cause.message, {"code": cause.error_code}
    if isinstance(cause, Refusals):
        return str(cause), {"code": cause.refusals[0].error_code}
    # graphql-core's error has nodes when an argument is invalid, and none when one of our values cannot be serialised:
    # the second is our bug, and its message may show what clients must not see.
    if isinstance(cause, GraphQLError) and cause.nodes:
        return cause.message, {"code": BAD_USER_INPUT}
    return None


def outage_message(outage: Outage, cause: BaseException, field: str = "") -> str:
    """The error message for an outage that the field at `field` met."""
    if isinstance(cause, BucketFull):
        return str(cause)
    if outage is Outage.INSUFFICIENT_STORAGE:
        return "The database's disk is full."
    if isinstance(cause, OSError):
        return "The server has no file descriptors left at the moment. Try again later."
    if outage is Outage.TIMEOUT:
        return f"The request timed out before {field or 'it'} was answered. Ask for less, or try again later."
    service = "bucket" if isinstance(cause, BucketUnavailable) else "database"
    return f"The {service} is not responding at the moment. Try again later."


def _uncertainty(error: GraphQLError, writing: bool) -> str:
    """An additional sentence when a mutation's root field itself failed, rather than a field of its payload."""
    if not writing or len(error.path or ()) != 1:
        return ""
    return f" It is unknown whether {_path(error)} was applied: repeat it with the same idempotencyKey."


def _count_outages(errors: Sequence[GraphQLError]) -> None:
    """Count a failed request in the log, once for each kind of outage that it met."""
    causes = {outage: cause for error in errors if (outage := outage_of(cause := root_cause(error)))}
    for outage, cause in causes.items():
        count_outage(OUTAGE_EVENT, cause, outage)


def root_cause(error: GraphQLError) -> BaseException:
    """The exception that a resolver raised, unwrapped from the executor's errors."""
    cause: BaseException = error
    while isinstance(cause, GraphQLError) and isinstance(cause.original_error, Exception):
        cause = cause.original_error
    return cause


def _format(error: GraphQLError, message: str, extensions: dict[str, Any]) -> Formatted:
    formatted: Formatted = {"message": truncate(message)}
    if error.locations:
        formatted["locations"] = [{"line": at.line, "column": at.column} for at in error.locations[:MAX_LOCATIONS]]
    if error.path is not None:
        formatted["path"] = error.path
    return formatted | {"extensions": extensions}


def _log_unexpected(errors: Sequence[GraphQLError]) -> None:
    for error in errors[:MAX_TRACEBACKS]:
        cause = root_cause(error)
        log.error("a field failed", path=_path(error), exc_info=(type(cause), cause, cause.__traceback__))
    if len(errors) > MAX_TRACEBACKS:
        log.error("more fields failed", count=len(errors) - MAX_TRACEBACKS)


def _path(error: GraphQLError) -> str:
    return truncate(".".join(str(part) for part in error.path or ()))
