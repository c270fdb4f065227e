"""Unordered writes of which some documents may exist already."""

from typing import Any

from pymongo.errors import BulkWriteError

DUPLICATE_KEY = 11000


def duplicate_key_errors(error: BulkWriteError) -> list[dict[str, Any]]:
    """The duplicate-key errors, one for each document that existed. Raises the error when it has any other cause."""
    write_errors: list[dict[str, Any]] = error.details["writeErrors"]
    if error.details["writeConcernErrors"] or any(write_error["code"] != DUPLICATE_KEY for write_error in write_errors):
        raise error
    return write_errors
