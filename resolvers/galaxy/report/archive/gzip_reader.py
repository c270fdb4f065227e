"""The bytes inside a gzip file, read forward only, with bounds, from several positions at once."""

import zlib
from typing import Protocol

from resolvers.galaxy.report.limits import Limits
from resolvers.galaxy.report.rejection import corrupt

CHUNK = 64 * 1024
GZIP = 31
"""zlib's code for a gzip header and trailer, whose checksum it compares."""


class Source(Protocol):
    """A seekable source of bytes, such as an open file or io.BytesIO."""

    def seek(self, offset: int, /) -> int:
        """Move to a position."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none only at the end."""


class Unzipped:
    """Reads the content of a gzip file; `copy` gives another reader that continues from the same position.

    zlib can copy the state of an inflation (some 40 kB), so returning to a position costs only a seek in the zipped
    bytes.
    """

    def __init__(self, source: Source, limits: Limits) -> None:
        self._source = source
        self._limits = limits
        self._offset = 0
        self._pending = b""
        self._inflate = zlib.decompressobj(GZIP)
        self.position = 0

    def copy(self) -> "Unzipped":
        """Another reader of the same source, at the same position."""
        twin = Unzipped.__new__(Unzipped)
        twin.__dict__.update(self.__dict__)
        twin._inflate = self._inflate.copy()
        return twin

    def read(self, size: int) -> bytes:
        """Exactly so many bytes, or fewer at the end. Raises ArchiveRefused when the file is broken or a bomb."""
        parts: list[bytes] = []
        while size > 0 and (part := self._some(size)):
            parts.append(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _some(self, most: int) -> bytes:
        """At least one byte, or none at the end."""
        while True:
            if self._inflate.eof and not self._next_part():
                return b""
            zipped = self._pending or self._more()
            try:
                part = self._inflate.decompress(zipped, min(most, 4 * CHUNK))
            except zlib.error as error:
                raise corrupt(f"The archive is not a valid gzip file: {error}.") from error
            self._pending = self._inflate.unconsumed_tail or self._inflate.unused_data
            if part:
                self._count(len(part))
                return part
            if not zipped and not self._inflate.eof:
                raise corrupt("The archive is truncated: the gzip data end too early.")

    def _more(self) -> bytes:
        self._source.seek(self._offset)
        zipped = self._source.read(CHUNK)
        self._offset += len(zipped)
        return zipped

    def _next_part(self) -> bool:
        """Whether another gzip member follows, as after `cat a.gz b.gz`. Zeros after the last one are padding."""
        zipped = self._pending or self._more()
        while zipped and not zipped.strip(b"\0"):
            zipped = self._more()
        self._pending = zipped
        if not zipped:
            return False
        self._inflate = zlib.decompressobj(GZIP)
        return True

    def _count(self, size: int) -> None:
        self.position += size
        limits = self._limits
        if self.position > limits.unzipped_bytes:
            raise corrupt(f"The archive expands to more than {limits.unzipped_bytes} bytes.")
        zipped = self._offset - len(self._pending)
        if self.position > max(limits.unjudged_bytes, limits.ratio * zipped):
            raise corrupt(f"The archive expands to more than {limits.ratio} times its size: a compression bomb.")
