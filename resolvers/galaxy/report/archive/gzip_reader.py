"""The bytes inside a gzip file, read forward only, with bounds, from several positions at once."""

import zlib
from typing import Protocol

from resolvers.galaxy.report.limits import Limits
from resolvers.galaxy.report.rejection import corrupt_archive

CHUNK_BYTES = 64 * 1024
GZIP_WBITS = 31
"""zlib's code for a gzip header and trailer, whose checksum it compares."""


class Source(Protocol):
    """A seekable source of bytes, such as an open file or io.BytesIO."""

    def seek(self, offset: int, /) -> int:
        """Move to a position."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none only at the end."""


class GzipReader:
    """Reads the content of a gzip file; `copy` gives another reader that continues from the same position.

    zlib can copy the state of an inflation (some 40 kB), so returning to a position costs only a seek in the compressed
    bytes.
    """

    def __init__(self, source: Source, limits: Limits) -> None:
        self._source = source
        self._limits = limits
        self._offset = 0
        self._pending = b""
        self._inflate = zlib.decompressobj(GZIP_WBITS)
        self.position = 0

    def copy(self) -> "GzipReader":
        """Another reader of the same source, at the same position."""
        clone = GzipReader.__new__(GzipReader)
        clone.__dict__.update(self.__dict__)
        clone._inflate = self._inflate.copy()
        return clone

    def read(self, size: int) -> bytes:
        """Exactly so many bytes, or fewer at the end. Raises ArchiveError when the file is broken or a bomb."""
        parts: list[bytes] = []
        while size > 0 and (part := self._read_some(size)):
            parts.append(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _read_some(self, size: int) -> bytes:
        """At most so many bytes, at least one; none at the end."""
        while True:
            if self._inflate.eof and not self._start_next_member():
                return b""
            zipped = self._pending or self._read_input()
            try:
                part = self._inflate.decompress(zipped, min(size, 4 * CHUNK_BYTES))
            except zlib.error as error:
                raise corrupt_archive(f"The archive is not a valid gzip file: {error}.") from error
            self._pending = self._inflate.unconsumed_tail or self._inflate.unused_data
            if part:
                self._count_output(len(part))
                return part
            if not zipped and not self._inflate.eof:
                raise corrupt_archive("The archive is truncated: the gzip data end too early.")

    def _read_input(self) -> bytes:
        self._source.seek(self._offset)
        zipped = self._source.read(CHUNK_BYTES)
        self._offset += len(zipped)
        return zipped

    def _start_next_member(self) -> bool:
        """Start the next gzip member, as after `cat a.gz b.gz`; returns whether there is one. Zeros are padding."""
        zipped = self._pending or self._read_input()
        while zipped and not zipped.strip(b"\0"):
            zipped = self._read_input()
        self._pending = zipped
        if not zipped:
            return False
        self._inflate = zlib.decompressobj(GZIP_WBITS)
        return True

    def _count_output(self, size: int) -> None:
        self.position += size
        limits = self._limits
        if self.position > limits.unzipped_bytes:
            raise corrupt_archive(f"The archive expands to more than {limits.unzipped_bytes} bytes.")
        zipped = self._offset - len(self._pending)
        if self.position > max(limits.bytes_before_ratio, limits.ratio * zipped):
            raise corrupt_archive(
                f"The archive expands to more than {limits.ratio} times its size: a compression bomb."
            )
