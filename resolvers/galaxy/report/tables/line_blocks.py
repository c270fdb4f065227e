"""A member as blocks of whole lines; the same blocks each time it is read."""

from resolvers.galaxy.report.archive.gzip_reader import Unzipped
from resolvers.galaxy.report.limits import Limits
from resolvers.galaxy.report.rejection import corrupt

BLOCK = 128 * 1024
BOM = b"\xef\xbb\xbf"


class Lines:
    """Reads the lines of one member, some 128 kB at a time; `copy` gives a reader that continues from the same line.

    A line that is longer than allowed is cut at the limit, and so recognised as too long.
    """

    def __init__(self, stream: Unzipped, size: int, limits: Limits) -> None:
        self._stream = stream
        self._left = size
        self._longest = limits.line_bytes
        self._rest = b""
        self.crlf = False
        self.bom = False

    def copy(self) -> "Lines":
        """Another reader of the same member, at the same line, independent of this one and of the archive's."""
        twin = Lines.__new__(Lines)
        twin.__dict__.update(self.__dict__)
        twin._stream = self._stream.copy()
        return twin

    def header(self) -> bytes:
        """The first line without its end and without a byte order mark; both are remembered."""
        line, _, rest = self.block().partition(b"\n")
        self._rest = rest + self._rest
        self.bom, line = line.startswith(BOM), line.removeprefix(BOM)
        self.crlf, line = line.endswith(b"\r"), line.removesuffix(b"\r")
        return line

    def block(self) -> bytes:
        """Whole lines, the last one completed by a line feed where it has none; empty at the end."""
        held = self._rest
        self._rest = b""
        while self._left:
            chunk = self._chunk()
            cut = chunk.rfind(b"\n") + 1
            if cut:
                self._rest = chunk[cut:]
                return self._ended(held + chunk[:cut])
            held += chunk
            if len(held) > self._longest:
                return self._ended(held[: self._longest] + b"\n" + self._after_line())
        return self._ended(held if held.endswith(b"\n") or not held else held + b"\n")

    def _ended(self, lines: bytes) -> bytes:
        return lines.replace(b"\r\n", b"\n") if self.crlf else lines

    def _after_line(self) -> bytes:
        """Skip the rest of a line, and return the whole lines that were read with its end."""
        while self._left:
            _, end, chunk = self._chunk().partition(b"\n")
            if end:
                cut = chunk.rfind(b"\n") + 1
                self._rest = chunk[cut:]
                return chunk[:cut]
        return b""

    def _chunk(self) -> bytes:
        chunk = self._stream.read(min(self._left, BLOCK))
        if not chunk:
            raise corrupt("The archive is truncated: it ends within a member.")
        self._left -= len(chunk)
        return chunk
