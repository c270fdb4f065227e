"""The server's public origin, such as `https://graph.example`: the beginning of the URLs that it signs itself."""

from starlette.datastructures import URL
from starlette.types import ASGIApp, Receive, Scope, Send

from documents.storage.bucket import public_origin


class PublicOriginMiddleware:
    """Middleware: makes the server's public origin known to code that signs URLs."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            set_public_origin(scope)
        await self.app(scope, receive, send)


def set_public_origin(scope: Scope) -> None:
    """Set the public origin for URLs signed in this request, which has its own task."""
    # Computed on demand, since few requests sign URLs.
    public_origin.set(lambda: _origin(scope))


def _origin(scope: Scope) -> str:
    url = URL(scope=scope)
    scheme = {"ws": "http", "wss": "https"}.get(url.scheme, url.scheme)
    return f"{scheme}://{url.netloc}"
