"""Outages: exceptions because a service that we depend on is unavailable, or time ran out. Neither is a bug of ours."""

import errno
from enum import StrEnum

from pymongo.errors import (
    ConnectionFailure,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from documents.storage.bucket import BucketFull, BucketUnavailable

# MongoDB's error codes, as the specifications of retryable reads and of server discovery list them: HostUnreachable,
# HostNotFound, NetworkTimeout, ShutdownInProgress, PrimarySteppedDown, SocketException, NotWritablePrimary,
# InterruptedAtShutdown, InterruptedDueToReplStateChange, NotPrimaryNoSecondaryOk, NotPrimaryOrSecondary.
UNAVAILABLE_CODES = frozenset({6, 7, 89, 91, 189, 9001, 10107, 11600, 11602, 13435, 13436})
TIMEOUT_CODES = frozenset({50, 64, 262})
"""MaxTimeMSExpired, WriteConcernTimeout and ExceededTimeLimit."""
OUT_OF_DISK_SPACE = 14031
"""OutOfDiskSpace."""
DESCRIPTOR_ERRNOS = (errno.EMFILE, errno.ENFILE)
"""Errors because this process, or the system, has no file descriptors left."""
RETRYABLE_LABELS = ("TransientTransactionError", "UnknownTransactionCommitResult", "RetryableWriteError")
"""Labels of errors that are retried while there is time."""


class Outage(StrEnum):
    """The reason why a request could not be answered."""

    UNAVAILABLE = "UNAVAILABLE"
    """The database or the bucket cannot be reached, or has no primary."""
    TIMEOUT = "TIMEOUT"
    """The service was reachable, and the time for the answer ran out."""
    INSUFFICIENT_STORAGE = "INSUFFICIENT_STORAGE"
    """The database or the bucket takes no more bytes."""


def outage_of(error: BaseException) -> Outage | None:
    """The outage that an exception stands for, None when it is no outage."""
    match error:
        case BucketFull():
            return Outage.INSUFFICIENT_STORAGE
        case ServerSelectionTimeoutError() | BucketUnavailable():
            return Outage.UNAVAILABLE
        case OSError() if error.errno in DESCRIPTOR_ERRNOS:
            return Outage.UNAVAILABLE
        case ExecutionTimeout():
            return Outage.TIMEOUT
        case ConnectionFailure():
            return Outage.TIMEOUT if error.timeout else Outage.UNAVAILABLE
        case OperationFailure():
            return _outage_of_failure(error)
        case PyMongoError() if error.timeout:
            return Outage.TIMEOUT
    return None


def _outage_of_failure(error: OperationFailure) -> Outage | None:
    """The outage that an error of the database stands for; None for most of them, which are bugs of ours."""
    failed_rows = (error.details or {}).get("writeErrors", [])
    if OUT_OF_DISK_SPACE in (error.code, *(row["code"] for row in failed_rows)):
        return Outage.INSUFFICIENT_STORAGE
    if error.code in UNAVAILABLE_CODES:
        return Outage.UNAVAILABLE
    if error.code in TIMEOUT_CODES or error.timeout or any(error.has_error_label(label) for label in RETRYABLE_LABELS):
        return Outage.TIMEOUT
    return None
