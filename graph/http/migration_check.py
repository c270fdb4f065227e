"""The check of the schema version: the server refuses all requests while the database is at another version."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pymongo
import structlog
from pymongo.errors import PyMongoError
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from documents.migrations import SchemaError, schema_problem
from documents.mongo.database import Database
from graph.engine.error_masking import refusal_errors
from graph.errors import UNAVAILABLE, PublicError
from graph.graphiql.html import ASSETS
from graph.http.media_types import accepts_html
from graph.http.response import RETRY_SOON

CHECK_INTERVAL = 3.0
"""Seconds between two checks of a database that cannot be used."""
CHECK_TIMEOUT = 10.0
ALWAYS_ANSWERED = ("/livez", "/readyz", "/metrics")
PAGES = ("/", "/graphql")

log = structlog.stdlib.get_logger("graph.migration_check")
SetUnready = Callable[[str | None], None]
"""Receives the reason why no request may be answered, None once there is none."""


@asynccontextmanager
async def run_migration_check(database: Database, set_unready: SetUnready) -> AsyncIterator[None]:
    """Check the database before the block begins and, while it cannot be used, every few seconds within it."""
    problem = await _check(database, None, set_unready)
    task = asyncio.create_task(_check_until_current(database, problem, set_unready), name="migration-check")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _check_until_current(database: Database, problem: str | None, set_unready: SetUnready) -> None:
    while problem:
        await asyncio.sleep(CHECK_INTERVAL)
        problem = await _check(database, problem, set_unready)


async def _check(database: Database, before: str | None, set_unready: SetUnready) -> str | None:
    """Pass on to `set_unready` why the database cannot be used, log changes, and return the reason."""
    try:
        with pymongo.timeout(CHECK_TIMEOUT):
            problem = await schema_problem(database)
    except PyMongoError as error:
        problem = f"The database's schema version cannot be read: {type(error).__name__}."
    except SchemaError as error:
        problem = str(error)
    set_unready(problem)
    if problem and problem != before:
        log.error("not ready", reason=problem)
    elif before and not problem:
        log.info("ready: the database is at this release's schema version")
    return problem


@dataclass
class ReadinessMiddleware:
    """Middleware: answers 503 with the reason while there is one, except for health checks and metrics.

    GraphiQL's page reads no data, so it is served, and shows the reason.
    """

    app: ASGIApp
    reason: Callable[[], str | None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reason = self.reason()
        if reason is None or scope["type"] == "lifespan" or scope["path"] in ALWAYS_ANSWERED or _is_page(scope):
            await self.app(scope, receive, send)
            return
        errors = refusal_errors(PublicError(reason, UNAVAILABLE))
        response = JSONResponse({"errors": errors}, 503, RETRY_SOON | {"Cache-Control": "no-store"})
        if scope["type"] == "websocket":
            await WebSocket(scope, receive, send).send_denial_response(response)
        else:
            await response(scope, receive, send)


def _is_page(scope: Scope) -> bool:
    """Whether a request is for GraphiQL's page or a file that it loads."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    path = scope["path"]
    opens = path in PAGES and not scope["query_string"] and accepts_html(dict(scope["headers"]).get(b"accept"))
    return opens or path.startswith(f"{ASSETS}/")
