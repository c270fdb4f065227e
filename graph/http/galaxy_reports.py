"""`POST /api/whoami` and `POST /api/v2/upload`: the API of the uploader that Galaxy servers run.

Its header `Authorization: <uuid>:<key>` has no scheme. The uploader takes a status below 400 for success, reads JSON,
and repeats a redirected POST as a GET, so these routes never redirect.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextvars import Context
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from documents.outage import outage_of
from documents.storage.bucket import current_bucket
from graph import logs
from graph.errors import outage_message, outage_status
from graph.http.content_encoding import AS_IT_IS
from graph.http.multipart import Malformed, Parts
from graph.http.request import Silent, chunks_of
from resolvers.galaxy.instance import authenticated
from resolvers.galaxy.receive_report import MAX_REPORT_BYTES, receive_report, reports_of
from resolvers.outage_log import count_outage
from resolvers.reads.rows import Row
from resolvers.user_errors import AlreadyExists, ChecksumMismatch, InvalidInput, LimitExceeded, NotFound, Refusal

PREFIXES = ("", "/grt", "/grt-admin")
"""Paths of the previous server, so that the configuration of Galaxy servers may stay as it is."""
AROUND = 2_000_000
"""Bytes of a body besides its archive."""
GRACE, SLOWEST = 60.0, 1_000
"""Seconds after which a body must have arrived at so many bytes per second."""
STATUS: dict[type[Refusal], int] = {
    AlreadyExists: 409,
    ChecksumMismatch: 400,
    InvalidInput: 400,
    LimitExceeded: 413,
    NotFound: 401,
}
SCHEME = {"WWW-Authenticate": 'Instance realm="uuid:key"'}

T = TypeVar("T")


class HTTPError(Exception):
    """A response other than success."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}


def report_routes() -> Sequence[BaseRoute]:
    """The routes for servers that report, with and without a trailing slash."""
    asked = {"/api/whoami": _whoami, "/api/v2/upload": _upload}
    return [
        Route(prefix + path + slash, _answering(answer), methods=["POST"])
        for prefix in PREFIXES
        for path, answer in asked.items()
        for slash in ("", "/")
    ]


def _answering(answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """The handler, with errors as JSON."""

    async def answered(request: Request) -> Response:
        try:
            return await answer(request)
        except HTTPError as error:
            refused = error
        except ClientDisconnect:
            return Response(status_code=400)
        except Refusal as error:
            refused = HTTPError(STATUS.get(type(error), 400), error.message)
        except Malformed as error:
            refused = HTTPError(400, str(error))
        except Exception as error:
            outage = outage_of(error)
            if outage is None:
                raise
            count_outage("reports were not taken", error, outage)
            refused = HTTPError(outage_status(outage), outage_message(outage, error), {"Retry-After": "10"})
        return JSONResponse({"state": "error", "message": refused.message}, refused.status, refused.headers)

    return answered


async def _whoami(request: Request) -> Response:
    instance = await _instance(request)
    reports = await reports_of(instance["_id"])
    # The uploader sends reports that are not in `uploaded_reports`; `reports` also shows whether the bytes are the
    # same.
    told = {identifier: f"sha256:{sha256}" for identifier, sha256 in reports.items()}
    return JSONResponse({"galaxy": instance["title"], "uploaded_reports": list(reports), "reports": told})


async def _upload(request: Request) -> Response:
    """200 when the report is stored, 202 when this release cannot read it; the same for each repetition."""
    instance = await _instance(request)
    bucket = current_bucket()
    if bucket is None:
        raise HTTPError(503, "This server stores no files: PROVENANCE_BUCKET is not set.")
    parts = Parts(_content_type(request), arriving(request))
    fields = ((part.name, part.chunks()) async for part in parts)
    return _told(await _afresh(receive_report(instance["_id"], bucket, fields)))


def _told(archive: Row) -> Response:
    kept = {name: archive[name] for name in ("identifier", "sha256", "quarantine")} | {"id": archive["_id"]}
    if archive["quarantine"]:
        message = f"Kept, but not read by this release: {archive['quarantine']}"
        return JSONResponse({"state": "quarantined", "message": message, "archive": kept}, 202)
    return JSONResponse({"state": "ok", "message": f"Report {archive['identifier']} is kept.", "archive": kept})


async def _instance(request: Request) -> Row:
    uuid, _, key = request.headers.get("authorization", "").strip().partition(":")
    instance = await authenticated(uuid, key)
    if instance is None:
        raise HTTPError(401, "Bad authentication credentials: send Authorization: <uuid>:<key>.", SCHEME)
    return instance


def _content_type(request: Request) -> str:
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPError(415, "Send the body as it is, without a Content-Encoding.", AS_IT_IS)
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced[:20]) > MAX_REPORT_BYTES + AROUND:
        raise _too_large()
    return request.headers.get("content-type", "")


async def arriving(request: Request) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises HTTPError when it is too long, or arrives too slowly."""
    began, size = time.monotonic(), 0
    try:
        async for chunk in chunks_of(request):
            size += len(chunk)
            if size > MAX_REPORT_BYTES + AROUND:
                raise _too_large()
            passed = time.monotonic() - began
            if passed > GRACE and size < passed * SLOWEST:
                raise HTTPError(408, f"The body arrives at less than {SLOWEST:,} bytes per second.")
            yield chunk
    except Silent as silent:
        raise HTTPError(408, str(silent)) from None


def _too_large() -> HTTPError:
    return HTTPError(413, f"A report has at most {MAX_REPORT_BYTES:,} bytes.")


async def _afresh(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, without the request's deadline, which has passed when a long body has arrived."""
    context = Context()
    context.run(logs.request_id.set, logs.request_id.get())
    return await asyncio.get_running_loop().create_task(work, context=context)
