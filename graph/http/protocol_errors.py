"""Responses to requests that the protocol refuses: formatted, counted and logged like all others."""

from collections.abc import Awaitable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from graph.engine.error_masking import refusal_errors
from graph.errors import HTTP_ERROR_KEY, HTTPError
from graph.http.media_types import JSON
from graph.http.middleware import RequestInstrumentation, ResponseState
from graph.http.response import json_response
from graph.metrics.registry import Metrics


@dataclass
class ProtocolErrorEndpoint:
    """Answers a request with the error in its scope."""

    instrumentation: RequestInstrumentation
    metrics: Metrics

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self.instrumentation.handle(self._answer, scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, state: ResponseState) -> None:
        error: HTTPError = scope["extensions"][HTTP_ERROR_KEY]
        if scope["path"] == "/graphql":
            self.metrics.count_refusal(error.code)
        response = json_response({"errors": refusal_errors(error)}, JSON, error.status, error.headers)
        response.raw_headers = state.start_response(response.status_code, response.raw_headers)
        await response(scope, receive, send)


def with_cors(cors: CORSMiddleware) -> ASGIApp:
    """The app behind CORS, so that pages of allowed origins can read the error; a preflight is refused too."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if "origin" in headers:
            await cors.simple_response(scope, receive, send, headers)
        else:
            await cors.app(scope, receive, send)

    return answer
