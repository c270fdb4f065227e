"""The process that reads one report: `python -I -m resolvers.galaxy.report.sandbox.child TASK`.

The archive is standard input, which must be a file; batches go to standard output. TASK is JSON, see `Task`.
"""

import gc
import os
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass

import orjson

from resolvers.galaxy.report.job_bson import Stamp
from resolvers.galaxy.report.limits import Limits
from resolvers.galaxy.report.read_report import DeclaredCounts, read_report
from resolvers.galaxy.report.sandbox.pipe_frames import failure, frames

OUT_OF_MEMORY = 70
FAILED = 71
GRACE = 2
"""Seconds of CPU between the signal that reports the limit, and the one that cannot be caught."""


@dataclass(frozen=True)
class Task:
    """The task of a child: what to read, and the limits for it."""

    stamp: Stamp
    declared: DeclaredCounts | None
    limits: Limits
    memory_bytes: int
    cpu_seconds: int

    def encoded(self) -> str:
        """The task as an argument of the command line."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def decoded(cls, text: str) -> "Task":
        """The task that an argument holds."""
        value = orjson.loads(text)
        declared = value["declared"]
        return cls(
            Stamp(**value["stamp"]),
            DeclaredCounts(**declared) if declared is not None else None,
            Limits(**value["limits"]),
            value["memory_bytes"],
            value["cpu_seconds"],
        )


class Descriptor:
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


def confine(task: Task) -> None:
    """Restrict this process to the resources that a reader needs. Limits that a system does not support are skipped."""
    try:
        import resource
    except ImportError:
        return
    bounds = {
        "RLIMIT_CPU": (task.cpu_seconds, task.cpu_seconds + GRACE),
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
    task = Task.decoded(arguments[0])
    confine(task)
    # Nothing here forms reference cycles, and there are many small objects that a collection would search.
    gc.disable()
    try:
        for batch in read_report(Descriptor(0), stamp=task.stamp, declared=task.declared, limits=task.limits):
            write(frames(batch))
    except MemoryError:
        return OUT_OF_MEMORY
    except BrokenPipeError:
        return 0
    except Exception:
        # Loaded only now, because it takes a tenth of the time that a small report does.
        import traceback

        write([failure(traceback.format_exc())])
        return FAILED
    return 0


if __name__ == "__main__":
    # Exit at once: freeing what was loaded only costs time.
    os._exit(main(sys.argv[1:]))
