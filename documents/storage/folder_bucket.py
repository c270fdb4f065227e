"""A folder as a bucket, for one machine; the server itself signs and serves its URLs.

An object is a directory that holds one file, named by its generation. It appears by a rename, which is atomic and fails
where the object exists already, however many processes write at once.
"""

import asyncio
import errno
import hashlib
import hmac
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import IO
from urllib.parse import quote, urlencode

from documents.base import now
from documents.storage.bucket import (
    CHUNK_BYTES,
    FULL_ERRNOS,
    LIST_PAGE_SIZE,
    OCTET_STREAM,
    Bucket,
    BucketFull,
    BucketUnavailable,
    Download,
    ListedObject,
    ObjectExists,
    ObjectInfo,
    ObjectNotFound,
    SignedRequest,
    check_key,
    download_name,
    public_origin,
)

ROUTE = "/objects"
"""The path at which the server answers signed URLs."""
RETRYABLE_ERRNOS = (errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE, errno.EROFS)
"""Errors after which a retry may succeed."""
PARTIAL_WRITE_TTL = 3600
"""Seconds without a write after which a partial file belongs to a writer that was killed."""

Parameters = Sequence[tuple[str, str]]


class InvalidSignature(Exception):
    """The URL was not signed by this bucket, or for another method, or it has expired."""


@dataclass(frozen=True)
class SignedGrant:
    """The request that a signed URL allows."""

    key: str
    size: int = 0
    generation: int = 0
    file_name: str = ""
    media_type: str = OCTET_STREAM


class FolderBucket(Bucket):
    """Objects below a folder. The folder and the signing key are created when first needed."""

    def __init__(self, folder: Path, *, name: str = "folder", clock: Callable[[], datetime] = now) -> None:
        self.name = name
        self.folder = folder
        self._clock = clock
        self._partial = folder / "partial"

    @cached_property
    def _secret(self) -> bytes:
        """The key that signs URLs."""
        with _translate_disk_errors():
            _make_private(self.folder)
            return _load_or_create_secret(self.folder / "signing.key")

    def path(self, key: str, generation: int) -> Path:
        """The file that holds one generation of an object."""
        return self._directory(key) / str(generation)

    async def stat(self, key: str) -> ObjectInfo | None:
        with _translate_disk_errors():
            return await asyncio.to_thread(_stat, self._directory(key))

    async def list_objects(self, folder: str) -> AsyncIterator[list[ListedObject]]:
        objects = _objects_at(self._directory(folder.rstrip("/")), folder.rstrip("/"))
        while page := await asyncio.to_thread(lambda: list(islice(objects, LIST_PAGE_SIZE))):
            yield page

    async def read(self, key: str, generation: int) -> AsyncIterator[bytes]:
        try:
            with _translate_disk_errors():
                file = await asyncio.to_thread(self.path(key, generation).open, "rb")
        except (FileNotFoundError, NotADirectoryError):
            raise ObjectNotFound(key) from None
        with file:
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                yield chunk

    async def write(self, key: str, chunks: AsyncIterable[bytes], media_type: str = OCTET_STREAM) -> ObjectInfo:
        check_key(key)
        partial = self._partial / secrets.token_hex(16)
        try:
            with _translate_disk_errors():
                size = await self._fill(partial, chunks)
                return ObjectInfo(size, await asyncio.to_thread(self._publish, partial, key))
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(shutil.rmtree, self._directory(key), ignore_errors=True)

    async def sign_upload(self, key: str, *, size: int, media_type: str, seconds: int) -> SignedRequest:
        headers = {"Content-Type": media_type, "If-None-Match": "*"}
        return self._sign("PUT", key, {"size": str(size)}, headers, seconds)

    async def sign_downloads(self, downloads: Sequence[Download], *, seconds: int) -> list[SignedRequest]:
        def sign(download: Download) -> SignedRequest:
            name = download_name(download.file_name)
            parameters = {"generation": str(download.generation), "name": name, "type": download.media_type}
            return self._sign("GET", download.key, parameters, {}, seconds)

        return [sign(download) for download in downloads]

    def verify(self, method: str, key: str, parameters: Parameters) -> SignedGrant:
        """The request that these parameters allow. Raises InvalidSignature."""
        signed = dict(parameters)
        signature = signed.pop("signature", "").encode(errors="replace")
        is_repeated = len(parameters) != len(signed) + 1
        if is_repeated or not hmac.compare_digest(signature, self._signature(method, key, signed).encode()):
            raise InvalidSignature("The signature is not valid for this request.")
        if self._clock().timestamp() >= int(signed["expires"]):
            raise InvalidSignature("The URL has expired; ask for a fresh one.")
        return SignedGrant(
            check_key(key),
            int(signed.get("size", 0)),
            int(signed.get("generation", 0)),
            signed.get("name", ""),
            signed.get("type", OCTET_STREAM),
        )

    async def remove_partial_writes(self) -> None:
        await asyncio.to_thread(self._remove_partial_writes)

    def _directory(self, key: str) -> Path:
        return self.folder / "objects" / check_key(key)

    async def _fill(self, partial: Path, chunks: AsyncIterable[bytes]) -> int:
        """Write the chunks to a new file in a new directory; returns the number of bytes."""
        # From the clock and a random number, so that no two objects of one name share a generation.
        generation = time.time_ns() // 1000 * 1000 + secrets.randbelow(1000)
        await asyncio.to_thread(_make_private, self.folder, self._partial, partial)
        size, buffer = 0, bytearray()
        with await asyncio.to_thread((partial / str(generation)).open, "wb") as file:
            async for chunk in chunks:
                size += len(chunk)
                buffer += chunk
                if len(buffer) >= CHUNK_BYTES:
                    await asyncio.to_thread(file.write, buffer)
                    buffer = bytearray()
            await asyncio.to_thread(_write_durably, file, buffer)
        return size

    def _publish(self, partial: Path, key: str) -> int:
        """Move a complete directory to its object's place; returns the generation. Raises ObjectExists."""
        directory = self._directory(key)
        directory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        (file,) = partial.iterdir()
        try:
            partial.rename(directory)
        except OSError as error:
            if directory.exists():
                raise ObjectExists(key) from error
            raise
        _sync_directory(directory.parent)
        return int(file.name)

    def _remove_partial_writes(self) -> None:
        for directory in self._partial.glob("*"):
            newest = max((path.stat().st_mtime for path in (directory, *directory.glob("*"))), default=0.0)
            if newest < time.time() - PARTIAL_WRITE_TTL:
                shutil.rmtree(directory, ignore_errors=True)

    def _sign(
        self, method: str, key: str, parameters: dict[str, str], headers: dict[str, str], seconds: int
    ) -> SignedRequest:
        expires = int(self._clock().timestamp()) + seconds
        signed = {**parameters, "expires": str(expires)}
        signed["signature"] = self._signature(method, key, signed)
        url = f"{public_origin.get()()}{ROUTE}/{quote(key)}?{urlencode(signed)}"
        return SignedRequest(url, method, headers, datetime.fromtimestamp(expires, UTC))

    def _signature(self, method: str, key: str, parameters: dict[str, str]) -> str:
        # A HEAD request reads less than a GET, so one signature allows both.
        method = "GET" if method == "HEAD" else method
        text = "\n".join([method, quote(key, safe=""), urlencode(sorted(parameters.items()), errors="replace")])
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()


