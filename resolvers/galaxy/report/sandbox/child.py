"""The process that reads one report: `python -I -m resolvers.galaxy.report.sandbox.child TASK`.

The archive is standard input, which must be a file; batches go to standard output. TASK is JSON, see `Task`.
"""

import os
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass

import orjson

from resolvers.concurrency.garbage_collection import disable_collection
from resolvers.galaxy.report.declared_counts import DeclaredCounts
from resolvers.galaxy.report.job_bson import RowPrefix
from resolvers.galaxy.report.limits import Limits
from resolvers.galaxy.report.read_report import read_report
from resolvers.galaxy.report.sandbox.pipe_frames import failure, frames

EXIT_OUT_OF_MEMORY = 70
EXIT_FAILED = 71
CPU_GRACE_SECONDS = 2
"""Seconds of CPU between the signal that reports the limit, and the one that cannot be caught."""


@dataclass(frozen=True)
class Task:
    """The task of a child: how to read the report, and within which limits."""

    prefix: RowPrefix
    declared: DeclaredCounts | None
    limits: Limits
    memory_bytes: int
    cpu_seconds: int

    def to_json(self) -> str:
        """The task as an argument of the command line."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def from_json(cls, text: str) -> "Task":
        """The task that an argument holds."""
        value = orjson.loads(text)
        declared = value["declared"]
        return cls(
            RowPrefix(**value["prefix"]),
            DeclaredCounts(**declared) if declared is not None else None,
            Limits(**value["limits"]),
            value["memory_bytes"],
            value["cpu_seconds"],
        )


class FileDescriptor:
    """The bytes of an open file. Its position, which other processes share, is neither used nor moved."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._at = 0

    def seek(self, offset: int, /) -> int:
        """Move to a position."""
        self._at = offset
        return offset

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none only at the end."""
        part = os.pread(self._number, size, self._at)
        self._at += len(part)
        return part


def apply_resource_limits(task: Task) -> None:
    """Restrict this process to the resources that a parser needs. Limits that a system does not support are skipped."""
    try:
        import resource
    except ImportError:
        return
    bounds = {
        "RLIMIT_CPU": (task.cpu_seconds, task.cpu_seconds + CPU_GRACE_SECONDS),
        # macOS refuses a limit of the address space, or accepts and ignores it.
        "RLIMIT_AS": (task.memory_bytes, task.memory_bytes),
        "RLIMIT_FSIZE": (0, 0),
        "RLIMIT_CORE": (0, 0),
        "RLIMIT_NOFILE": (16, 16),
    }
    for name, bound in bounds.items():
        if hasattr(resource, name):
            with suppress(ValueError, OSError):
                resource.setrlimit(getattr(resource, name), bound)


def write(parts: list[bytes]) -> None:
    """Write to standard output, waiting while the pipe is full."""
    view = memoryview(b"".join(parts))
    while view:
        view = view[os.write(1, view) :]


def main(arguments: list[str]) -> int:
    """Read the report and return the exit status."""
    task = Task.from_json(arguments[0])
    apply_resource_limits(task)
    # Nothing here forms reference cycles, and a collection would search very many small objects.
    with disable_collection():
        return _read(task)


def _read(task: Task) -> int:
    """Write the report's batches to standard output; returns the exit status."""
    try:
        for batch in read_report(FileDescriptor(0), prefix=task.prefix, declared=task.declared, limits=task.limits):
            write(frames(batch))
    except MemoryError:
        return EXIT_OUT_OF_MEMORY
    except BrokenPipeError:
        return 0
    except Exception:
        # Imported only here, because the import takes a tenth of the time of a small report.
        import traceback

        write([failure(traceback.format_exc())])
        return EXIT_FAILED
    return 0


if __name__ == "__main__":
    # Exit at once, because freeing modules and objects only costs time.
    os._exit(main(sys.argv[1:]))
