"""Uploading and registering the files that a step left in its output folder; repeating it changes nothing."""

import asyncio
import hashlib
import mimetypes
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from graph.clients.worker import say
from graph.clients.worker.activity import Claimed
from graph.clients.worker.client import Json, Server
from graph.clients.worker.file_names import ABOUT_NAMES, FileNames, UnusableName
from graph.clients.worker.queries import REGISTER, UPLOAD
from graph.clients.worker.transfer import AT_ONCE, NotMoved, UrlRefused, gather_or_cancel, sha256_of, store

OCTETS = "application/octet-stream"
COMPRESSED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
MOST_URLS = 3
"""Signed URLs that are tried for one file: one may expire while other files are being sent."""
NOT_IN_A_NAME = re.compile(r"[\x00-\x1f\x7f\\]|[\ud800-\udfff]|^\s+|\s+$")


@dataclass(frozen=True)
class Found:
    """A file in the output folder, and the name under which it is registered."""

    path: Path
    name: str


async def upload_outputs(server: Server, claimed: Claimed, folder: Path) -> int:
    """Upload and register every file; returns their number.

    Raises UnusableName before anything is uploaded, NotMoved, GaveUp, MutationError and OSError.
    """
    files = await asyncio.to_thread(all_found_in, folder)
    names = FileNames("The output")
    for file in files:
        # Percent-encoding makes names longer, and may make two of them equal.
        names.add(file.name)
    moving = asyncio.Semaphore(AT_ONCE)
    await gather_or_cancel(_upload(server, claimed, file, moving) for file in files)
    return len(files)


def all_found_in(folder: Path) -> list[Found]:
    """The regular files below a folder, none when it is gone.

    Raises UnusableName when the folder was replaced, or a path is too long for this system, and OSError.
    """
    if folder.is_symlink():
        raise UnusableName("The output folder was replaced by a link, which may lead anywhere. Leave the files in it.")
    if not folder.exists():
        return []
    try:
        return list(found_in(folder))
    except OSError as error:
        if error.errno not in ABOUT_NAMES:
            raise
        name = os.path.relpath(error.filename, folder)
        raise UnusableName(f"The output {name[:50]!r}… cannot be read: {error.strerror}. Shorten its path.") from error


def found_in(folder: Path) -> Iterator[Found]:
    """The regular files below a folder, in order. Links are left out, since they may lead anywhere. Raises OSError."""
    for directory, inner, names in os.walk(folder, onerror=_raise):
        inner.sort()
        linked = [name for name in inner if (Path(directory) / name).is_symlink()]
        for name in sorted([*names, *linked]):
            path = Path(directory) / name
            if path.is_file() and not path.is_symlink():
                yield Found(path, registered_name(path.relative_to(folder).as_posix()))
            else:
                say.warning("%r is not uploaded: it is not a regular file.", str(path.relative_to(folder)))


def _raise(error: OSError) -> None:
    """Make a folder that cannot be listed an error instead of an empty folder."""
    raise error


def registered_name(path: str) -> str:
    """A path as a valid name for the server: invalid characters are percent-encoded, `%0A` for a line break."""
    return NOT_IN_A_NAME.sub(lambda found: quote(os.fsencode(found[0]), safe=""), path)


def media_type(name: str) -> str:
    """The media type guessed from a name."""
    kind, compressed = mimetypes.guess_type(name, strict=False)
    return COMPRESSED.get(compressed, OCTETS) if compressed else kind or OCTETS


async def _upload(server: Server, claimed: Claimed, file: Found, moving: asyncio.Semaphore) -> None:
    async with moving:
        size, sha256 = file.path.stat().st_size, await sha256_of(file.path)
        # When the same attempt uploads the same file again, it finds its earlier upload.
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
    """The id of the upload, once its bytes are stored."""
    for _ in range(MOST_URLS):
        upload = (await server.change(UPLOAD, **announced))["upload"]
        try:
            await server.until_answered(lambda: store(server, upload["target"], file.path, size))  # noqa: B023
        except UrlRefused:
            continue
        id: str = upload["id"]
        return id
    raise NotMoved(f"{file.name} could not be stored: its signed URLs were refused.")
