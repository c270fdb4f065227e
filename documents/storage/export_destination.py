"""Destinations of exported files, which other programs read: a folder of plain files, or a bucket.

A file appears whole or not at all, and is never overwritten, however many machines write at once.
"""

import asyncio
import os
import secrets
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

from documents.storage.bucket import CHUNK_BYTES, Bucket, ObjectExists, check_key

PARTIAL = ".partial"
"""The folder of files that are being written. Spark, DuckDB and similar readers skip names that begin with a dot."""
PARTIAL_WRITE_TTL = 3600
"""Seconds without a write after which a partial file belongs to a writer that was killed."""


class ExportDestination(ABC):
    """Exported files by keys such as `jobs/month=2019-01/a.parquet`."""

    @abstractmethod
    async def has(self, key: str) -> bool:
        """Whether a file with this key exists."""

    @abstractmethod
    async def publish(self, key: str, file: IO[bytes]) -> bool:
        """Publish the content of `file` from its current position; returns False when the key exists already."""


class FolderDestination(ExportDestination):
    """Plain files below a folder, which is made when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._partial = folder / PARTIAL

    async def has(self, key: str) -> bool:
        return await asyncio.to_thread((self._folder / check_key(key)).exists)

    async def publish(self, key: str, file: IO[bytes]) -> bool:
        return await asyncio.to_thread(self._publish, self._folder / check_key(key), file)

    def remove_partial_writes(self) -> None:
        """Remove partial files of writers that were killed."""
        for file in self._partial.glob("*"):
            if file.stat().st_mtime < time.time() - PARTIAL_WRITE_TTL:
                file.unlink(missing_ok=True)

    def _publish(self, path: Path, file: IO[bytes]) -> bool:
        self._partial.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._partial / secrets.token_hex(16)
        try:
            with partial.open("xb") as target:
                shutil.copyfileobj(file, target, CHUNK_BYTES)
                target.flush()
                os.fsync(target.fileno())
            # Unlike a rename, a link never replaces an existing file.
            path.hardlink_to(partial)
        except FileExistsError:
            return False
        finally:
            partial.unlink(missing_ok=True)
        return True


class BucketDestination(ExportDestination):
    """Objects of a bucket, below a prefix that is empty or ends in a slash."""

    def __init__(self, bucket: Bucket, prefix: str, media_type: str) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._media_type = media_type

    async def has(self, key: str) -> bool:
        return await self._bucket.stat(self._prefix + key) is not None

    async def publish(self, key: str, file: IO[bytes]) -> bool:
        try:
            await self._bucket.write(self._prefix + key, _chunks(file), self._media_type)
        except ObjectExists:
            return False
        return True


async def _chunks(file: IO[bytes]) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
        yield chunk
