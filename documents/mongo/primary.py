"""A client that fails fast: it waits for seconds at most for a primary that hangs, and for the election of the next."""

from typing import Any

from pymongo import AsyncMongoClient

from documents.private_apis import POOL, TOPOLOGY

SERVER_TIMEOUTS = {"serverSelectionTimeoutMS": 5000, "heartbeatFrequencyMS": 1000, "connectTimeoutMS": 3000}
"""The driver's defaults are 30, 10 and 20 s. A server that is silent for the sum of the last two is taken for lost."""


class FailFastClient(AsyncMongoClient[dict[str, Any]]):
    """A client with a topology that fails fast, where the driver's private names allow it."""

    def _init_background(self, old_pid: int | None = None) -> None:
        super()._init_background(old_pid)
        if TOPOLOGY.problem is None and POOL.problem is None:
            from documents.mongo.topology import FailFastTopology

            self._topology.__class__ = FailFastTopology
