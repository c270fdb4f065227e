"""A folder as a bucket, for one machine; the server itself signs and answers its URLs.

An object is a directory that holds one file, named by its generation. It appears by a rename, which is all or nothing,
and fails when there is such an object already, however many processes write at once.
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
from pathlib import Path
from typing import IO
from urllib.parse import quote, urlencode

from documents.base import now
from documents.storage.bucket import (
    CHUNK,
    FULL,
    OCTETS,
    Bucket,
    BucketFull,
    BucketUnavailable,
    Download,
    NoObject,
    ObjectExists,
    Signed,
    Stored,
    as_attachment,
    checked_key,
    reached_at,
)

ROUTE = "/objects"
"""The path at which the server answers signed URLs."""
PASSING = (errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE, errno.EROFS)
"""Errors after which a retry may succeed."""
ABANDONED = 3600
"""Seconds without a write after which a partial file belongs to a writer that was killed."""

Parameters = Sequence[tuple[str, str]]


class NotSigned(Exception):
    """A URL that this bucket did not sign, or not for this method, or that has expired."""


@dataclass(frozen=True)
class Granted:
    """The request that a signed URL allows."""

    key: str
    size: int = 0
    generation: int = 0
    file_name: str = ""
    media_type: str = OCTETS


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
        with _failures_told():
            _make(self.folder)
            return _kept_secret(self.folder / "signing.key")

    def path(self, key: str, generation: int) -> Path:
        """The file that holds one generation of an object."""
        return self._directory(key) / str(generation)

    async def stat(self, key: str) -> Stored | None:
        with _failures_told():
            return await asyncio.to_thread(_stat, self._directory(key))

    async def read(self, key: str, generation: int) -> AsyncIterator[bytes]:
        try:
            with _failures_told():
                file = await asyncio.to_thread(self.path(key, generation).open, "rb")
        except (FileNotFoundError, NotADirectoryError):
            raise NoObject(key) from None
        with file:
            while chunk := await asyncio.to_thread(file.read, CHUNK):
                yield chunk

    async def write(self, key: str, chunks: AsyncIterable[bytes], media_type: str = OCTETS) -> Stored:
        checked_key(key)
        written = self._partial / secrets.token_hex(16)
        try:
            with _failures_told():
                size = await self._fill(written, chunks)
                return Stored(size, await asyncio.to_thread(self._publish, written, key))
        finally:
            shutil.rmtree(written, ignore_errors=True)

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(shutil.rmtree, self._directory(key), ignore_errors=True)

    async def sign_upload(self, key: str, *, size: int, media_type: str, seconds: int) -> Signed:
        headers = {"Content-Type": media_type, "If-None-Match": "*"}
        return self._signed("PUT", key, {"size": str(size)}, headers, seconds)

    async def sign_downloads(self, wanted: Sequence[Download], *, seconds: int) -> list[Signed]:
        return [self._signed("GET", one.key, _about(one), {}, seconds) for one in wanted]

    def granted(self, method: str, key: str, parameters: Parameters) -> Granted:
        """The request that these parameters allow. Raises NotSigned."""
        given = dict(parameters)
        signature = given.pop("signature", "")
        if len(parameters) != len(given) + 1 or not _same(signature, self._signature(method, key, given)):
            raise NotSigned("The signature is not valid for this request.")
        if self._clock().timestamp() >= int(given["expires"]):
            raise NotSigned("The URL has expired; ask for a fresh one.")
        return Granted(
            checked_key(key),
            int(given.get("size", 0)),
            int(given.get("generation", 0)),
            given.get("name", ""),
            given.get("type", OCTETS),
        )

    async def tidy(self) -> None:
        await asyncio.to_thread(self._tidy)

    def _directory(self, key: str) -> Path:
        return self.folder / "objects" / checked_key(key)

    async def _fill(self, written: Path, chunks: AsyncIterable[bytes]) -> int:
        """Write to a new file in a new directory; returns the number of bytes."""
        # By clock and chance, so that no two objects of one name share a generation.
        generation = time.time_ns() // 1000 * 1000 + secrets.randbelow(1000)
        await asyncio.to_thread(_make, self.folder, self._partial, written)
        size, waiting = 0, bytearray()
        with await asyncio.to_thread((written / str(generation)).open, "wb") as file:
            async for chunk in chunks:
                size += len(chunk)
                waiting += chunk
                if len(waiting) >= CHUNK:
                    await asyncio.to_thread(file.write, waiting)
                    waiting = bytearray()
            await asyncio.to_thread(_finish, file, waiting)
        return size

    def _publish(self, written: Path, key: str) -> int:
        directory = self._directory(key)
        directory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        (file,) = written.iterdir()
        try:
            written.rename(directory)
        except OSError as error:
            if directory.exists():
                raise ObjectExists(key) from error
            raise
        _synchronise(directory.parent)
        return int(file.name)

    def _tidy(self) -> None:
        for written in self._partial.glob("*"):
            newest = max((one.stat().st_mtime for one in (written, *written.glob("*"))), default=0.0)
            if newest < time.time() - ABANDONED:
                shutil.rmtree(written, ignore_errors=True)

    def _signed(self, method: str, key: str, about: dict[str, str], headers: dict[str, str], seconds: int) -> Signed:
        expires = int(self._clock().timestamp()) + seconds
        parameters = {**about, "expires": str(expires)}
        parameters["signature"] = self._signature(method, key, parameters)
        url = f"{reached_at.get()()}{ROUTE}/{quote(key)}?{urlencode(parameters)}"
        return Signed(url, method, headers, datetime.fromtimestamp(expires, UTC))

    def _signature(self, method: str, key: str, parameters: dict[str, str]) -> str:
        # A HEAD request asks for less than a GET.
        method = "GET" if method == "HEAD" else method
        text = "\n".join([method, quote(key, safe=""), urlencode(sorted(parameters.items()), errors="replace")])
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()


@contextmanager
def _failures_told() -> Iterator[None]:
    """Raise BucketFull or BucketUnavailable for disk errors within the block."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise BucketFull(f"The bucket is full: {error.strerror}.") from error
        if error.errno in PASSING:
            raise BucketUnavailable(f"The bucket cannot be used: {error.strerror}.") from error
        raise


def _make(*folders: Path) -> None:
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def _stat(directory: Path) -> Stored | None:
    try:
        (file,) = directory.iterdir()
        return Stored(file.stat().st_size, int(file.name))
    except ValueError:
        return None
    except OSError as error:
        if error.errno in PASSING:
            raise
        return None


def _about(wanted: Download) -> dict[str, str]:
    name = as_attachment(wanted.file_name)
    return {"generation": str(wanted.generation), "name": name, "type": wanted.media_type}


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="replace"), other.encode())


def _finish(file: IO[bytes], rest: bytes | bytearray) -> None:
    file.write(rest)
    file.flush()
    os.fsync(file.fileno())


def _synchronise(directory: Path) -> None:
    """Make a rename durable across a power cut."""
    opened = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _kept_secret(path: Path) -> bytes:
    """The key in a file that only its owner reads, created by the first process that needs it."""
    if not path.exists():
        fresh = path.with_name(secrets.token_hex(16))
        try:
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                _finish(file, secrets.token_hex(32).encode())
            with suppress(FileExistsError):
                path.hardlink_to(fresh)
        finally:
            fresh.unlink(missing_ok=True)
    return bytes.fromhex(path.read_text())
