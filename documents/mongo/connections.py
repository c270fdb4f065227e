"""The connections of a client, where the driver's private names tell them."""

from typing import Any

from pymongo import AsyncMongoClient

from documents.private_apis import POOL


def connection_counts(client: AsyncMongoClient[dict[str, Any]]) -> dict[str, int]:
    """The connections that are `checked_out` and `idle`, and the tasks `waiting` for one; empty where unknown."""
    if POOL.problem is not None:
        return {}
    from documents.mongo import pool

    return pool.connection_counts(client)
