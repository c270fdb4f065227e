"""Failures of the database or the bucket are distinguished from faults of our own."""

import errno

import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DuplicateKeyError,
    ExecutionTimeout,
    InvalidOperation,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
    WTimeoutError,
)

from documents.outage import Outage, outage_of
from documents.storage.bucket import BucketError, BucketFull, BucketUnavailable


def labelled(code: int, *labels: str) -> OperationFailure:
    return OperationFailure("refused", code, {"errorLabels": list(labels)})


@pytest.mark.parametrize(
    ("error", "outage"),
    [
        (ServerSelectionTimeoutError("no primary"), Outage.UNAVAILABLE),
        (AutoReconnect("connection closed"), Outage.UNAVAILABLE),
        (NotPrimaryError("not primary", {"code": 10107}), Outage.UNAVAILABLE),
        (OperationFailure("shutting down", 91), Outage.UNAVAILABLE),
        (OperationFailure("stepped down", 189), Outage.UNAVAILABLE),
        (WriteConcernError("shutting down", 91), Outage.UNAVAILABLE),
        (BucketUnavailable("503"), Outage.UNAVAILABLE),
        (OSError(errno.EMFILE, "Too many open files"), Outage.UNAVAILABLE),
        (BucketFull("507"), Outage.INSUFFICIENT_STORAGE),
        (OperationFailure("disk full", 14031), Outage.INSUFFICIENT_STORAGE),
        (BulkWriteError({"writeErrors": [{"index": 0, "code": 14031}]}), Outage.INSUFFICIENT_STORAGE),
        (BulkWriteError({"writeErrors": [{"index": 0, "code": 11000}]}), None),
        (OSError(errno.ENOENT, "No such file"), None),
        (ExecutionTimeout("operation exceeded time limit", 50), Outage.TIMEOUT),
        (NetworkTimeout("timed out"), Outage.TIMEOUT),
        (WaitQueueTimeoutError("no connection is free"), Outage.TIMEOUT),
        (WTimeoutError("the majority is slow", 64), Outage.TIMEOUT),
        (labelled(112, "TransientTransactionError"), Outage.TIMEOUT),
        (labelled(112), None),
        (DuplicateKeyError("twice", 11000), None),
        (OperationFailure("unknown operator", 2), None),
        (InvalidOperation("closed"), None),
        (BucketError("no credentials"), None),
        (ValueError("ours"), None),
    ],
    ids=str,
)
def test_a_failure_is_an_outage_a_timeout_or_ours(error: Exception, outage: Outage | None) -> None:
    assert outage_of(error) is outage
