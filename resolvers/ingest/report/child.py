"""The process that reads one report: `python -I -m resolvers.ingest.report.child TASK`.

The archive is standard input, which must be a file; batches go to standard output. TASK is JSON, see `Task`.
"""

import gc
import os
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass

import orjson

from resolvers.ingest.report.frames import failure, frames
from resolvers.ingest.report.limits import Limits
from resolvers.ingest.report.reader import Declared, read_report
from resolvers.ingest.report.stored import Stamp

OUT_OF_MEMORY = 70
FAILED = 71
GRACE = 2
"""Seconds of CPU between the signal that names the limit, and the one that cannot be caught."""


@dataclass(frozen=True)
class Task:
    """What a child is asked to read, and what it may use for it."""

    stamp: Stamp
    declared: Declared | None
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
            Declared(**declared) if declared is not None else None,
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
        """Go to a place."""
        self._at = offset
        return offset

    def read(self, size: int, /) -> bytes:
        """At most so many bytes, and none at the end only."""
        part = os.pread(self._number, size, self._at)
        self._at += len(part)
        return part


def confine(task: Task) -> None:
    """Take from this process what a reader does not need. What a system cannot limit stays as it is."""
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
    """Write to standard output, waiting while the reader of the pipe is behind."""
    view = memoryview(b"".join(parts))
    while view:
        view = view[os.write(1, view) :]


def main(arguments: list[str]) -> int:
    """Read the report and answer the status to exit with."""
    task = Task.decoded(arguments[0])
    confine(task)
    # Nothing here forms rings that collection would have to find, and there are many small things to search.
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
    # What was loaded is of no more use; leaving at once saves the time of taking it apart.
    os._exit(main(sys.argv[1:]))
