"""The published CSV-W documents, byte for byte, and redirects to the newest ones.

    GET /distributions/<distribution id>/csvw
    GET /datasets/<dataset id>/latest
    GET /resources/<resource id>/datasets/<identifier>/latest

Access is as in the schema: a document that the caller may not see is answered with 404.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

import documents
from graph.core.fields import node_document
from graph.engine.admission import Admission
from graph.engine.error_masking import refusal_errors
from graph.errors import UNAVAILABLE, HTTPError, Overloaded
from graph.http.graphql import MakeContext
from graph.http.media_types import JSON
from graph.http.operation_executor import is_signed_in
from graph.http.quotas import count_request
from graph.http.response import RETRY_SOON, json_response
from resolvers.access.viewer import Viewer
from resolvers.catalogue.distribution import (
    ServedDocument,
    csvw_path,
    find_dataset_id,
    newest_distribution,
    served_document,
)

MEDIA_TYPE = "application/csvm+json"
"""The media type of metadata documents: https://www.w3.org/TR/tabular-metadata/#iana-considerations."""
MAX_AGE = 86_400
"""Seconds that caches may keep a public document, which never changes but may be withdrawn."""
PRIVATE = "private, no-store"
ENTITY_TAG = re.compile(r'(?:W/)?("[^"]*")')
"""An entity tag by RFC 9110, section 8.8.3."""
NOT_FOUND = "NOT_FOUND"

Respond = Callable[[Request, Viewer], Awaitable[Response]]


@dataclass
class CsvwDocuments:
    """Answers GET and HEAD for documents."""

    make_context: MakeContext
    admission: Admission
    why_closed: Callable[[], str | None]
    """The reason why no new request is answered, None when there is none."""

    def routes(self) -> Sequence[BaseRoute]:
        """The routes of documents."""
        endpoints: dict[str, Respond] = {
            "/distributions/{id}/csvw": _document,
            "/datasets/{id}/latest": _redirect_by_id,
            "/resources/{id}/datasets/{identifier:path}/latest": _redirect_by_identifier,
        }
        return [Route(path, partial(self._answer, respond), methods=["GET"]) for path, respond in endpoints.items()]

    async def _answer(self, respond: Respond, request: Request) -> Response:
        """The response, or JSON with the reason why there is none."""
        try:
            if reason := self.why_closed():
                raise HTTPError(503, reason, UNAVAILABLE, RETRY_SOON)
            context = await self.make_context(request.headers.get("authorization"))
            loader = context.loader  # type: ignore[attr-defined]
            await count_request(loader.viewer)
            read = partial(respond, request, loader.viewer)
            return await (read() if is_signed_in(loader) else self.admission.run_point_read(read))
        except HTTPError as error:
            if isinstance(error, Overloaded):
                await self.admission.delay_refusal(error.reason)
            return json_response({"errors": refusal_errors(error)}, JSON, error.status, error.headers)


async def _document(request: Request, viewer: Viewer) -> Response:
    id = request.path_params["id"]
    served = await served_document(id, viewer) if node_document(id) is documents.Distribution else None
    if served is None:
        raise HTTPError(404, "There is no distribution with this id that you may see.", NOT_FOUND)
    headers = _headers(served)
    if _has_already(request.headers.get("if-none-match", ""), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(served.content, media_type=MEDIA_TYPE, headers=headers)


def _headers(served: ServedDocument) -> dict[str, str]:
    return {
        "ETag": f'"{served.sha256}"',
        "Cache-Control": f"public, max-age={MAX_AGE}" if served.public else PRIVATE,
        # A script in a document must not run as if it came from this server.
        "Content-Security-Policy": "sandbox",
    }


def _has_already(if_none_match: str, entity_tag: str) -> bool:
    """Whether the client has the current document, by RFC 9110, section 13.1.2."""
    return if_none_match.strip() == "*" or entity_tag in ENTITY_TAG.findall(if_none_match)


async def _redirect_by_id(request: Request, viewer: Viewer) -> Response:
    return await _redirect_to_newest(request.path_params["id"], viewer)


async def _redirect_by_identifier(request: Request, viewer: Viewer) -> Response:
    id, identifier = request.path_params["id"], request.path_params["identifier"]
    named = await find_dataset_id(id, identifier, viewer) if node_document(id) is documents.Resource else None
    return await _redirect_to_newest(named or "", viewer)


async def _redirect_to_newest(dataset_id: str, viewer: Viewer) -> Response:
    newest = await newest_distribution(dataset_id, viewer) if node_document(dataset_id) is documents.Dataset else None
    if newest is None:
        raise HTTPError(404, "There is no such dataset with a version that you may see.", NOT_FOUND)
    cache = "no-cache" if newest.public else PRIVATE
    return RedirectResponse(csvw_path(newest.id), 307, headers={"Cache-Control": cache})
