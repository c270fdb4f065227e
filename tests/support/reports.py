"""Job reports made by code: small ones, and broken ones."""

import gzip
import io
import tarfile
from collections.abc import Iterator
from typing import Any

import bson

from resolvers.galaxy.report.read_report import Batch, Summary, read_report
from resolvers.galaxy.report.rejection import Rejection
from resolvers.galaxy.report.usage.cells import Cell

HEADERS = {
    "jobs": "id\ttool_id\ttool_version\tstate\tcreate_time",
    "metric_num": "job_id\tplugin\tname\tvalue",
    "metric_txt": "job_id\tplugin\tname\tvalue",
    "params": "job_id\tname\tvalue",
    "datasets": "job_id\tdataset_id\textension\tfile_size\tparam_name\ttype",
}
JOB = "7\tcat1\t1.0.0\tok\t2019-01-01 18:35:08.701185"


def entry(name: str, content: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """An entry of an archive; `fields` are attributes of its TarInfo."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def member(kind: str, *rows: str, end: str = "\n", mark: str = "") -> tuple[tarfile.TarInfo, bytes]:
    """A member with its header and rows."""
    return entry(f"reports/1.5.{kind}.tsv", (mark + "".join(f"{row}{end}" for row in (HEADERS[kind], *rows))).encode())


def tar(*entries: tuple[tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    """The entries as a tar file."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=format) as archive:
        for info, content in entries:
            archive.addfile(info, io.BytesIO(content))
    return written.getvalue()


def archive(*entries: tuple[tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    """The entries as a gzipped tar file."""
    return gzip.compress(tar(*entries, format=format))


def report(**members: list[str]) -> bytes:
    """A report of members, by the ends of their names."""
    return archive(*(member(kind, *rows) for kind, rows in members.items()))


class Reading:
    """Everything that reading a report gave."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self.batches = list(batches)
        self.raw = [row for batch in self.batches for row in batch.rows]
        self.jobs: list[dict[str, Any]] = [bson.decode(row) for row in self.raw]
        self.rejections: list[Rejection] = [one for batch in self.batches for one in batch.rejections]
        self.cells: list[Cell] = [one for batch in self.batches for one in batch.cells]
        last = self.batches[-1].summary
        assert last is not None
        self.summary: Summary = last

    @property
    def faults(self) -> list[tuple[str, int, str]]:
        """The member's extension, the line and the code of each rejection."""
        return [(one.member.removesuffix(".tsv").split(".")[-1], one.line, one.code.value) for one in self.rejections]


def read(content: bytes, **options: Any) -> Reading:
    """Read a report in this process."""
    return Reading(read_report(io.BytesIO(content), **options))
