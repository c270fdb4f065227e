"""Counts the jobs of a report into cells while it is read."""

from collections.abc import Iterable, Iterator

from resolvers.galaxy.report.job_bson import NULL, remember
from resolvers.galaxy.report.usage.cells import Cell, bin_of

CHUNK_CELLS = 50_000
CHUNK_BINS = 200_000
CHUNK_BYTES = 4 * 1024 * 1024
"""A chunk is emitted when any of these reaches so many, in however many jobs. The bytes are those of names."""
DAY = 10
"""Characters of a time that make up the day."""


class Cells(dict[bytes, Cell]):
    """Cells of the jobs so far, each under `tool_id\\ttool_version\\tstate` followed by the day, as they are written.

    They are emitted in chunks that depend only on these jobs and their order. A look-up creates a missing cell.
    """

    def __init__(self) -> None:
        super().__init__()
        self._bins = self._bytes = 0
        self._runtimes = _Runtimes()
        self._tools = _Tools()

    def __missing__(self, place: bytes) -> Cell:
        # No day ends with the word for null.
        timeless = place.endswith(NULL)
        end = len(place) - (len(NULL) if timeless else DAY)
        self._bytes += end
        cell = self[place] = Cell(*self._tools[place[:end]], None if timeless else place[end:].decode())
        return cell

    def add_runtimes(self, cells: Iterable[Cell], texts: Iterable[bytes | None]) -> None:
        """Add runtimes of jobs, each to its cell, which must not have been emitted yet."""
        known, bins = self._runtimes, 0
        for cell, text in zip(cells, texts, strict=True):
            if text is None:
                continue
            seconds, bin = known[text]
            counts = cell.runtimes
            if bin in counts:
                counts[bin] += 1
            else:
                counts[bin] = 1
                bins += 1
            if cell.shortest is None or seconds < cell.shortest:
                cell.shortest = seconds
            if cell.longest is None or seconds > cell.longest:
                cell.longest = seconds
        self._bins += bins

    def chunks(self) -> Iterator[list[Cell]]:
        """The cells so far, if they are enough for a chunk. They are not emitted again."""
        if len(self) >= CHUNK_CELLS or self._bins >= CHUNK_BINS or self._bytes >= CHUNK_BYTES:
            yield from self.rest()

    def rest(self) -> Iterator[list[Cell]]:
        """The cells so far, however few. They are not emitted again."""
        cells = list(self.values())
        self.clear()
        self._bins = self._bytes = 0
        for start in range(0, len(cells), CHUNK_CELLS):
            yield cells[start : start + CHUNK_CELLS]


class _Runtimes(dict[bytes, tuple[float, int]]):
    """Seconds and bin of runtimes as they are written."""

    def __missing__(self, text: bytes) -> tuple[float, int]:
        seconds = float(text)
        remember(self, text, known := (seconds, bin_of(seconds)))
        return known


class _Tools(dict[bytes, tuple[str, str | None, str]]):
    """Tool, version and state of the row pieces that name them."""

    def __missing__(self, piece: bytes) -> tuple[str, str | None, str]:
        tool, version, state = piece.split(b"\t")
        names = tool.decode(), None if version == NULL else version.decode(), state.decode()
        remember(self, piece, names)
        return names
