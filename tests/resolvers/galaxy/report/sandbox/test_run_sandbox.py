"""Reading in a process of its own: the same rows, and an end to whatever takes too much."""

import asyncio
import io
import os
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, Any

import pytest

from resolvers.galaxy.report.declared_counts import DeclaredCounts
from resolvers.galaxy.report.job_bson import RowPrefix
from resolvers.galaxy.report.limits import MEBIBYTE, Limits
from resolvers.galaxy.report.read_report import Batch, read_report
from resolvers.galaxy.report.sandbox import pipe_frames
from resolvers.galaxy.report.sandbox.run_sandbox import ParserFailed, max_cpu_seconds, read_in_subprocess
from tests.bench.reports import in_disorder, write_report
from tests.support.patience import within
from tests.support.reports import JOB, report

PREFIX = RowPrefix("job_i_1_", {"instance_ref": "instance_i"})
linux = pytest.mark.skipif(sys.platform != "linux", reason="Only Linux keeps to a limit of memory, and has /proc.")


def file_of(content: bytes) -> IO[bytes]:
    """A real file, which a child can be given."""
    file = tempfile.TemporaryFile()  # noqa: SIM115
    file.write(content)
    file.flush()
    return file


def many_jobs(jobs: int) -> bytes:
    to = io.BytesIO()
    write_report(to, jobs)
    return to.getvalue()


async def read(content: bytes, **options: Any) -> list[Batch]:
    """All batches of a report, through a child."""
    with file_of(content) as file:
        async with read_in_subprocess(file, **options) as batches:
            return [batch async for batch in batches]


