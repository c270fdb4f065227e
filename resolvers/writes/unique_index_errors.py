"""Unordered writes of which some documents may exist already."""

from typing import Any

from pymongo.errors import BulkWriteError

DUPLICATE_KEY = 11000


def duplicates_in(error: BulkWriteError) -> list[dict[str, Any]]:
    """The duplicate-key errors, one for each document that existed. Raises the error when it has any other cause."""
    failed: list[dict[str, Any]] = error.details["writeErrors"]
    if error.details["writeConcernErrors"] or any(one["code"] != DUPLICATE_KEY for one in failed):
        raise error
    return failed
