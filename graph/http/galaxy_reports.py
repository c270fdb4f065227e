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
from graph.engine.error_masking import outage_message, outage_status
from graph.errors import HTTPError
from graph.http.content_encoding import IDENTITY_ONLY
from graph.http.multipart import MultipartError, MultipartReader
from graph.http.request import BodyTimeout, stream_body
from resolvers.galaxy.instance import authenticate
from resolvers.galaxy.receive_report import MAX_REPORT_BYTES, receive_report, reports_of
from resolvers.outage_log import count_outage
from resolvers.reads.rows import Row
from resolvers.user_errors import AlreadyExists, ChecksumMismatch, InvalidInput, LimitExceeded, NotFound, Refusal

PREFIXES = ("", "/grt", "/grt-admin")
"""Paths of the previous server, so that the configuration of Galaxy servers may stay as it is."""
FORM_OVERHEAD_BYTES = 2_000_000
"""Bytes of a body besides its archive."""
GRACE_PERIOD, MIN_BYTES_PER_SECOND = 60.0, 1_000
"""Seconds after which a body must have arrived at so many bytes per second."""
STATUS: dict[type[Refusal], int] = {
    AlreadyExists: 409,
    ChecksumMismatch: 400,
    InvalidInput: 400,
    LimitExceeded: 413,
    NotFound: 401,
}
AUTHENTICATE_HEADER = {"WWW-Authenticate": 'Instance realm="uuid:key"'}

T = TypeVar("T")
Endpoint = Callable[[Request], Awaitable[Response]]


def report_routes() -> Sequence[BaseRoute]:
    """The routes for servers that report, with and without a trailing slash."""
    endpoints = {"/api/whoami": _whoami, "/api/v2/upload": _upload}
    return [
        Route(prefix + path + slash, _with_json_errors(endpoint), methods=["POST"])
        for prefix in PREFIXES
        for path, endpoint in endpoints.items()
        for slash in ("", "/")
    ]


def _with_json_errors(endpoint: Endpoint) -> Endpoint:
    """The endpoint, with errors as JSON."""

    async def respond(request: Request) -> Response:
        try:
            return await endpoint(request)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:
            http_error = _http_error(error)
            if http_error is None:
                raise
            body = {"state": "error", "message": http_error.message}
            return JSONResponse(body, http_error.status, http_error.headers)

    return respond


def _http_error(error: Exception) -> HTTPError | None:
    """The error as the uploader sees it; None for one that is not expected."""
    match error:
        case HTTPError():
            return error
        case Refusal():
            return HTTPError(STATUS.get(type(error), 400), error.message)
        case MultipartError():
            return HTTPError(400, str(error))
    if outage := outage_of(error):
        count_outage("reports were not taken", error, outage)
        headers = {"Retry-After": "10"}
        return HTTPError(outage_status(outage), outage_message(outage, error), headers=headers)
    return None


async def _whoami(request: Request) -> Response:
    instance = await _instance(request)
    reports = await reports_of(instance["_id"])
    # The uploader sends reports that are not in `uploaded_reports`; `reports` also shows whether the bytes are the
    # same.
    hashes = {identifier: f"sha256:{sha256}" for identifier, sha256 in reports.items()}
    return JSONResponse({"galaxy": instance["title"], "uploaded_reports": list(reports), "reports": hashes})


async def _upload(request: Request) -> Response:
    """200 when the report is stored, 202 when this release cannot read it; the same for each repetition."""
    instance = await _instance(request)
    bucket = current_bucket()
    if bucket is None:
        raise HTTPError(503, "This server stores no files: PROVENANCE_BUCKET is not set.")
    parts = MultipartReader(_content_type(request), stream_upload(request))
    fields = ((part.name, part.chunks()) async for part in parts)
    return _archive_response(await _with_fresh_deadline(receive_report(instance["_id"], bucket, fields)))


def _archive_response(archive: Row) -> Response:
    facts = {name: archive[name] for name in ("identifier", "sha256", "quarantine")} | {"id": archive["_id"]}
    if archive["quarantine"]:
        message = f"Kept, but not read by this release: {archive['quarantine']}"
        return JSONResponse({"state": "quarantined", "message": message, "archive": facts}, 202)
    return JSONResponse({"state": "ok", "message": f"Report {archive['identifier']} is kept.", "archive": facts})


async def _instance(request: Request) -> Row:
    uuid, _, key = request.headers.get("authorization", "").strip().partition(":")
    instance = await authenticate(uuid, key)
    if instance is None:
        message = "Bad authentication credentials: send Authorization: <uuid>:<key>."
        raise HTTPError(401, message, headers=AUTHENTICATE_HEADER)
    return instance


def _content_type(request: Request) -> str:
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPError(415, "Send the body as it is, without a Content-Encoding.", headers=IDENTITY_ONLY)
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) > MAX_REPORT_BYTES + FORM_OVERHEAD_BYTES:
        raise _too_large()
    return request.headers.get("content-type", "")


async def stream_upload(request: Request) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises HTTPError when it is too long, or arrives too slowly."""
    began, size = time.monotonic(), 0
    try:
        async for chunk in stream_body(request):
            size += len(chunk)
            if size > MAX_REPORT_BYTES + FORM_OVERHEAD_BYTES:
                raise _too_large()
            passed = time.monotonic() - began
            if passed > GRACE_PERIOD and size < passed * MIN_BYTES_PER_SECOND:
                raise HTTPError(408, f"The body arrives at less than {MIN_BYTES_PER_SECOND:,} bytes per second.")
            yield chunk
    except BodyTimeout as error:
        raise HTTPError(408, str(error)) from None


def _too_large() -> HTTPError:
    return HTTPError(413, f"A report has at most {MAX_REPORT_BYTES:,} bytes.")


async def _with_fresh_deadline(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, without the request's deadline, which has passed when a long body has arrived."""
    context = Context()
    context.run(logs.request_id.set, logs.request_id.get())
    return await asyncio.get_running_loop().create_task(work, context=context)
