"""Counts the jobs of a report into cells while it is read."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from resolvers.ingest.report.cells import Cell, bin_of
from resolvers.ingest.report.stored import NULL, remember

Place = tuple[bytes, bytes]
"""`tool_id\\ttool_version\\tstate` of a job and the day on which it was created, as they are written."""
CHUNK_CELLS = 5000
CHUNK_BINS = 50_000
"""A chunk is given when there are so many of either, in however many jobs."""


class Counting:
    """Takes jobs, and gives their cells in chunks that depend on nothing but these jobs and their order."""

    def __init__(self) -> None:
        self._cells: dict[Place, Cell] = {}
        self._bins = 0
        self._runtimes = _Runtimes()
        self._tools = _Tools()

    def add(self, places: Iterable[Place], runtimes: Iterable[bytes | None]) -> None:
        """Count some jobs, each with its runtime as it is written."""
        # Jobs of a tool come together, so that all there is to do for each single one is to append it.
        together: defaultdict[Place, list[bytes | None]] = defaultdict(list)
        for place, runtime in zip(places, runtimes, strict=True):
            together[place].append(runtime)
        for place, texts in together.items():
            cell = self._cells.get(place) or self._new(place)
            cell.jobs += len(texts)
            self._add_runtimes(cell, [text for text in texts if text is not None])

    def chunks(self) -> Iterator[list[Cell]]:
        """The cells so far, if they are enough for a chunk. They are not given again."""
        if len(self._cells) >= CHUNK_CELLS or self._bins >= CHUNK_BINS:
            yield from self.rest()

    def rest(self) -> Iterator[list[Cell]]:
        """The cells so far, few as they may be. They are not given again."""
        cells = list(self._cells.values())
        self._cells, self._bins = {}, 0
        for start in range(0, len(cells), CHUNK_CELLS):
            yield cells[start : start + CHUNK_CELLS]

    def _new(self, place: Place) -> Cell:
        day = None if place[1] == NULL else place[1].decode()
        cell = self._cells[place] = Cell(*self._tools[place[0]], day)
        return cell

    def _add_runtimes(self, cell: Cell, texts: list[bytes]) -> None:
        if not texts:
            return
        counts, before, known = cell.runtimes, len(cell.runtimes), self._runtimes
        for text in texts:
            bin = known[text][1]
            counts[bin] = counts.get(bin, 0) + 1
        self._bins += len(counts) - before
        seconds = [known[text][0] for text in texts]
        cell.shortest = min(seconds) if cell.shortest is None else min(cell.shortest, *seconds)
        cell.longest = max(seconds) if cell.longest is None else max(cell.longest, *seconds)


class _Runtimes(dict[bytes, tuple[float, int]]):
    """Seconds and bin for runtimes as they are written."""

    def __missing__(self, text: bytes) -> tuple[float, int]:
        seconds = float(text)
        remember(self, text, known := (seconds, bin_of(seconds)))
        return known


class _Tools(dict[bytes, tuple[str, str | None, str]]):
    """Tool, version and state for the pieces of rows that name them."""

    def __missing__(self, piece: bytes) -> tuple[str, str | None, str]:
        tool, version, state = piece.split(b"\t")
        names = tool.decode(), None if version == NULL else version.decode(), state.decode()
        remember(self, piece, names)
        return names
