"""Reads a job report in a process of its own, with limits on memory and CPU time."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import IO

from resolvers.ingest.report import frames
from resolvers.ingest.report.child import OUT_OF_MEMORY, Task
from resolvers.ingest.report.limits import MEBIBYTE, Limits
from resolvers.ingest.report.reader import Batch, Declared, Summary
from resolvers.ingest.report.rejection import Rejection, RejectionCode
from resolvers.ingest.report.stored import Stamp

MEMORY_BYTES = 256 * MEBIBYTE
"""Address space of the reader. Reading takes some 70 MB whatever the size of the report."""
CPU_SECONDS = 20
CPU_SECONDS_FOR_MEBIBYTE = 10
"""A mebibyte of a zipped report takes half a second; several when its rows are in no order or much alike."""
PIPE = MEBIBYTE
KEPT_ENVIRONMENT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")


class ReaderFailed(Exception):
    """The reader itself went wrong; what became of the report is unknown, and it may be tried again."""


@asynccontextmanager
async def read_apart(
    archive: IO[bytes],
    *,
    stamp: Stamp | None = None,
    declared: Declared | None = None,
    limits: Limits | None = None,
    memory_bytes: int = MEMORY_BYTES,
    cpu_seconds: int | None = None,
) -> AsyncIterator[AsyncIterator[Batch]]:
    """Batches as `read_report` gives them, made in a child process that is killed when the block is left.

    `archive` must be a real file (it may be unlinked already). A child that reaches a limit ends the batches with a
    CORRUPT_ARCHIVE rejection and a summary that is refused, after which rows already given must be removed again.
    Raises ReaderFailed when the child ends in any other way.
    """
    seconds = cpu_seconds or cpu_seconds_for(os.fstat(archive.fileno()).st_size)
    task = Task(stamp or Stamp(), declared, limits or Limits(), memory_bytes, seconds)
    process = await _start(archive, task)
    try:
        yield _batches(process, task)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await asyncio.shield(process.wait())


def cpu_seconds_for(size: int) -> int:
    """How many seconds of CPU an archive of so many bytes may take."""
    return CPU_SECONDS + CPU_SECONDS_FOR_MEBIBYTE * size // MEBIBYTE


async def _start(archive: IO[bytes], task: Task) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        # Isolated: neither the directory it starts in nor PYTHON… variables decide what is imported.
        *(sys.executable, "-I", "-m", "resolvers.ingest.report.child", task.encoded()),
        stdin=archive,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        # The environment holds the database's address and keys, which are none of the reader's business.
        env={name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ},
        limit=PIPE,
    )


async def _batches(process: asyncio.subprocess.Process, task: Task) -> AsyncIterator[Batch]:
    assert process.stdout is not None
    prefix = task.stamp.id_prefix.encode()
    try:
        while True:
            batch = await _batch(process.stdout, prefix)
            yield batch
            if batch.summary is not None:
                return
    except asyncio.IncompleteReadError:
        yield _stopped(await process.wait(), task)
    except frames.BadFrame as error:
        raise ReaderFailed(str(error)) from error


async def _batch(pipe: asyncio.StreamReader, prefix: bytes) -> Batch:
    kind, size = frames.HEAD.unpack(await pipe.readexactly(frames.HEAD.size))
    if size > frames.LONGEST:
        raise frames.BadFrame(f"A frame of {size} bytes is too long.")
    payload = await pipe.readexactly(size)
    if kind == frames.ROWS:
        return Batch(frames.rows(payload, prefix))
    if kind == frames.REJECTIONS:
        return Batch(rejections=frames.rejections(payload))
    if kind == frames.CELLS:
        return Batch(cells=frames.usage(payload))
    if kind == frames.SUMMARY:
        return Batch(summary=frames.summary(payload))
    raise ReaderFailed(payload.decode("utf-8", "replace"))


def _stopped(status: int, task: Task) -> Batch:
    """What it means that the child ended without a summary."""
    if status == -signal.SIGXCPU:
        message = f"The reader was stopped after {task.cpu_seconds} seconds of CPU."
    elif status == OUT_OF_MEMORY:
        message = f"The reader was stopped because it needed more than {task.memory_bytes} bytes of memory."
    else:
        raise ReaderFailed(f"The reader of a report ended with status {status} and without a word.")
    rejection = Rejection("", 0, RejectionCode.CORRUPT_ARCHIVE, message, rows=0)
    return Batch(rejections=[rejection], summary=Summary(refused=True))
