"""A member as blocks of whole lines; the same blocks each time it is read."""

from resolvers.galaxy.report.archive.gzip_reader import GzipReader
from resolvers.galaxy.report.limits import Limits
from resolvers.galaxy.report.rejection import corrupt_archive

BLOCK_BYTES = 128 * 1024
BOM = b"\xef\xbb\xbf"


class LineReader:
    """Reads the lines of one member, some 128 kB at a time; `copy` gives a reader that continues from the same line.

    A line that is longer than allowed is cut at the limit, and so recognised as too long.
    """

    def __init__(self, stream: GzipReader, size: int, limits: Limits) -> None:
        self._stream = stream
        self._left = size
        self._max_line_bytes = limits.line_bytes
        self._rest = b""
        self.crlf = False
        self.bom = False

    def copy(self) -> "LineReader":
        """Another reader of the same member, at the same line, independent of this one and of the archive's."""
        clone = LineReader.__new__(LineReader)
        clone.__dict__.update(self.__dict__)
        clone._stream = self._stream.copy()
        return clone

    def header(self) -> bytes:
        """The first line without its end and byte order mark, which `crlf` and `bom` report."""
        line, _, rest = self.block().partition(b"\n")
        self._rest = rest + self._rest
        self.bom, line = line.startswith(BOM), line.removeprefix(BOM)
        self.crlf, line = line.endswith(b"\r"), line.removesuffix(b"\r")
        return line

    def block(self) -> bytes:
        """Whole lines, the last one completed by a line feed where it has none; empty at the end."""
        lines = self._rest
        self._rest = b""
        while self._left:
            chunk = self._read_chunk()
            cut = chunk.rfind(b"\n") + 1
            if cut:
                self._rest = chunk[cut:]
                return self._without_cr(lines + chunk[:cut])
            lines += chunk
            if len(lines) > self._max_line_bytes:
                return self._without_cr(lines[: self._max_line_bytes] + b"\n" + self._skip_line())
        return self._without_cr(lines if lines.endswith(b"\n") or not lines else lines + b"\n")

    def _without_cr(self, lines: bytes) -> bytes:
        return lines.replace(b"\r\n", b"\n") if self.crlf else lines

    def _skip_line(self) -> bytes:
        """Skip the rest of a line, and return the whole lines that were read with its end."""
        while self._left:
            _, end, chunk = self._read_chunk().partition(b"\n")
            if end:
                cut = chunk.rfind(b"\n") + 1
                self._rest = chunk[cut:]
                return chunk[:cut]
        return b""

    def _read_chunk(self) -> bytes:
        chunk = self._stream.read(min(self._left, BLOCK_BYTES))
        if not chunk:
            raise corrupt_archive("The archive is truncated: it ends within a member.")
        self._left -= len(chunk)
        return chunk
