"""The metrics of a server with several processes, in a private directory: one file for each process.

Each process writes its metrics there every second, and whenever it is asked for those of all. So a process that hangs
or dies holds up no scrape. When a process has died, the supervisor adds its counters and histograms to those of
processes that died before: no counter ever falls, which Prometheus would take for a restart of the server.
"""

import asyncio
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import orjson
import structlog

from graph.metrics.exposition import combine
from graph.metrics.families import Combine, FamilySnapshot, Kind
from resolvers.concurrency.task_cancellation import is_cancelled

WRITE_INTERVAL = 1.0
"""Seconds between two writes of a process."""
ENDED, LOCK = "ended.json", "lock"

log = structlog.stdlib.get_logger("graph.metrics")
Snapshots = list[FamilySnapshot]


class SharedDirectory:
    """The files of all processes of a server. The supervisor makes the directory before it starts them."""

    def __init__(self) -> None:
        """Raises OSError."""
        self.path = Path(tempfile.mkdtemp(prefix="provenance-metrics-"))

    def remove(self) -> None:
        """Remove the directory."""
        shutil.rmtree(self.path, ignore_errors=True)

    def write(self, families: Snapshots) -> None:
        """Write the metrics of this process. Raises OSError."""
        self._replace(self._file(os.getpid()), families)

    def read(self) -> Snapshots:
        """The metrics of all processes together, as they last wrote them. Raises OSError."""
        with self._lock(fcntl.LOCK_SH):
            return combine(_read(file) for file in sorted(self.path.glob("*.json")))

    def retire(self, pid: int) -> None:
        """Keep what a process that has died counted, and forget the rest. Raises OSError."""
        file = self._file(pid)
        with self._lock(fcntl.LOCK_EX):
            if not file.exists():
                return
            counted = [family for family in _read(file) if family.kind is not Kind.GAUGE]
            ended = self.path / ENDED
            self._replace(ended, combine([_read(ended), counted]) if ended.exists() else counted)
            file.unlink()

    def _file(self, pid: int) -> Path:
        return self.path / f"{pid}.json"

    def _replace(self, file: Path, families: Snapshots) -> None:
        """Replace the file as a whole, so that a reader never sees half of it, and a killed writer leaves the old."""
        unfinished = file.with_suffix(".new")
        unfinished.write_bytes(orjson.dumps([_encoding(family) for family in families]))
        unfinished.replace(file)

    @contextmanager
    def _lock(self, operation: int) -> Iterator[None]:
        with (self.path / LOCK).open("ab") as opened:
            fcntl.flock(opened, operation)
            yield


@asynccontextmanager
async def share_metrics(directory: SharedDirectory | None, snapshots: Callable[[], Snapshots]) -> AsyncIterator[None]:
    """Write the metrics of this process every second within the block, and at its end; not without a directory."""
    if directory is None:
        yield
        return
    task = asyncio.create_task(_write_repeatedly(directory, snapshots), name="metrics")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await _write(directory, snapshots())


async def _write_repeatedly(directory: SharedDirectory, snapshots: Callable[[], Snapshots]) -> None:
    while not is_cancelled():
        await _write(directory, snapshots())
        await asyncio.sleep(WRITE_INTERVAL)


async def _write(directory: SharedDirectory, families: Snapshots) -> None:
    try:
        # In a thread, because a disk may be slow.
        await asyncio.to_thread(directory.write, families)
    except OSError as error:
        log.warning("the metrics of this process could not be written", error=str(error))


def _encoding(family: FamilySnapshot) -> list[object]:
    values = [[labels, value] for labels, value in family.values.items()]
    return [family.name, family.kind, family.description, family.labels, values, family.combine, family.bounds]


def _read(file: Path) -> Snapshots:
    return [
        FamilySnapshot(
            name,
            Kind(kind),
            description,
            tuple(labels),
            {tuple(values): value for values, value in pairs},
            Combine(rule),
            tuple(bounds),
        )
        for name, kind, description, labels, pairs, rule, bounds in orjson.loads(file.read_bytes())
    ]
