"""Job reports of any size, written as fast as they can be compressed."""

import io
import random
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import IO

PART = 10_000
START = datetime(2019, 1, 1)
TOOLS = [(f"toolshed.example.org/repos/owner/suite_{n}/tool_{n}/1.{n % 7}", f"1.{n % 7}") for n in range(300)]
STATES = ["ok"] * 18 + ["error", "error", "deleted", "paused"]
HEADERS = {
    "jobs": "id\ttool_id\ttool_version\tstate\tcreate_time",
    "metric_num": "job_id\tplugin\tname\tvalue",
    "datasets": "job_id\tdataset_id\textension\tfile_size\tparam_name\ttype",
}


def write_report(to: IO[bytes], jobs: int, first: int = 1) -> None:
    """A version 3 report: each job with five metrics and two datasets, members in the order of jobs."""
    makers: dict[str, Callable[[int], str]] = {"jobs": _job, "metric_num": _metrics, "datasets": _datasets}
    with tarfile.open(fileobj=to, mode="w:gz", compresslevel=6) as tar:
        for name, maker in makers.items():
            with tempfile.TemporaryFile() as body:
                body.write(f"{HEADERS[name]}\n".encode())
                for part in _parts(maker, jobs, first):
                    body.write(part)
                entry = tarfile.TarInfo(f"reports/1546300800.25.{name}.tsv")
                entry.size = body.tell()
                body.seek(0)
                tar.addfile(entry, body)
    to.seek(0)


def _parts(maker: Callable[[int], str], jobs: int, first: int) -> Iterator[bytes]:
    for start in range(first, first + jobs, PART):
        yield "".join(map(maker, range(start, min(start + PART, first + jobs)))).encode()


def _job(job: int) -> str:
    tool, version = TOOLS[job * 7919 % 300]
    at = START + timedelta(seconds=job * 13, microseconds=job * 7907 % 1_000_000)
    return f"{job}\t{tool}\t{version}\t{STATES[job * 31 % 22]}\t{at}\n"


def _metrics(job: int) -> str:
    run = job * 7919 % 5000 + 1
    start = 1_546_300_800 + job * 13
    return (
        f"{job}\tcore\tgalaxy_slots\t{job % 4 + 1}.0000000\n"
        f"{job}\tcore\tstart_epoch\t{start}.0000000\n"
        f"{job}\tcore\tend_epoch\t{start + run}.0000000\n"
        f"{job}\tcore\truntime_seconds\t{run}.0000000\n"
        f"{job}\tcgroup\tmemory.max_usage_in_bytes\t{job * 104_729 % 10**9}.0000000\n"
    )


def _datasets(job: int) -> str:
    used = f"{job}\t{2 * job}\tbam\t{job * 7 % 990}0000000\tinput1\tinput\n"
    return f"{used}{job}\t{2 * job + 1}\ttxt\t-1\tout_file1\toutput\n"


def in_disorder(report: bytes, seed: int = 0) -> bytes:
    """The report with the rows of each member in random order."""
    written = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(report)) as source, tarfile.open(fileobj=written, mode="w:gz") as target:
        for entry in source:
            member = source.extractfile(entry)
            assert member is not None
            header, *rows = member.read().splitlines(keepends=True)
            random.Random(seed).shuffle(rows)
            target.addfile(entry, io.BytesIO(header + b"".join(rows)))
    return written.getvalue()
