"""Counts the jobs of a report into cells while it is read."""

from collections.abc import Iterable, Iterator

from resolvers.galaxy.report.job_bson import NULL, put_in_cache
from resolvers.galaxy.report.usage.cells import Cell, bin_of

MAX_CHUNK_CELLS = 50_000
MAX_CHUNK_BINS = 200_000
MAX_CHUNK_BYTES = 4 * 1024 * 1024
"""A chunk is emitted when it reaches any of these bounds, in however many jobs. The bytes are those of names."""
DAY_LENGTH = 10
"""Characters of a time that make up the day."""


class Cells(dict[bytes, Cell]):
    """Cells of the jobs so far, each under `tool_id\\ttool_version\\tstate` followed by the day, as they are written.

    They are emitted in chunks that depend only on these jobs and their order. A lookup creates a missing cell.
    """

    def __init__(self) -> None:
        super().__init__()
        self._bins = self._bytes = 0
        self._runtimes = _RuntimeCache()
        self._tools = _ToolCache()

    def __missing__(self, place: bytes) -> Cell:
        # No day ends with the word for null.
        is_undated = place.endswith(NULL)
        end = len(place) - (len(NULL) if is_undated else DAY_LENGTH)
        self._bytes += end
        cell = self[place] = Cell(*self._tools[place[:end]], None if is_undated else place[end:].decode())
        return cell

    def add_runtimes(self, cells: Iterable[Cell], texts: Iterable[bytes | None]) -> None:
        """Add runtimes of jobs, each to its cell, which must not have been emitted yet."""
        runtimes, bins = self._runtimes, 0
        for cell, text in zip(cells, texts, strict=True):
            if text is None:
                continue
            seconds, bin = runtimes[text]
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
        """The cells so far, if they reach the bounds of a chunk. They are not emitted again."""
        if len(self) >= MAX_CHUNK_CELLS or self._bins >= MAX_CHUNK_BINS or self._bytes >= MAX_CHUNK_BYTES:
            yield from self.remaining_chunks()

    def remaining_chunks(self) -> Iterator[list[Cell]]:
        """The cells so far, however few. They are not emitted again."""
        cells = list(self.values())
        self.clear()
        self._bins = self._bytes = 0
        for start in range(0, len(cells), MAX_CHUNK_CELLS):
            yield cells[start : start + MAX_CHUNK_CELLS]


class _RuntimeCache(dict[bytes, tuple[float, int]]):
    """Seconds and bin of runtimes as they are written."""

    def __missing__(self, text: bytes) -> tuple[float, int]:
        seconds = float(text)
        put_in_cache(self, text, runtime := (seconds, bin_of(seconds)))
        return runtime


class _ToolCache(dict[bytes, tuple[str, str | None, str]]):
    """Tool, version and state of the row pieces that name them."""

    def __missing__(self, piece: bytes) -> tuple[str, str | None, str]:
        tool, version, state = piece.split(b"\t")
        names = tool.decode(), None if version == NULL else version.decode(), state.decode()
        put_in_cache(self, piece, names)
        return names
