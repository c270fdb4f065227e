"""Which errors a client is told, and how: known refusals with a code, everything else masked."""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from graphql import GraphQLError

from resolvers.refusals import Refusal, Refusals

INTERNAL = "INTERNAL_SERVER_ERROR"
BAD_USER_INPUT = "BAD_USER_INPUT"
BAD_REQUEST = "BAD_REQUEST"
LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
UNAUTHENTICATED = "UNAUTHENTICATED"
UNAVAILABLE = "UNAVAILABLE"

MASKED = "Internal error"
MAX_MESSAGE = 500
MAX_LOCATIONS = 5
MAX_REQUEST_ERRORS = 5
"""Errors shown for a request that did not run; the answer to a hostile one stays small."""
MAX_FIELD_ERRORS = 100
MAX_TRACEBACKS = 5

log = structlog.stdlib.get_logger("graph.errors")
Formatted = dict[str, Any]


class PublicError(Exception):
    """An error whose message and code are meant for the client."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class RequestRefused(PublicError):
    """A well-formed request whose operation will not be run; the answer has no `data`."""

    def __init__(self, message: str, code: str = BAD_USER_INPUT) -> None:
        super().__init__(message, code)


class HTTPRefusal(PublicError):
    """A request refused before its operation is looked at, with a status of its own."""

    def __init__(
        self, status: int, message: str, code: str = BAD_REQUEST, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, code)
        self.status = status
        self.headers = dict(headers or {})


def unauthenticated(message: str) -> HTTPRefusal:
    """The refusal of a token that is wrong, expired or revoked."""
    return HTTPRefusal(401, message, UNAUTHENTICATED, {"WWW-Authenticate": "Bearer"})


def request_errors(errors: Sequence[GraphQLError], code: str) -> list[Formatted]:
    """What a client is told about a document or variables that cannot be run."""
    return [_formatted(error, error.message, {"code": code}) for error in errors[:MAX_REQUEST_ERRORS]]


def refusal_errors(refusal: PublicError) -> list[Formatted]:
    """What a client is told about a refusal that is not about one place in the document."""
    return [{"message": cut(refusal.message), "extensions": {"code": refusal.code}}]


def internal_errors(request_id: str) -> list[Formatted]:
    """What a client is told when the server failed."""
    return [{"message": MASKED, "extensions": {"code": INTERNAL, "requestId": request_id}}]


def field_errors(errors: Sequence[GraphQLError], request_id: str) -> list[Formatted]:
    """What a client is told about fields that failed while the operation ran. The masked ones are logged."""
    formatted: list[Formatted] = []
    unexpected: list[GraphQLError] = []
    for error in errors:
        known = _public(error)
        if known is None:
            unexpected.append(error)
        if len(formatted) < MAX_FIELD_ERRORS:
            message, extensions = known or (MASKED, {"code": INTERNAL, "requestId": request_id})
            formatted.append(_formatted(error, message, extensions))
    _log_unexpected(unexpected)
    return formatted


def cut(message: str) -> str:
    """The message, short enough not to echo a hostile request."""
    return message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 1] + "…"


def _public(error: GraphQLError) -> tuple[str, dict[str, Any]] | None:
    """Message and extensions of an error that was raised for the client, None for any other."""
    cause = root_cause(error)
    if isinstance(cause, PublicError):
        return cause.message, {"code": cause.code}
    if isinstance(cause, Refusal):
        return cause.message, {"code": cause.error_code}
    if isinstance(cause, Refusals):
        return str(cause), {"code": cause.refusals[0].error_code}
    # graphql-core names the place in the document when an argument cannot be taken, and no place when a value
    # of ours cannot be written; the second is our fault, and its message may show what clients must not see.
    if isinstance(cause, GraphQLError) and cause.nodes:
        return cause.message, {"code": BAD_USER_INPUT}
    return None


def root_cause(error: GraphQLError) -> BaseException:
    """The exception a resolver raised, below the wrappings of the executor."""
    cause: BaseException = error
    while isinstance(cause, GraphQLError) and isinstance(cause.original_error, Exception):
        cause = cause.original_error
    return cause


def _formatted(error: GraphQLError, message: str, extensions: dict[str, Any]) -> Formatted:
    formatted: Formatted = {"message": cut(message)}
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
    return cut(".".join(str(part) for part in error.path or ()))
