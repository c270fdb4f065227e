"""Read-only mode: requests that would write are refused before anything of them is read."""

from dataclasses import dataclass

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from graph.engine.error_masking import refusal_errors
from graph.errors import ReadOnly
from graph.http.galaxy_reports import PREFIXES
from graph.http.request import SAFE_METHODS

READING_POSTS = frozenset({"/graphql", *(f"{prefix}/api/whoami" for prefix in PREFIXES)})
"""Paths whose POST requests may only read. Mutations are refused where operations are run."""


@dataclass
class ReadOnlyMiddleware:
    """Middleware: answers 503 with the code READ_ONLY to uploads, reports and notifications of files.

    All methods that may write are refused, unless the path is known to read. Uploaders of reports show `message`.
    """

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _may_write(scope):
            await self.app(scope, receive, send)
            return
        error = ReadOnly()
        body = {"errors": refusal_errors(error), "state": "error", "message": error.message}
        response = JSONResponse(body, error.status, error.headers | {"Cache-Control": "no-store"})
        await response(scope, receive, send)


def _may_write(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] in (*SAFE_METHODS, "OPTIONS"):
        return False
    return scope["method"] != "POST" or scope["path"].removesuffix("/") not in READING_POSTS
