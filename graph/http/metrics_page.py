"""The page of metrics in Prometheus' text format, at /metrics or on a port of its own."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from graph.engine.error_masking import refusal_errors
from graph.errors import HTTPError, unauthenticated
from graph.http.media_types import JSON
from graph.http.response import json_response
from graph.metrics.exposition import CONTENT_TYPE, exposition
from graph.metrics.registry import Metrics
from resolvers.access.viewer import Role
from resolvers.reads.loaders import RequestLoader

FORBIDDEN = "Only administrators may read the metrics here."
NO_STORE = {"Cache-Control": "no-store"}


@dataclass
class MetricsPage:
    """Answers with the metrics of the whole server; with `make_context`, administrators alone."""

    metrics: Metrics
    make_context: Callable[[str | None], Awaitable[object]] | None = None

    async def __call__(self, request: Request) -> Response:
        try:
            await self._check_administrator(request)
        except HTTPError as error:
            return json_response({"errors": refusal_errors(error)}, JSON, error.status, error.headers)
        families = await self.metrics.snapshots_of_server()
        return Response(exposition(families), media_type=CONTENT_TYPE, headers=NO_STORE)

    async def _check_administrator(self, request: Request) -> None:
        """Raise HTTPError unless the caller may read the metrics."""
        if self.make_context is None:
            return
        context = await self.make_context(request.headers.get("authorization"))
        loader: RequestLoader | None = getattr(context, "loader", None)
        role = Role.ANONYMOUS if loader is None else loader.viewer.role
        if role is Role.ANONYMOUS:
            raise unauthenticated(FORBIDDEN)
        if role is not Role.ADMIN:
            raise HTTPError(403, FORBIDDEN, "FORBIDDEN")


def metrics_app(metrics: Metrics) -> Starlette:
    """The application of a port that serves nothing but /metrics, to everybody who can reach it."""
    return Starlette(routes=[Route("/metrics", MetricsPage(metrics).__call__, methods=["GET"])])
