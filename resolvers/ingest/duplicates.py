"""Unordered writes in which some documents may be there already."""

from typing import Any

from pymongo.errors import BulkWriteError

DUPLICATE_KEY = 11000


def duplicates_in(error: BulkWriteError) -> list[dict[str, Any]]:
    """What the database says of each document that was there. Raises the error when anything else is in it."""
    failed: list[dict[str, Any]] = error.details["writeErrors"]
    if error.details["writeConcernErrors"] or any(one["code"] != DUPLICATE_KEY for one in failed):
        raise error
    return failed
