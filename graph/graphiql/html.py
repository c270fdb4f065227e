"""The page of GraphiQL and the files it loads. Nothing in it comes from, or contacts, another host."""

import gzip
import hashlib
import html
import json
import secrets
from functools import cache
from pathlib import Path
from string import Template

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

HERE = Path(__file__).parent
ASSETS = "/graphiql/assets"
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def page(request: Request) -> HTMLResponse:
    """The response to a browser at `GET /` or `GET /graphql`: the page, with its own nonce and policy."""
    nonce = secrets.token_urlsafe(18)
    root = str(request.scope.get("root_path", "")).rstrip("/")
    content = render(nonce=nonce, endpoint=f"{root}/graphql", assets=f"{root}{ASSETS}")
    return HTMLResponse(
        content,
        headers={
            "Content-Security-Policy": content_security_policy(nonce),
            "Cache-Control": "no-store",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "Vary": "Accept",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        },
    )


def render(
    *, nonce: str, endpoint: str = "/graphql", subscription_endpoint: str | None = None, assets: str = ASSETS
) -> str:
    """The page as HTML, whose scripts run under the nonce. Subscriptions go to the endpoint unless set otherwise."""
    settings = {
        "endpoint": endpoint,
        "subscriptionEndpoint": subscription_endpoint or endpoint,
        "tabs": example_queries(),
    }
    return _template().substitute(
        nonce=html.escape(nonce),
        endpoint=html.escape(endpoint),
        assets=html.escape(f"{assets}/{_version()}"),
        # A `<` inside a script element could end it; as an escape it stays JSON and means the same.
        settings=json.dumps(settings).replace("<", "\\u003c"),
    )


def content_security_policy(nonce: str) -> str:
    """The policy for a page with that nonce: only the page's own scripts, and no host but this one."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' 'nonce-{nonce}'",
            # The menus and dialogs of GraphiQL lock scrolling through style elements that carry no nonce.
            "style-src 'self' 'unsafe-inline'",
            "connect-src 'self'",
            "img-src 'self' data:",
            "font-src 'self' data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def example_queries() -> list[dict[str, str]]:
    """The example queries that a first visit opens as tabs, in order, each with its variables if it has some."""
    tabs = []
    for file in sorted((HERE / "queries").glob("*.graphql")):
        tab = {"query": file.read_text(encoding="utf-8")}
        variables = file.with_suffix(".json")
        if variables.exists():
            tab["variables"] = variables.read_text(encoding="utf-8")
        tabs.append(tab)
    return tabs


def routes() -> list[BaseRoute]:
    """The routes of the files that the page loads. Their address changes whenever a file does."""
    return [Route(ASSETS + "/{version}/{name}", _asset, name="graphiql-asset")]


async def _asset(request: Request) -> Response:
    file = _files().get(request.path_params["name"])
    if file is None or request.path_params["version"] != _version():
        return PlainTextResponse("Not found", status_code=404, headers={"X-Content-Type-Options": "nosniff"})
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable",
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
    media_type = MEDIA_TYPES[file.suffix]
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(await run_in_threadpool(file.read_bytes), media_type=media_type, headers=headers)
    headers["Content-Encoding"] = "gzip"
    # Compressing GraphiQL's 3.5 MB takes long enough to block other requests, so a thread does it, once.
    return Response(await run_in_threadpool(_gzip, file), media_type=media_type, headers=headers)


@cache
def _gzip(file: Path) -> bytes:
    return gzip.compress(file.read_bytes(), compresslevel=6, mtime=0)


@cache
def _files() -> dict[str, Path]:
    folders = (HERE / "assets", HERE / "web")
    return {file.name: file for folder in folders for file in sorted(folder.iterdir()) if file.suffix in MEDIA_TYPES}


@cache
def _version() -> str:
    """A digest of all the files, so that the content at an address never changes."""
    digest = hashlib.sha256()
    for name, file in sorted(_files().items()):
        digest.update(name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@cache
def _template() -> Template:
    return Template((HERE / "web" / "page.html").read_text(encoding="utf-8"))
