"""The time that a request may wait for the database."""

from dataclasses import dataclass

import pymongo
from starlette.types import ASGIApp, Receive, Scope, Send


@dataclass
class DatabaseTimeoutMiddleware:
    """Middleware: `seconds` after an HTTP request began, its database calls fail.

    PyMongo by itself would retry a transaction for two minutes while the database is down. POST /graphql does not pass
    through here, because the time of a plan begins when it is admitted. WebSockets stay open; `OperationRunner` gives
    each of their results the same time.
    """

    app: ASGIApp
    seconds: float

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        with pymongo.timeout(self.seconds):
            await self.app(scope, receive, send)