@contextmanager
def _translate_disk_errors() -> Iterator[None]:
    """Raise BucketFull or BucketUnavailable for disk errors within the block."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL_ERRNOS:
            raise BucketFull(f"The bucket is full: {error.strerror}.") from error
        if error.errno in RETRYABLE_ERRNOS:
            raise BucketUnavailable(f"The bucket cannot be used: {error.strerror}.") from error
        raise


def _make_private(*folders: Path) -> None:
    """Make folders that only their owner may enter."""
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def _stat(directory: Path) -> ObjectInfo | None:
    try:
        (file,) = directory.iterdir()
        return ObjectInfo(file.stat().st_size, int(file.name))
    except ValueError:
        return None
    except OSError as error:
        if error.errno in RETRYABLE_ERRNOS:
            raise
        return None


def _objects_at(directory: Path, key: str) -> Iterator[ListedObject]:
    """The object with this key, or those below it. Directories that are removed meanwhile are left out, and files that
    the server did not write."""
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _objects_at(directory / entry.name, f"{key}/{entry.name}")
            elif entry.name.isdecimal():
                stat = entry.stat()
                written_at = datetime.fromtimestamp(stat.st_mtime, UTC)
                yield ListedObject(key, stat.st_size, int(entry.name), written_at)


def _write_durably(file: IO[bytes], content: bytes | bytearray) -> None:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    """Make a rename durable across a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _load_or_create_secret(path: Path) -> bytes:
    """The key in a file that only its owner may read; the first process that needs it creates the file."""
    if not path.exists():
        fresh = path.with_name(secrets.token_hex(16))
        try:
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                _write_durably(file, secrets.token_hex(32).encode())
            with suppress(FileExistsError):
                path.hardlink_to(fresh)
        finally:
            fresh.unlink(missing_ok=True)
    return bytes.fromhex(path.read_text())
