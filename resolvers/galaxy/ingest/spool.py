"""Unnamed temporary files, which vanish with their process."""

import asyncio
import hashlib
import tempfile
from collections.abc import Iterator
from struct import Struct
from typing import IO

from documents.storage.bucket import ObjectNotFound, current_bucket
from resolvers.reads.rows import Row

LENGTH = Struct("<I")
MAX_MEMORY_BYTES = 1024 * 1024


class UnreadableArchive(Exception):
    """The bytes of an archive are missing or differ from those registered; the message says which."""


class Spool:
    """Chunks of bytes in the order in which they came, in memory while small, then in a file."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=MAX_MEMORY_BYTES)  # noqa: SIM115
        self.count = 0

    def add(self, chunk: bytes) -> None:
        """Append a chunk."""
        self._file.write(LENGTH.pack(len(chunk)))
        self._file.write(chunk)
        self.count += 1

    def chunks(self) -> Iterator[bytes]:
        """All chunks. Nothing may be added meanwhile."""
        self._file.seek(0)
        while head := self._file.read(LENGTH.size):
            yield self._file.read(LENGTH.unpack(head)[0])

    def batches(self, size: int) -> Iterator[list[bytes]]:
        """All chunks in lists of at most `size` chunks."""
        batch: list[bytes] = []
        for chunk in self.chunks():
            batch.append(chunk)
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch

    def close(self) -> None:
        """Discard everything."""
        self._file.close()


async def copy_to_file(archive: Row, file: IO[bytes]) -> None:
    """Copy the bytes of an archive into `file`. Raises UnreadableArchive."""
    bucket = current_bucket()
    if bucket is None:
        raise UnreadableArchive("This worker has no bucket to read reports from.")
    digest = hashlib.sha256()
    try:
        async for chunk in bucket.read(archive["key"], archive["generation"]):
            digest.update(chunk)
            await asyncio.to_thread(file.write, chunk)
    except ObjectNotFound as error:
        raise UnreadableArchive(f"No object exists at {archive['bucket']}/{archive['key']}.") from error
    file.flush()
    if digest.hexdigest() != archive["sha256"]:
        raise UnreadableArchive(
            f"The object at {archive['bucket']}/{archive['key']} differs from the one that was registered."
        )
