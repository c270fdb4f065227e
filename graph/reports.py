"""`POST /api/whoami` and `POST /api/v2/upload`: what the uploader that Galaxy servers run asks, as it asks it.

Its header `Authorization: <uuid>:<key>` names no scheme. It takes a status below 400 for success, reads JSON, and
repeats a POST that is redirected as a GET: so nothing here is ever redirected.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextvars import Context
from typing import Any, TypeVar

import structlog
from pymongo.errors import PyMongoError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from documents.bucket import Bucket, the_bucket
from documents.upload import Upload
from graph import logs
from graph.multipart import Malformed, Part, Parts, TooLong
from graph.request import Silent, chunks_of
from resolvers.archive import Report
from resolvers.fetch import Row
from resolvers.instance import authenticated
from resolvers.refusals import AlreadyExists, ChecksumMismatch, InvalidInput, LimitExceeded, NotFound, Refusal
from resolvers.report_metadata import LARGEST, Metadata, an_identifier, read_metadata
from resolvers.reports import MOST_BYTES, dropped, expected, registered, reports_of, stored

PREFIXES = ("", "/grt", "/grt-admin")
"""Where the server that was here before this one answered: what is set on Galaxy servers may stay as it is."""
LONGEST_IDENTIFIER = 100
AROUND = 2_000_000
"""Bytes of a body beside those of its archive."""
GRACE, SLOWEST = 60.0, 1_000
"""After so many seconds a body must have come at so many bytes a second."""
DRAINED, DRAINED_WITHIN = 1_000_000, 5.0
"""How much of a refused body is read, so that its sender comes to read the answer."""
STATUS: dict[type[Refusal], int] = {
    AlreadyExists: 409,
    ChecksumMismatch: 400,
    InvalidInput: 400,
    LimitExceeded: 413,
    NotFound: 401,
}
SCHEME = {"WWW-Authenticate": 'Instance realm="uuid:key"'}

T = TypeVar("T")
log = structlog.stdlib.get_logger("graph.reports")


class Refused(Exception):
    """An answer other than success."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}


def report_routes() -> Sequence[BaseRoute]:
    """The addresses for servers that report, with and without a slash at the end."""
    asked = {"/api/whoami": _whoami, "/api/v2/upload": _upload}
    return [
        Route(prefix + path + slash, _answering(answer), methods=["POST"])
        for prefix in PREFIXES
        for path, answer in asked.items()
        for slash in ("", "/")
    ]


