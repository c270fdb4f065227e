"""The jobs of one window, joined with their metrics, datasets and parameters."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from resolvers.galaxy.report.archive.members import Kind
from resolvers.galaxy.report.job_bson import (
    DATASETS,
    EXTERNAL_ID,
    METRICS,
    PARAMETERS,
    Datasets,
    MetricHeads,
    Times,
    Tools,
    arrays,
    int64,
    parameter,
    runtime_field,
)
from resolvers.galaxy.report.limits import Limits
from resolvers.galaxy.report.rejection import Reject, Rejection, RejectionCode, corrupt
from resolvers.galaxy.report.tables.first_pass import Survey
from resolvers.galaxy.report.tables.job_windows import Window
from resolvers.galaxy.report.tables.line_parser import ParsedLines, Row, shown_line
from resolvers.galaxy.report.tables.window_rows import Rows
from resolvers.galaxy.report.usage.cells import Cell
from resolvers.galaxy.report.usage.counter import DAY, Cells

RUNTIME = b"core\truntime_seconds"
Documents = dict[bytes, list[bytes]]
TOGETHER = 1000
"""Jobs that are assembled at a time."""
TOGETHER_BYTES = 4 * 1024 * 1024
_DUPLICATE = "The report has this job on an earlier line."
_NO_TIME = "create_time is not an existing date and time."


@dataclass
class Joined:
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
        """The numbers of some jobs, and their fields from external_id to parameters; as many at a time as fit well."""
        ids, heads, times = iter(self.heads), iter(self.heads.values()), self.runtimes.get
        embedded = ((METRICS, self.metrics), (DATASETS, self.datasets), (PARAMETERS, self.parameters))
        columns = [(name, iter(documents.values())) for name, documents in embedded]
        count = max(1, min(TOGETHER, TOGETHER_BYTES * len(self.heads) // max(1, self.size)))
        while some := list(islice(ids, count)):
            fields = [arrays(name, list(islice(documents, count))) for name, documents in columns]
            runtimes = [runtime_field(times(id)) for id in some]
            yield some, list(map(b"".join, zip(islice(heads, count), runtimes, *fields, strict=True)))


class Joiner:
    """Joins the members of a report, one window after another, in ascending order, and counts its jobs as usage."""

    def __init__(self, found: Survey, limits: Limits, reject: Reject, usage: Cells) -> None:
        self._limits = limits
        self._reject = reject
        self._usage = usage
        self._members = [Rows(found.members[kind], limits, reject) for kind in Kind if kind in found.members]
        self._tools = Tools()
        self._times = Times()
        self._heads = MetricHeads()
        self._datasets = Datasets()
        self._takes = {
            Kind.JOBS: self._take_jobs,
            Kind.METRIC_NUM: self._take_metrics,
            Kind.METRIC_TXT: self._take_texts,
            Kind.PARAMS: self._take_parameters,
            Kind.DATASETS: self._take_datasets,
        }

    def join(self, window: Window) -> Joined:
        """The jobs of a window. Rows of missing jobs are rejected, and each bad line is rejected once."""
        joined = Joined()
        for member in self._members:
            take = self._takes[member.kind]
            for parsed in member.of(window):
                take(joined, parsed, member.name)
                joined.size += parsed.size
                if joined.size > self._limits.window_ceiling:
                    raise corrupt("The rows of the report are in an order that cannot be joined in bounded memory.")
        self._usage.add_runtimes(joined.cells, map(joined.runtimes.get, joined.heads))
        return joined

    def _take_jobs(self, joined: Joined, parsed: ParsedLines, member: str) -> None:
        heads, tools, at = joined.heads, self._tools, self._times.field
        cells, usage = joined.cells, self._usage
        metrics, datasets, parameters = joined.metrics, joined.datasets, joined.parameters
        for line, (id, piece, time) in zip(parsed.lines, parsed.rows, strict=True):
            if id in heads:
                self._refuse(Kind.JOBS, member, line, (id, piece, time), RejectionCode.DUPLICATE_KEY, _DUPLICATE)
                continue
            try:
                heads[id] = EXTERNAL_ID + int64(int(id)) + tools[piece] + at(time)
            except ValueError:
                self._refuse(Kind.JOBS, member, line, (id, piece, time), RejectionCode.BAD_TIMESTAMP, _NO_TIME)
                continue
            cells.append(cell := usage[piece + time[:DAY]])
            cell.jobs += 1
            metrics[id], datasets[id], parameters[id] = [], [], []

    def _take_metrics(self, joined: Joined, parsed: ParsedLines, member: str) -> None:
        of, heads, most = joined.metrics.get, self._heads, self._limits.job_metrics
        for line, row in zip(parsed.lines, parsed.rows, strict=True):
            id, piece, value = row
            metrics = of(id)
            if metrics is None or len(metrics) >= most:
                self._misfit(Kind.METRIC_NUM, member, line, row, metrics is None)
                continue
            metrics.append(heads[piece, len(value)] + value + b"\0\0")
            if piece == RUNTIME:
                joined.runtimes.setdefault(id, value)

    def _take_texts(self, joined: Joined, parsed: ParsedLines, member: str) -> None:
        for line, row in zip(parsed.lines, parsed.rows, strict=True):
            id, piece, value = row
            metrics = joined.metrics.get(id)
            full = metrics is not None and len(metrics) >= self._limits.job_metrics
            if metrics is None or full or not self._fits(joined, id, len(piece) + len(value)):
                self._misfit(Kind.METRIC_TXT, member, line, row, metrics is None)
                continue
            metrics.append(self._heads[piece, len(value)] + value + b"\0\0")

    def _take_datasets(self, joined: Joined, parsed: ParsedLines, member: str) -> None:
        of, document, most = joined.datasets.get, self._datasets.document, self._limits.job_datasets
        for line, row in zip(parsed.lines, parsed.rows, strict=True):
            id, dataset, extension, size, rest = row
            datasets = of(id)
            if datasets is None or len(datasets) >= most:
                self._misfit(Kind.DATASETS, member, line, row, datasets is None)
                continue
            datasets.append(document(dataset, extension, size, rest))

    def _take_parameters(self, joined: Joined, parsed: ParsedLines, member: str) -> None:
        for line, row in zip(parsed.lines, parsed.rows, strict=True):
            id, name, value = row
            parameters = joined.parameters.get(id)
            try:
                document = parameter(name, value)
            except ValueError:
                self._refuse(Kind.PARAMS, member, line, row, RejectionCode.MALFORMED_ROW, "value is not JSON.")
                continue
            full = parameters is not None and len(parameters) >= self._limits.job_parameters
            if parameters is None or full or not self._fits(joined, id, len(document)):
                self._misfit(Kind.PARAMS, member, line, row, parameters is None)
                continue
            parameters.append(document)

    def _fits(self, joined: Joined, id: bytes, size: int) -> bool:
        """Reserve room for a text in a job; returns whether there was room."""
        if joined.text_bytes[id] + size > self._limits.job_text_bytes:
            return False
        joined.text_bytes[id] += size
        return True

    def _misfit(self, kind: Kind, member: str, line: int, row: Row, orphan: bool) -> None:
        job = row[0].decode()
        if orphan:
            message = f"The report has no valid job {job}."
            self._refuse(kind, member, line, row, RejectionCode.ORPHAN_ROW, message)
        else:
            message = f"Job {job} has more of these rows than one document may hold."
            self._refuse(kind, member, line, row, RejectionCode.TOO_LONG, message)

    def _refuse(self, kind: Kind, member: str, line: int, row: Row, code: RejectionCode, message: str) -> None:
        self._reject(Rejection(member, line, code, message, shown_line(kind, b"\t".join(row))))
