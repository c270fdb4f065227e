"""The opening handshake of a WebSocket, whose refusals have the form of all errors."""

from websockets.datastructures import Headers
from websockets.http11 import Response
from websockets.server import ServerProtocol
from websockets.typing import StatusLike

from graph import logs
from graph.engine.error_masking import refusal_errors
from graph.engine.plan.json_output import dumps
from graph.errors import HTTPError

NOT_HERE = "This page may not open a WebSocket at this address."


class Handshake(ServerProtocol):
    """One side of a WebSocket."""

    def reject(self, status: StatusLike, text: str) -> Response:
        """The response to a refused handshake. Without a text, the application closed the WebSocket unopened."""
        plain = super().reject(status, text)
        refusal = HTTPError(plain.status_code, text.strip() or NOT_HERE)
        body = dumps({"errors": refusal_errors(refusal)})
        headers = Headers(plain.headers)
        for name in ("Content-Length", "Content-Type"):
            del headers[name]
        headers.update({"Content-Type": "application/json; charset=utf-8", "Content-Length": str(len(body))})
        headers["Cache-Control"], headers["X-Content-Type-Options"] = "no-store", "nosniff"
        if id := logs.request_id.get():
            headers["X-Request-Id"] = id
        return Response(plain.status_code, plain.reason_phrase, headers, body)
