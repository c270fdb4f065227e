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

from graph.clients.worker import log
from graph.clients.worker.claimed_activity import ClaimedActivity
from graph.clients.worker.client import GraphQLClient, Json
from graph.clients.worker.file_names import ABOUT_NAMES, FileNames, InvalidFileName
from graph.clients.worker.metrics import metrics
from graph.clients.worker.queries import REGISTER, UPLOAD
from graph.clients.worker.transfer import (
    MAX_TRANSFERS,
    SignedUrlRejected,
    TransferError,
    gather_or_cancel,
    sha256_of,
    store,
)

OCTETS = "application/octet-stream"
COMPRESSED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
MAX_URL_ATTEMPTS = 3
"""Signed URLs that are tried for one file: one may expire while other files are being sent."""
NOT_IN_A_NAME = re.compile(r"[\x00-\x1f\x7f\\]|[\ud800-\udfff]|^\s+|\s+$")


@dataclass(frozen=True)
class OutputFile:
    """A file in the output folder, and the name under which it is registered."""

    path: Path
    name: str


async def upload_outputs(client: GraphQLClient, claimed: ClaimedActivity, folder: Path) -> int:
    """Upload and register every file; returns their number.

    Raises InvalidFileName before anything is uploaded, TransferError, RetryTimeout, MutationError and OSError.
    """
    files = await asyncio.to_thread(find_outputs, folder)
    names = FileNames("The output")
    for file in files:
        # Percent-encoding makes names longer, and may make two of them equal.
        names.add(file.name)
    moving = asyncio.Semaphore(MAX_TRANSFERS)
    await gather_or_cancel(_upload(client, claimed, file, moving) for file in files)
    return len(files)


def find_outputs(folder: Path) -> list[OutputFile]:
    """The regular files below a folder, none when it is gone.

    Raises InvalidFileName when the folder was replaced, or a path is too long for this system, and OSError.
    """
    if folder.is_symlink():
        raise InvalidFileName(
            "The output folder was replaced by a link, which may lead anywhere. Leave the files in it."
        )
    if not folder.exists():
        return []
    try:
        return list(walk_outputs(folder))
    except OSError as error:
        if error.errno not in ABOUT_NAMES:
            raise
        name = os.path.relpath(error.filename, folder)
        raise InvalidFileName(
            f"The output {name[:50]!r}… cannot be read: {error.strerror}. Shorten its path."
        ) from error


def walk_outputs(folder: Path) -> Iterator[OutputFile]:
    """The regular files below a folder, in order. Links are left out, since they may lead anywhere. Raises OSError."""
    for directory, inner, names in os.walk(folder, onerror=_raise):
        inner.sort()
        linked = [name for name in inner if (Path(directory) / name).is_symlink()]
        for name in sorted([*names, *linked]):
            path = Path(directory) / name
            if path.is_file() and not path.is_symlink():
                yield OutputFile(path, registered_name(path.relative_to(folder).as_posix()))
            else:
                log.warning("%r is not uploaded: it is not a regular file.", str(path.relative_to(folder)))


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


async def _upload(client: GraphQLClient, claimed: ClaimedActivity, file: OutputFile, moving: asyncio.Semaphore) -> None:
    async with moving:
        size, sha256 = file.path.stat().st_size, await sha256_of(file.path)
        # When the same attempt uploads the same file again, it finds its earlier upload.
        key = f"{claimed.id}/{claimed.attempt}/{hashlib.sha256(file.name.encode()).hexdigest()}"
        declared: Json = {
            "idempotencyKey": key,
            "purpose": "OUTPUT",
            "fileName": file.name,
            "mediaType": media_type(file.name),
            "sizeBytes": str(size),
            "sha256": sha256,
        }
        upload = await _store_upload(client, declared, file, size)
        metrics.uploaded_bytes.inc(size)
        registered: Json = {
            "idempotencyKey": key,
            "stepId": claimed.id,
            "attempt": claimed.attempt,
            "fileName": file.name,
            "uploadId": upload,
        }
        await client.mutate(REGISTER, **registered)


async def _store_upload(client: GraphQLClient, declared: Json, file: OutputFile, size: int) -> str:
    """The id of the upload, once its bytes are stored."""
    for _ in range(MAX_URL_ATTEMPTS):
        upload = (await client.mutate(UPLOAD, **declared))["upload"]
        try:
            await client.retry_until_answered(lambda: store(client, upload["target"], file.path, size))  # noqa: B023
        except SignedUrlRejected:
            continue
        id: str = upload["id"]
        return id
    raise TransferError(f"{file.name} could not be stored: its signed URLs were refused.")
