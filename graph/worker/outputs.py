"""Uploading what a step has left in its output folder, and registering it: any number of times, once in effect."""

import asyncio
import hashlib
import mimetypes
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from graph.worker import say
from graph.worker.claimed import Claimed
from graph.worker.files import AT_ONCE, NotMoved, UrlRefused, sha256_of, store, together
from graph.worker.queries import REGISTER, UPLOAD
from graph.worker.server import Json, Server, until_answered

OCTETS = "application/octet-stream"
COMPRESSED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
MOST_URLS = 3
"""Signed URLs that are tried for one file: one may expire while others are sent."""
NOT_IN_A_NAME = re.compile(r"[\x00-\x1f\x7f\\]|[\ud800-\udfff]|^\s+|\s+$")


@dataclass(frozen=True)
class Found:
    """A file in the output folder, and the name that it is registered by."""

    path: Path
    name: str


async def upload_outputs(server: Server, claimed: Claimed, folder: Path) -> int:
    """Upload and register every file; how many there are. Raises NotMoved, Refused, OSError."""
    files = await asyncio.to_thread(lambda: list(found_in(folder)))
    twice = [name for name, count in Counter(file.name for file in files).items() if count > 1]
    if twice:
        raise NotMoved(f"Two files would both be registered as {twice[0]!r}.")
    moving = asyncio.Semaphore(AT_ONCE)
    await together(_upload(server, claimed, file, moving) for file in files)
    return len(files)


def found_in(folder: Path) -> Iterator[Found]:
    """The regular files below a folder, in order. Links are left out, for they may lead anywhere."""
    for directory, inner, names in os.walk(folder):
        inner.sort()
        linked = [name for name in inner if (Path(directory) / name).is_symlink()]
        for name in sorted([*names, *linked]):
            path = Path(directory) / name
            if path.is_file() and not path.is_symlink():
                yield Found(path, registered_name(path.relative_to(folder).as_posix()))
            else:
                say.warning("%r is not uploaded: it is no regular file.", str(path.relative_to(folder)))


def registered_name(path: str) -> str:
    """A path as the server takes it: what names may not hold there is written as in URLs, `%0A` for a line break."""
    return NOT_IN_A_NAME.sub(lambda found: quote(os.fsencode(found[0]), safe=""), path)


def media_type(name: str) -> str:
    """The media type that a name suggests."""
    kind, compressed = mimetypes.guess_type(name, strict=False)
    return COMPRESSED.get(compressed, OCTETS) if compressed else kind or OCTETS


async def _upload(server: Server, claimed: Claimed, file: Found, moving: asyncio.Semaphore) -> None:
    async with moving:
        size, sha256 = file.path.stat().st_size, await sha256_of(file.path)
        # The same attempt uploading the same file again finds what it has done before.
        key = f"{claimed.id}/{claimed.attempt}/{hashlib.sha256(file.name.encode()).hexdigest()}"
        announced: Json = {
            "idempotencyKey": key,
            "purpose": "OUTPUT",
            "fileName": file.name,
            "mediaType": media_type(file.name),
            "sizeBytes": str(size),
            "sha256": sha256,
        }
        upload = await _stored(server, announced, file, size)
        registered: Json = {
            "idempotencyKey": key,
            "stepId": claimed.id,
            "attempt": claimed.attempt,
            "fileName": file.name,
            "uploadId": upload,
        }
        await server.change(REGISTER, **registered)


async def _stored(server: Server, announced: Json, file: Found, size: int) -> str:
    """The id of the upload whose bytes are stored."""
    for _ in range(MOST_URLS):
        upload = (await server.change(UPLOAD, **announced))["upload"]
        try:
            await until_answered(lambda: store(server, upload["target"], file.path, size))  # noqa: B023
        except UrlRefused:
            continue
        id: str = upload["id"]
        return id
    raise NotMoved(f"{file.name} could not be stored: its signed URLs are not taken.")