def refusal(batches: list[Batch]) -> str:
    """Why a report was refused."""
    summary = batches[-1].summary
    assert summary is not None
    assert summary.refused
    (*_, last) = [one for batch in batches for one in batch.rejections]
    return f"{last.code}: {last.message}"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.subprocess.Process]:
    """The processes that were started."""
    processes: list[asyncio.subprocess.Process] = []
    start = asyncio.create_subprocess_exec

    async def starting(*arguments: Any, **options: Any) -> asyncio.subprocess.Process:
        processes.append(await start(*arguments, **options))
        return processes[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", starting)
    return processes


async def test_a_child_gives_what_this_process_gives() -> None:
    content = many_jobs(5_000)
    declared = DeclaredCounts({"ok": 3})

    through_child = await read(content, prefix=PREFIX, declared=declared)

    here = list(read_report(io.BytesIO(content), prefix=PREFIX, declared=declared))
    assert [row for batch in through_child for row in batch.rows] == [row for batch in here for row in batch.rows]
    assert [one for batch in through_child for one in batch.rejections] == here[-1].rejections
    assert through_child[-1].summary == here[-1].summary


async def test_a_broken_archive_is_refused_by_the_child() -> None:
    batches = await read(report(jobs=[JOB])[:-20])

    assert [one.code for batch in batches for one in batch.rejections] == ["CORRUPT_ARCHIVE"]
    assert batches[-1].summary is not None
    assert batches[-1].summary.refused


async def test_the_position_of_the_file_is_neither_used_nor_moved() -> None:
    with file_of(report(jobs=[JOB])) as file:
        file.seek(3)
        async with read_in_subprocess(file) as batches:
            rows = [row async for batch in batches for row in batch.rows]
        assert (len(rows), file.tell()) == (1, 3)


@linux
async def test_memory_does_not_grow_with_the_report() -> None:
    # Held in memory, the rows of these jobs would take some 200 MB.
    batches = await read(many_jobs(60_000), memory_bytes=100 * MEBIBYTE)

    assert batches[-1].summary is not None
    assert (batches[-1].summary.jobs, batches[-1].summary.refused) == (60_000, False)


@linux
async def test_a_report_that_takes_too_much_memory_is_refused() -> None:
    limits = Limits(window_bytes=1024 * MEBIBYTE, max_window_bytes=1024 * MEBIBYTE)

    batches = await read(many_jobs(60_000), limits=limits, memory_bytes=64 * MEBIBYTE)

    assert refusal(batches).startswith("CORRUPT_ARCHIVE: The re")
    assert "memory" in refusal(batches)


async def test_a_report_that_takes_too_long_is_refused() -> None:
    # So small windows of rows in disorder are very much work.
    limits = Limits(window_bytes=16_384)

    batches = await read(in_disorder(many_jobs(10_000)), limits=limits, cpu_seconds=1)

    assert refusal(batches) == "CORRUPT_ARCHIVE: The parser was stopped after 1 seconds of CPU."


async def test_leaving_early_ends_a_child_that_waited_for_its_reader(started: list[Any]) -> None:
    with file_of(many_jobs(10_000)) as file:
        async with read_in_subprocess(file) as batches:
            first = await anext(batches)
            assert (len(first.rows), started[0].returncode) == (1000, None)

    assert started[0].returncode == -9


@linux
async def test_the_exit_code_of_a_child_that_has_just_ended_is_left_to_the_event_loop(
    started: list[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    left, collect = threading.Event(), os.waitpid

    def collect_late(pid: int, options: int) -> tuple[int, int]:
        if threading.current_thread() is not threading.main_thread():
            left.wait()
        return collect(pid, options)

    monkeypatch.setattr(os, "waitpid", collect_late)
    with file_of(report(jobs=[JOB])) as file:
        async with read_in_subprocess(file) as batches:
            rows = [row async for batch in batches for row in batch.rows]
            await asyncio.to_thread(os.waitid, os.P_PID, started[0].pid, os.WEXITED | os.WNOWAIT)
            asyncio.get_running_loop().call_soon(left.set)

    assert (len(rows), started[0].returncode, caplog.messages) == (1, 0, [])


async def test_cancelling_ends_the_child(started: list[Any]) -> None:
    reading = asyncio.create_task(read(many_jobs(10_000)))
    async with asyncio.timeout(within()):
        while not started:
            await asyncio.sleep(0.01)
    reading.cancel()

    with pytest.raises(asyncio.CancelledError):
        await reading
    assert started[0].returncode == -9


async def test_a_child_that_somebody_kills_is_no_verdict_on_the_report(started: list[Any]) -> None:
    with file_of(many_jobs(10_000)) as file:
        async with read_in_subprocess(file) as batches:
            await anext(batches)
            started[0].kill()
            with pytest.raises(ParserFailed, match="status -9"):
                [batch async for batch in batches]


async def test_an_error_of_the_parser_itself_is_raised_with_its_trace() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe, pytest.raises(ParserFailed, match="Illegal seek"):
        async with read_in_subprocess(pipe) as batches:
            [batch async for batch in batches]


@linux
async def test_the_child_knows_no_secrets_and_may_write_no_file(
    started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVENANCE_DATABASE_URL", "mongodb://user:secret@127.0.0.1/")
    with file_of(many_jobs(10_000)) as file:
        async with read_in_subprocess(file) as batches:
            await anext(batches)
            process = Path(f"/proc/{started[0].pid}")
            environment, limits = (process / "environ").read_bytes(), (process / "limits").read_text()

    assert b"secret" not in environment
    assert "Max file size 0 0 bytes" in " ".join(limits.split())


def test_larger_reports_may_take_longer() -> None:
    assert [max_cpu_seconds(size) for size in (0, 1000, 50 * MEBIBYTE)] == [20, 20, 520]


def test_rows_of_another_report_are_not_accepted() -> None:
    (batch, *_) = read_report(io.BytesIO(report(jobs=[JOB])), prefix=PREFIX)
    row = batch.rows[0]

    assert pipe_frames.parse_rows(row + row, b"job_i_1_") == [row, row]
    for payload, prefix in ((row, b"job_i_2_"), (row[:-1], b"job_i_1_"), (b"\xff" * 9, b""), (b"\5\0\0\0\0", b"")):
        with pytest.raises(pipe_frames.BadFrame):
            pipe_frames.parse_rows(payload, prefix)


@pytest.mark.parametrize("payload", [b"", b"{}x", b'[{"member": ""}]', b'[{"code": "NO_CODE"}]', b"[1]", b"1"])
def test_frames_that_make_no_sense_are_not_accepted(payload: bytes) -> None:
    with pytest.raises(pipe_frames.BadFrame):
        pipe_frames.parse_rejections(payload)
    with pytest.raises(pipe_frames.BadFrame):
        pipe_frames.parse_summary(payload)


async def test_a_child_that_talks_nonsense_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nonsense(pipe: asyncio.StreamReader, prefix: bytes) -> Batch:
        raise pipe_frames.BadFrame("Nonsense.")

    monkeypatch.setattr("resolvers.galaxy.report.sandbox.run_sandbox._read_batch", nonsense)

    with pytest.raises(ParserFailed, match="Nonsense"):
        await read(report(jobs=[JOB]))
