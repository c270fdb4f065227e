"""Reading a job report in a subprocess, with limits on memory and CPU time."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import IO

from resolvers.galaxy.report.declared_counts import DeclaredCounts
from resolvers.galaxy.report.job_bson import RowPrefix
from resolvers.galaxy.report.limits import MEBIBYTE, Limits
from resolvers.galaxy.report.read_report import Batch, Summary
from resolvers.galaxy.report.rejection import Rejection, RejectionCode
from resolvers.galaxy.report.sandbox import pipe_frames
from resolvers.galaxy.report.sandbox.child import EXIT_OUT_OF_MEMORY, Task

MAX_MEMORY_BYTES = 256 * MEBIBYTE
"""Address space of the parser. Reading takes some 70 MB whatever the size of the report."""
BASE_CPU_SECONDS = 20
CPU_SECONDS_PER_MEBIBYTE = 10
"""A mebibyte of a zipped report takes half a second; several when its rows are unsorted or very similar."""
PIPE_BUFFER_BYTES = MEBIBYTE
PASSED_ENVIRONMENT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")


class ParserFailed(Exception):
    """The parser itself failed; the fate of the report is unknown, and it may be tried again."""


@asynccontextmanager
async def read_in_subprocess(
    archive: IO[bytes],
    *,
    prefix: RowPrefix | None = None,
    declared: DeclaredCounts | None = None,
    limits: Limits | None = None,
    memory_bytes: int = MAX_MEMORY_BYTES,
    cpu_seconds: int | None = None,
) -> AsyncIterator[AsyncIterator[Batch]]:
    """Batches of `read_report`, made in a child process that is killed when the block is left.

    `archive` must be a real file (it may be unlinked already). A child that reaches a limit ends the batches with a
    CORRUPT_ARCHIVE rejection and a summary that is refused, after which rows already returned must be removed again.
    Raises ParserFailed when the child ends in any other way.
    """
    seconds = cpu_seconds or max_cpu_seconds(os.fstat(archive.fileno()).st_size)
    task = Task(prefix or RowPrefix(), declared, limits or Limits(), memory_bytes, seconds)
    process = await _start(archive, task)
    try:
        yield _read_batches(process, task)
    finally:
        # Process.kill() may reap a child that has just ended before the event loop does, which then warns about an
        # unknown child, and reports 255 (CPython's gh-127049).
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())


def max_cpu_seconds(size: int) -> int:
    """The seconds of CPU that reading an archive of so many bytes may take."""
    return BASE_CPU_SECONDS + CPU_SECONDS_PER_MEBIBYTE * size // MEBIBYTE


async def _start(archive: IO[bytes], task: Task) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        # Isolated mode: neither the working directory nor PYTHON… variables decide what is imported.
        *(sys.executable, "-I", "-m", "resolvers.galaxy.report.sandbox.child", task.to_json()),
        stdin=archive,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        # The environment holds the database's address and keys, which the parser must not see.
        env={name: os.environ[name] for name in PASSED_ENVIRONMENT if name in os.environ},
        limit=PIPE_BUFFER_BYTES,
    )


async def _read_batches(process: asyncio.subprocess.Process, task: Task) -> AsyncIterator[Batch]:
    assert process.stdout is not None
    prefix = task.prefix.id_prefix.encode()
    try:
        while True:
            batch = await _read_batch(process.stdout, prefix)
            yield batch
            if batch.summary is not None:
                return
    except asyncio.IncompleteReadError:
        yield _limit_exceeded_batch(await process.wait(), task)
    except pipe_frames.BadFrame as error:
        raise ParserFailed(str(error)) from error


async def _read_batch(pipe: asyncio.StreamReader, prefix: bytes) -> Batch:
    kind, size = pipe_frames.HEAD.unpack(await pipe.readexactly(pipe_frames.HEAD.size))
    if size > pipe_frames.MAX_FRAME_BYTES:
        raise pipe_frames.BadFrame(f"A frame of {size} bytes is too long.")
    payload = await pipe.readexactly(size)
    if kind == pipe_frames.ROWS:
        return Batch(pipe_frames.parse_rows(payload, prefix))
    if kind == pipe_frames.REJECTIONS:
        return Batch(rejections=pipe_frames.parse_rejections(payload))
    if kind == pipe_frames.CELLS:
        return Batch(cells=pipe_frames.parse_cells(payload))
    if kind == pipe_frames.SUMMARY:
        return Batch(summary=pipe_frames.parse_summary(payload))
    raise ParserFailed(payload.decode("utf-8", "replace"))


def _limit_exceeded_batch(status: int, task: Task) -> Batch:
    """The batch for a child that was stopped at a limit. Raises ParserFailed when it ended in any other way."""
    if status == -signal.SIGXCPU:
        message = f"The parser was stopped after {task.cpu_seconds} seconds of CPU."
    elif status == EXIT_OUT_OF_MEMORY:
        message = f"The parser was stopped because it needed more than {task.memory_bytes} bytes of memory."
    else:
        raise ParserFailed(f"The parser of a report ended with status {status} and without a message.")
    rejection = Rejection("", 0, RejectionCode.CORRUPT_ARCHIVE, message, rows=0)
    return Batch(rejections=[rejection], summary=Summary(refused=True))
