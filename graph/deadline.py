"""How long a request may wait for the database."""

from dataclasses import dataclass

import pymongo
from starlette.types import ASGIApp, Receive, Scope, Send

REQUEST_WITHIN = 10.0
"""Seconds for all that a request asks of the database, and whatever is tried again."""


@dataclass
class Deadline:
    """Middleware: `seconds` after its beginning an HTTP request gets no more from the database, only an error.

    The driver by itself would repeat a transaction for two minutes while the database is away. POST /graphql does not
    come by here, because a plan may take as long as its reads are answered. WebSockets stay open; `Streams` gives each
    of their results as long.
    """

    app: ASGIApp
    seconds: float

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        with pymongo.timeout(self.seconds):
            await self.app(scope, receive, send)