def _answering(answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """The answer, or JSON that says why there is none, once the rest of the body was read or given up."""

    async def answered(request: Request) -> Response:
        try:
            return await answer(request)
        except Refused as error:
            refused = error
        except ClientDisconnect:
            return Response(status_code=400)
        except Refusal as error:
            refused = Refused(STATUS.get(type(error), 400), error.message)
        except Malformed as error:
            refused = Refused(413 if isinstance(error, TooLong) else 400, str(error))
        except PyMongoError as error:
            log.warning("a report was not taken", reason=type(error).__name__)
            refused = Refused(503, "The database cannot be used at the moment.", {"Retry-After": "60"})
        whole = await _drained(request)
        closing = {} if whole else {"Connection": "close"}
        body = {"state": "error", "message": refused.message}
        return JSONResponse(body, refused.status, refused.headers | closing)

    return answered


async def _whoami(request: Request) -> Response:
    instance = await _instance(request)
    reports = await reports_of(instance["_id"])
    # The uploader sends what is not in `uploaded_reports`; `reports` tells whether the bytes are the same, too.
    told = {identifier: f"sha256:{sha256}" for identifier, sha256 in reports.items()}
    return JSONResponse({"galaxy": instance["title"], "uploaded_reports": list(reports), "reports": told})


async def _upload(request: Request) -> Response:
    """200 when a report is kept, 202 when this release cannot read it; the same whenever it comes again."""
    instance = await _instance(request)
    bucket = the_bucket()
    if bucket is None:
        raise Refused(503, "This server keeps no files: PROVENANCE_BUCKET is not set.")
    parts = Parts(_content_type(request), arriving(request))
    upload = await _afresh(expected(instance["_id"], bucket))
    try:
        report = await _Form(upload, bucket).read(parts)
        archive = await _afresh(registered(instance["_id"], upload, report))
    finally:
        await asyncio.shield(_afresh(dropped(upload, bucket)))
    return _told(archive)


def _told(archive: Row) -> Response:
    kept = {name: archive[name] for name in ("identifier", "sha256", "quarantine")} | {"id": archive["_id"]}
    if archive["quarantine"]:
        message = f"Kept, but not read by this release: {archive['quarantine']}"
        return JSONResponse({"state": "quarantined", "message": message, "archive": kept}, 202)
    return JSONResponse({"state": "ok", "message": f"Report {archive['identifier']} is kept.", "archive": kept})


class _Form:
    """The three fields of an upload, which are taken in any order and stored as they come."""

    def __init__(self, upload: Upload, bucket: Bucket) -> None:
        self._upload = upload
        self._bucket = bucket
        self._texts: dict[str, str] = {}
        self._bytes: Row | None = None

    async def read(self, parts: Parts) -> Report:
        """The report. Raises Malformed and what its fields are refused with."""
        async for part in parts:
            if part.name in self._texts or (part.name == "data" and self._bytes):
                raise Malformed(f"{part.name} is there twice.")
            await self._take(part)
        if self._bytes is None:
            raise Malformed("There is no data.")
        identifier, metadata = self._said()
        return Report(identifier, metadata, self._bytes)

    async def _take(self, part: Part) -> None:
        match part.name:
            case "identifier":
                self._texts["identifier"] = _text(await part.read(LONGEST_IDENTIFIER), part.name)
            case "meta":
                self._texts["meta"] = _text(await part.read(LARGEST), part.name)
            case "data":
                if len(self._texts) == 2:
                    # What cannot be taken is refused before its bytes are stored, where that is known.
                    self._said()
                self._bytes = await stored(self._upload, self._bucket, part.chunks())
            case _:
                raise Malformed(f"{part.name[:50]!r} is none of identifier, meta and data.")

    def _said(self) -> tuple[str, Metadata]:
        for name in ("identifier", "meta"):
            if name not in self._texts:
                raise Malformed(f"There is no {name}.")
        identifier = an_identifier(self._texts["identifier"].strip(), "identifier")
        return identifier, read_metadata(self._texts["meta"], identifier, "meta")


async def _instance(request: Request) -> Row:
    uuid, _, key = request.headers.get("authorization", "").strip().partition(":")
    instance = await authenticated(uuid, key)
    if instance is None:
        raise Refused(401, "Bad authentication credentials: send Authorization: <uuid>:<key>.", SCHEME)
    return instance


def _content_type(request: Request) -> str:
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(415, "Send the body as it is, without a Content-Encoding.")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced[:20]) > MOST_BYTES + AROUND:
        raise _too_large()
    return request.headers.get("content-type", "")


async def arriving(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes. Raises Refused when it is too long, or comes too slowly."""
    began, size = time.monotonic(), 0
    try:
        async for chunk in chunks_of(request):
            size += len(chunk)
            if size > MOST_BYTES + AROUND:
                raise _too_large()
            passed = time.monotonic() - began
            if passed > GRACE and size < passed * SLOWEST:
                raise Refused(408, f"The body comes at less than {SLOWEST:,} bytes a second.")
            yield chunk
    except Silent as silent:
        raise Refused(408, str(silent)) from None


def _too_large() -> Refused:
    return Refused(413, f"A report has at most {MOST_BYTES:,} bytes.")


async def _drained(request: Request) -> bool:
    """Whether the rest of a body was read, which it is when it is short."""
    size = 0
    try:
        async with asyncio.timeout(DRAINED_WITHIN):
            async for chunk in request.stream():
                size += len(chunk)
                if size > DRAINED:
                    return False
    except (TimeoutError, ClientDisconnect):
        return False
    except RuntimeError:
        # Starlette's way to say that all of it was read already.
        return True
    return True


async def _afresh(work: Coroutine[Any, Any, T]) -> T:
    """What `work` answers, with time of its own for the database: the request's is over when a long body has come."""
    context = Context()
    context.run(logs.request_id.set, logs.request_id.get())
    return await asyncio.get_running_loop().create_task(work, context=context)


def _text(value: bytes, name: str) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed(f"{name} is not UTF-8.") from None
