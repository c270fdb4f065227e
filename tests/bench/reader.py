"""`python -m tests.bench.reader`: how fast job reports are read, in this process and in a confined one."""

import asyncio
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Annotated

import typer

from resolvers.galaxy.report.job_bson import RowPrefix
from resolvers.galaxy.report.read_report import read_report
from resolvers.galaxy.report.sandbox.run_sandbox import read_in_subprocess
from tests.bench.reports import in_disorder, write_report

PREFIX = RowPrefix(
    "job_instance_6b00f9134c1f0a5b2e8d7c90_1_",
    {
        "instance_ref": "instance_6b00f9134c1f0a5b2e8d7c90",
        "generation_ref": "generation_6b00f9134c1f0a5b2e8d7c91",
        "archive_ref": "archive_6b00f9134c1f0a5b2e8d7c92",
    },
)


def main(
    jobs: Annotated[int, typer.Argument(help="Jobs in the report, with five metrics and two datasets each.")] = 200_000,
    disorder: Annotated[bool, typer.Option("--disorder", help="Put the rows of each member in any order.")] = False,
    report: Annotated[Path | None, typer.Option(help="A report (.tar.gz) to read instead.")] = None,
) -> None:
    """Print jobs a second and memory of the parser, in this process and in a child."""
    with report.open("rb") if report else tempfile.TemporaryFile() as archive:
        if not report:
            write_report(archive, jobs)
        source: IO[bytes] = archive
        if disorder:
            shuffled = tempfile.TemporaryFile()  # noqa: SIM115
            shuffled.write(in_disorder(archive.read()))
            source = shuffled
        source.seek(0, 2)
        print(f"{source.tell() / 1e6:.1f} MB zipped")
        asyncio.run(_through_child(source))
        _in_process(source)


async def _through_child(source: IO[bytes]) -> None:
    began, rows, size, first = time.perf_counter(), 0, 0, 0.0
    async with read_in_subprocess(source, prefix=PREFIX) as batches:
        async for batch in batches:
            first = first or time.perf_counter() - began
            rows += len(batch.rows)
            size += sum(map(len, batch.rows))
    took = time.perf_counter() - began
    child = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"through a child: {rows:,} jobs, {rows / took:,.0f} jobs/s, {size / max(rows, 1):.0f} bytes of BSON a job")
    print(f"    first batch after {first:.2f} s; child: {child.ru_utime + child.ru_stime:.1f} s of CPU,", end=" ")
    print(f"{_mebibytes(child.ru_maxrss):.0f} MiB; this process: {time.process_time():.1f} s of CPU")


def _in_process(source: IO[bytes]) -> None:
    began, rows = time.process_time(), 0
    for batch in read_report(source, prefix=PREFIX):
        rows += len(batch.rows)
    took = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"in process: {rows:,} jobs, {rows / took:,.0f} jobs/s of CPU, peak memory {_mebibytes(peak):.0f} MiB")


def _mebibytes(peak: int) -> float:
    """A peak of memory, which Linux counts in kibibytes and macOS in bytes."""
    return peak / 1024**2 if sys.platform == "darwin" else peak / 1024


if __name__ == "__main__":
    typer.run(main)
