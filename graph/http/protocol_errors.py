"""Responses to requests that the protocol refuses: formatted, counted and logged like all others."""

from collections.abc import Awaitable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from graph.errors import REFUSAL, HTTPError, refusal_errors
from graph.http.graphql import write
from graph.http.media_types import JSON
from graph.http.metrics import Metrics
from graph.http.middleware import Answering, RequestInstrumentation


@dataclass
class Refusing:
    """Answers a request with the refusal in its scope."""

    instrumentation: RequestInstrumentation
    metrics: Metrics

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self.instrumentation.handle(self._answer, scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, answering: Answering) -> None:
        refusal: HTTPError = scope["extensions"][REFUSAL]
        if scope["path"] == "/graphql":
            self.metrics.refused(refusal.code)
        response = write({"errors": refusal_errors(refusal)}, JSON, refusal.status, refusal.headers)
        response.raw_headers = answering.begin(response.status_code, response.raw_headers)
        await response(scope, receive, send)


def refusing_across(cors: CORSMiddleware) -> ASGIApp:
    """The app behind CORS, so that pages of allowed origins can read the refusal; a preflight is refused too."""

    async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if "origin" in headers:
            await cors.simple_response(scope, receive, send, headers)
        else:
            await cors.app(scope, receive, send)

    return refusing
