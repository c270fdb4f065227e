"""Objects of a bucket that is a folder, read or stored at signed URLs: `/objects/…`.

The permission is in the query string, which is signed and never logged.
"""

from collections.abc import AsyncIterator

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from documents.storage.bucket import ObjectExists, content_disposition, current_bucket
from documents.storage.folder_bucket import ROUTE, FolderBucket, InvalidSignature, SignedGrant
from graph.http.byte_ranges import byte_ranges
from graph.http.content_encoding import IDENTITY_ONLY
from graph.http.request import BodyTimeout, stream_body

MAX_PARAMETERS = 10


def object_routes() -> list[BaseRoute]:
    """The route of signed URLs, when the bucket is a folder."""
    return [Route(ROUTE + "/{key:path}", _object, methods=["GET", "PUT"])]


async def _object(request: Request) -> Response:
    bucket = current_bucket()
    if not isinstance(bucket, FolderBucket):
        raise HTTPException(404)
    parameters = request.query_params.multi_items()
    try:
        if len(parameters) > MAX_PARAMETERS:
            raise InvalidSignature("The URL has too many parameters.")
        # HEAD has the same permission as GET.
        method = "GET" if request.method == "HEAD" else request.method
        grant = bucket.verify(method, request.path_params["key"], parameters)
    except InvalidSignature as error:
        raise HTTPException(403, str(error)) from None
    return await (_store(bucket, grant, request) if request.method == "PUT" else _send(bucket, grant))


async def _send(bucket: FolderBucket, grant: SignedGrant) -> Response:
    stored = await bucket.stat(grant.key)
    if stored is None or stored.generation != grant.generation:
        raise HTTPException(404, "The object no longer exists.")
    headers = {"Content-Disposition": content_disposition(grant.file_name), "Cache-Control": "private, no-store"}
    return RangedFileResponse(bucket.path(grant.key, grant.generation), media_type=grant.media_type, headers=headers)


class RangedFileResponse(FileResponse):
    """An object, or the requested ranges of it."""

    @classmethod
    def _parse_range_header(cls, http_range: str, file_size: int) -> list[tuple[int, int]]:
        # Starlette's own parser refuses headers that the RFC says to ignore.
        return byte_ranges(http_range, file_size)


async def _store(bucket: FolderBucket, grant: SignedGrant, request: Request) -> Response:
    declared = request.headers.get("content-length")
    if declared is not None and declared != str(grant.size):
        raise _wrong_size(grant, f"{declared[:20]} bytes")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPException(415, "Send the bytes as they are, without a Content-Encoding.", IDENTITY_ONLY)
    if await bucket.stat(grant.key) is not None:
        raise _exists()
    try:
        stored = await bucket.write(grant.key, _body(request, grant))
    except ObjectExists:
        raise _exists() from None
    except ClientDisconnect:
        return Response(status_code=400)
    return Response(status_code=201, headers={"X-Generation": str(stored.generation)})


async def _body(request: Request, grant: SignedGrant) -> AsyncIterator[bytes]:
    """The body, refused as soon as it is too long, or at its end when it is too short."""
    size = 0
    try:
        async for chunk in stream_body(request):
            size += len(chunk)
            if size > grant.size:
                raise _wrong_size(grant, "more")
            yield chunk
    except BodyTimeout as error:
        raise HTTPException(408, str(error)) from None
    if size < grant.size:
        raise _wrong_size(grant, f"{size} bytes")


def _wrong_size(grant: SignedGrant, sent: str) -> HTTPException:
    message = f"{grant.size} bytes were announced and {sent} sent."
    return HTTPException(413 if sent == "more" else 400, message)


def _exists() -> HTTPException:
    return HTTPException(412, "The object is stored already; objects are never overwritten.")
