"""The jobs of one window, joined with their metrics, datasets and parameters."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from resolvers.galaxy.report.archive.members import MemberKind
from resolvers.galaxy.report.job_bson import (
    DATASETS,
    EXTERNAL_ID,
    METRICS,
    PARAMETERS,
    DatasetEncoder,
    MetricPrefixCache,
    TimeEncoder,
    ToolFieldsCache,
    arrays,
    int64,
    parameter,
    runtime_field,
)
from resolvers.galaxy.report.limits import Limits
from resolvers.galaxy.report.rejection import Reject, Rejection, RejectionCode, corrupt_archive
from resolvers.galaxy.report.tables.first_pass import ReportIndex
from resolvers.galaxy.report.tables.job_windows import Window
from resolvers.galaxy.report.tables.line_parser import ParsedLines, Row, line_excerpt
from resolvers.galaxy.report.tables.window_rows import MemberRows
from resolvers.galaxy.report.usage.cells import Cell
from resolvers.galaxy.report.usage.counter import DAY_LENGTH, Cells

RUNTIME = b"core\truntime_seconds"
Documents = dict[bytes, list[bytes]]
BATCH_SIZE = 1000
"""Jobs that are assembled at a time."""
MAX_BATCH_BYTES = 4 * 1024 * 1024
_DUPLICATE = "The report has this job on an earlier line."
_NO_TIME = "create_time is not an existing date and time."


@dataclass
class JoinedJobs:
    """Jobs of a window by their number as written. `heads` are their first fields, in the order of lines."""

    heads: dict[bytes, bytes] = field(default_factory=dict)
    metrics: Documents = field(default_factory=dict)
    datasets: Documents = field(default_factory=dict)
    parameters: Documents = field(default_factory=dict)
    runtimes: dict[bytes, bytes] = field(default_factory=dict)
    text_bytes: Counter[bytes] = field(default_factory=Counter)
    cells: list[Cell] = field(default_factory=list)
    """The usage cell of each of `heads`."""
    size: int = 0
    """Bytes of the rows in the report."""

    def rows(self) -> Iterator[tuple[list[bytes], list[bytes]]]:
        """Batches of jobs: their numbers, and their fields from external_id to parameters."""
        ids, heads, times = iter(self.heads), iter(self.heads.values()), self.runtimes.get
        embedded = ((METRICS, self.metrics), (DATASETS, self.datasets), (PARAMETERS, self.parameters))
        columns = [(name, iter(documents.values())) for name, documents in embedded]
        count = max(1, min(BATCH_SIZE, MAX_BATCH_BYTES * len(self.heads) // max(1, self.size)))
        while batch := list(islice(ids, count)):
            fields = [arrays(name, list(islice(documents, count))) for name, documents in columns]
            runtimes = [runtime_field(times(id)) for id in batch]
            yield batch, list(map(b"".join, zip(islice(heads, count), runtimes, *fields, strict=True)))


class Joiner:
    """Joins the members of a report, one window after another, in ascending order, and counts its jobs as usage."""

    def __init__(self, index: ReportIndex, limits: Limits, reject: Reject, usage: Cells) -> None:
        self._limits = limits
        self._reject = reject
        self._usage = usage
        self._members = [
            MemberRows(index.members[kind], limits, reject) for kind in MemberKind if kind in index.members
        ]
        self._tools = ToolFieldsCache()
        self._times = TimeEncoder()
        self._heads = MetricPrefixCache()
        self._datasets = DatasetEncoder()
        self._adders = {
            MemberKind.JOBS: self._add_jobs,
            MemberKind.METRIC_NUM: self._add_metrics,
            MemberKind.METRIC_TXT: self._add_text_metrics,
            MemberKind.PARAMS: self._add_parameters,
            MemberKind.DATASETS: self._add_datasets,
        }

    def join(self, window: Window) -> JoinedJobs:
        """The jobs of a window. Rows of missing jobs are rejected, and each bad line is rejected once."""
        joined = JoinedJobs()
        for member in self._members:
            add = self._adders[member.kind]
            for parsed in member.of(window):
                add(joined, parsed, member.name)
                joined.size += parsed.size
                if joined.size > self._limits.max_window_bytes:
                    raise corrupt_archive(
                        "The rows of the report are in an order that cannot be joined in bounded memory."
                    )
        self._usage.add_runtimes(joined.cells, map(joined.runtimes.get, joined.heads))
        return joined

    def _add_jobs(self, joined: JoinedJobs, parsed: ParsedLines, member: str) -> None:
        heads, tools, at = joined.heads, self._tools, self._times.field
        cells, usage = joined.cells, self._usage
        metrics, datasets, parameters = joined.metrics, joined.datasets, joined.parameters
        for line, (id, piece, time) in zip(parsed.lines, parsed.rows, strict=True):
            if id in heads:
                self._reject_row(
                    MemberKind.JOBS, member, line, (id, piece, time), RejectionCode.DUPLICATE_KEY, _DUPLICATE
                )
                continue
            try:
                heads[id] = EXTERNAL_ID + int64(int(id)) + tools[piece] + at(time)
            except ValueError:
                self._reject_row(
                    MemberKind.JOBS, member, line, (id, piece, time), RejectionCode.BAD_TIMESTAMP, _NO_TIME
                )
                continue
            cells.append(cell := usage[piece + time[:DAY_LENGTH]])
            cell.jobs += 1
            metrics[id], datasets[id], parameters[id] = [], [], []

    def _add_metrics(self, joined: JoinedJobs, parsed: ParsedLines, member: str) -> None:
        of, heads, limit = joined.metrics.get, self._heads, self._limits.job_metrics
        for line, row in zip(parsed.lines, parsed.rows, strict=True):
            id, piece, value = row
            metrics = of(id)
            if metrics is None or len(metrics) >= limit:
                self._reject_unplaced(MemberKind.METRIC_NUM, member, line, row, metrics is None)
                continue
            metrics.append(heads[piece, len(value)] + value + b"\0\0")
            if piece == RUNTIME:
                joined.runtimes.setdefault(id, value)

    def _add_text_metrics(self, joined: JoinedJobs, parsed: ParsedLines, member: str) -> None:
        for line, row in zip(parsed.lines, parsed.rows, strict=True):
            id, piece, value = row
            metrics = joined.metrics.get(id)
            full = metrics is not None and len(metrics) >= self._limits.job_metrics
            if metrics is None or full or not self._reserve_text_bytes(joined, id, len(piece) + len(value)):
                self._reject_unplaced(MemberKind.METRIC_TXT, member, line, row, metrics is None)
                continue
            metrics.append(self._heads[piece, len(value)] + value + b"\0\0")

    def _add_datasets(self, joined: JoinedJobs, parsed: ParsedLines, member: str) -> None:
        of, document, limit = joined.datasets.get, self._datasets.document, self._limits.job_datasets
        for line, row in zip(parsed.lines, parsed.rows, strict=True):
            id, dataset, extension, size, rest = row
            datasets = of(id)
            if datasets is None or len(datasets) >= limit:
                self._reject_unplaced(MemberKind.DATASETS, member, line, row, datasets is None)
                continue
            datasets.append(document(dataset, extension, size, rest))

    def _add_parameters(self, joined: JoinedJobs, parsed: ParsedLines, member: str) -> None:
        for line, row in zip(parsed.lines, parsed.rows, strict=True):
            id, name, value = row
            parameters = joined.parameters.get(id)
            try:
                document = parameter(name, value)
            except ValueError:
                self._reject_row(
                    MemberKind.PARAMS, member, line, row, RejectionCode.MALFORMED_ROW, "value is not JSON."
                )
                continue
            full = parameters is not None and len(parameters) >= self._limits.job_parameters
            if parameters is None or full or not self._reserve_text_bytes(joined, id, len(document)):
                self._reject_unplaced(MemberKind.PARAMS, member, line, row, parameters is None)
                continue
            parameters.append(document)

    def _reserve_text_bytes(self, joined: JoinedJobs, id: bytes, size: int) -> bool:
        """Reserve room for a text in a job; returns whether there is room."""
        if joined.text_bytes[id] + size > self._limits.job_text_bytes:
            return False
        joined.text_bytes[id] += size
        return True

    def _reject_unplaced(self, kind: MemberKind, member: str, line: int, row: Row, orphan: bool) -> None:
        job = row[0].decode()
        if orphan:
            message = f"The report has no valid job {job}."
            self._reject_row(kind, member, line, row, RejectionCode.ORPHAN_ROW, message)
        else:
            message = f"Job {job} has more of these rows than one document may hold."
            self._reject_row(kind, member, line, row, RejectionCode.TOO_LONG, message)

    def _reject_row(
        self, kind: MemberKind, member: str, line: int, row: Row, code: RejectionCode, message: str
    ) -> None:
        self._reject(Rejection(member, line, code, message, line_excerpt(kind, b"\t".join(row))))
