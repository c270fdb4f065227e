"""Errors that are meant for clients, each with a code."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

INTERNAL = "INTERNAL_SERVER_ERROR"
BAD_USER_INPUT = "BAD_USER_INPUT"
BAD_REQUEST = "BAD_REQUEST"
LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
UNAUTHENTICATED = "UNAUTHENTICATED"
UNAVAILABLE = "UNAVAILABLE"
OVERLOADED = "OVERLOADED"
READ_ONLY = "READ_ONLY"
QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
PERSISTED_QUERY_NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
PERSISTED_QUERY_NOT_SUPPORTED = "PERSISTED_QUERY_NOT_SUPPORTED"

SEND_DOCUMENT: dict[str, Any] = {"message": "PersistedQueryNotFound", "extensions": {"code": PERSISTED_QUERY_NOT_FOUND}}
"""Apollo's clients for iOS and Kotlin answer this code by sending the document once; Apollo Client and urql answer
PersistedQueryNotSupported by sending no more hashes."""


class PublicError(Exception):
    """An error whose message and code are meant for the client."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class RequestError(PublicError):
    """A well-formed request whose operation will not be run; the answer has no `data`."""

    def __init__(self, message: str, code: str = BAD_USER_INPUT) -> None:
        super().__init__(message, code)


HTTP_ERROR_KEY = "provenance.http_error"
"""The extension of the scope that holds the HTTPError for which a request is refused."""


class HTTPError(PublicError):
    """A request refused before its operation is looked at, with an HTTP status of its own."""

    def __init__(
        self, status: int, message: str, code: str = BAD_REQUEST, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, code)
        self.status = status
        self.headers = dict(headers or {})


class PersistedQueryNotSupported(HTTPError):
    """A request refused because it names its document by a hash: the server stores no persisted queries."""

    def __init__(self) -> None:
        super().__init__(400, "PersistedQueryNotSupported", PERSISTED_QUERY_NOT_SUPPORTED)


class OverloadReason(StrEnum):
    """The reason why a request is refused for overload; metrics tell it, and answers do not."""

    QUEUE_FULL = "queue_full"
    WAIT_TIMEOUT = "wait_timeout"
    OUTGROWN = "outgrown"
    POINT_READS = "point_reads"
    NEW_DOCUMENTS = "new_documents"
    SCHEMA_READS = "schema_reads"
    BODIES = "bodies"
    DECOMPRESSION = "decompression"
    WEBSOCKETS = "websockets"


class Overloaded(HTTPError):
    """A request refused because the server is at capacity."""

    def __init__(self, reason: OverloadReason) -> None:
        self.reason = reason
        message = "The server is busy with other requests. Try again in a second or later."
        super().__init__(503, message, OVERLOADED, {"Retry-After": "1"})


class ReadOnly(HTTPError):
    """A request refused because it would write, and the server is in read-only mode."""

    def __init__(self) -> None:
        message = "The server is in read-only mode: it answers queries, and writes nothing. Try again later."
        super().__init__(503, message, READ_ONLY, {"Retry-After": "5"})


def unauthenticated(message: str) -> HTTPError:
    """The refusal of a token that is wrong, expired or revoked."""
    return HTTPError(401, message, UNAUTHENTICATED, {"WWW-Authenticate": "Bearer"})


class StartError(Exception):
    """The server cannot start; the message is a sentence for the log."""
