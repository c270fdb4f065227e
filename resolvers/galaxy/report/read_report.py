"""Reading a job report: the bytes of an archive in, rows and rejections out."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from resolvers.concurrency.garbage_collection import disable_collection
from resolvers.galaxy.report.archive.gzip_reader import Source
from resolvers.galaxy.report.declared_counts import DeclaredCounts
from resolvers.galaxy.report.digest import DIGEST_BYTES, RowsDigest, row_digest
from resolvers.galaxy.report.job_bson import RowPrefix, int32
from resolvers.galaxy.report.limits import Limits
from resolvers.galaxy.report.rejection import ArchiveError, Rejection, RejectionCode
from resolvers.galaxy.report.rejection_log import RejectionLog
from resolvers.galaxy.report.tables.first_pass import index_report
from resolvers.galaxy.report.tables.job_windows import windows
from resolvers.galaxy.report.tables.joiner import JoinedJobs, Joiner
from resolvers.galaxy.report.usage.cells import Cell
from resolvers.galaxy.report.usage.counter import Cells

DIGEST = b"\x05digest\0" + int32(DIGEST_BYTES) + b"\0"
"""The BSON element before the bytes of a digest."""
MAX_BATCH_BYTES = 4 * 1024 * 1024


@dataclass
class Summary:
    """The totals of a report. `digest` is str(RowsDigest) of its rows. If refused, none of its rows may be kept."""

    jobs: int = 0
    metrics: int = 0
    datasets: int = 0
    parameters: int = 0
    rejected: int = 0
    states: dict[str, int] = field(default_factory=dict)
    digest: str = ""
    refused: bool = False


@dataclass
class Batch:
    """At most a thousand rows as whole BSON documents, and rejections. The last batch has the summary.

    `cells` are a chunk of the rows' usage. Each row is counted in one chunk, which may come in a later batch.
    """

    rows: list[bytes] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    summary: Summary | None = None


def read_report(
    source: Source,
    *,
    prefix: RowPrefix | None = None,
    declared: DeclaredCounts | None = None,
    limits: Limits | None = None,
) -> Iterator[Batch]:
    """Batches of the jobs of an archive, and of rejections; the last batch has the summary.

    `source` must be seekable: the archive is read several times, so that memory is bounded whatever its size and
    whatever the order of its rows. Nothing else is read or written, and equal bytes give equal batches. A broken
    archive is refused before its first row is returned. Raises only errors of `source`.
    """
    return _ReportParser(source, prefix or RowPrefix(), declared, limits or Limits()).batches()


class _ReportParser:
    def __init__(self, source: Source, prefix: RowPrefix, declared: DeclaredCounts | None, limits: Limits) -> None:
        self._source = source
        self._declared = declared
        self._limits = limits
        self._prefix = prefix.id_prefix.encode()
        self._common = prefix.to_bson()
        self._rejections = RejectionLog(limits.listed_rejections)
        self._summary = Summary()
        self._states: Counter[str] = Counter()
        self._usage = Cells()
        self._digest = RowsDigest()

    def batches(self) -> Iterator[Batch]:
        try:
            yield from self._rows()
        except ArchiveError as refusal:
            self._rejections.add(refusal.rejection)
            self._summary.refused = True
        except MemoryError:
            message = "The report needs more memory than its parser may have."
            self._rejections.add(Rejection("", 0, RejectionCode.CORRUPT_ARCHIVE, message, rows=0))
            self._summary.refused = True
        yield from self._final_batches()

    def _rows(self) -> Iterator[Batch]:
        index = index_report(self._source, self._limits, self._rejections.add)
        joiner = Joiner(index, self._limits, self._rejections.add, self._usage)
        for window in windows(index, self._limits):
            # A collection would search hundreds of thousands of objects in vain.
            with disable_collection():
                joined = joiner.join(window)
                self._add_counts(joined)
            yield from self._batches_of(joined)
            yield from self._chunks(self._usage.chunks())
        yield from self._chunks(self._usage.remaining_chunks())
        self._compare_with_declared()

    def _add_counts(self, joined: JoinedJobs) -> None:
        summary = self._summary
        summary.jobs += len(joined.heads)
        summary.metrics += sum(map(len, joined.metrics.values()))
        summary.datasets += sum(map(len, joined.datasets.values()))
        summary.parameters += sum(map(len, joined.parameters.values()))

    def _batches_of(self, joined: JoinedJobs) -> Iterator[Batch]:
        for ids, cores in joined.rows():
            digests = list(map(row_digest, cores))
            self._digest.add(digests)
            rows: list[bytes] = []
            size = 0
            for row in map(self._row, ids, cores, digests):
                if rows and size + len(row) > MAX_BATCH_BYTES:
                    yield Batch(rows)
                    rows, size = [], 0
                rows.append(row)
                size += len(row)
            yield Batch(rows, self._rejections.take())
        while self._rejections.has_pending:
            yield Batch(rejections=self._rejections.take())

    def _chunks(self, chunks: Iterator[list[Cell]]) -> Iterator[Batch]:
        for cells in chunks:
            for cell in cells:
                self._states[cell.state] += cell.jobs
            yield Batch(cells=cells)

    def _row(self, id: bytes, core: bytes, digest: bytes) -> bytes:
        """The whole document: the core fields between the id and the digest."""
        id = self._prefix + id
        size = 4 + 9 + len(id) + 1 + len(self._common) + len(core) + len(DIGEST) + DIGEST_BYTES + 1
        return b"".join(
            (int32(size), b"\x02_id\0", int32(len(id) + 1), id, b"\0", self._common, core, DIGEST, digest, b"\0")
        )

    def _compare_with_declared(self) -> None:
        """Add a rejection when the report's numbers of jobs differ from its metadata."""
        if self._declared is None:
            return
        declared = self._declared.states
        states = set(declared) if self._declared.partial else set(declared) | set(self._states)
        wrong = sorted(state for state in states if declared.get(state, 0) != self._states[state])
        if wrong:
            shown = "; ".join(f"{self._states[state]} {state}, not {declared.get(state, 0)}" for state in wrong[:5])
            message = f"The report's numbers of jobs differ from its metadata ({shown}{'; …' if wrong[5:] else ''})."
            self._rejections.add(Rejection("", 0, RejectionCode.COUNT_MISMATCH, message, rows=0))

    def _final_batches(self) -> Iterator[Batch]:
        self._rejections.close()
        summary = self._summary
        if summary.refused:
            summary = Summary(refused=True)
            self._states.clear()
            self._digest = RowsDigest()
        summary.states, summary.digest = dict(self._states), str(self._digest)
        summary.rejected = self._rejections.rows
        batches = [Batch(rejections=self._rejections.take())]
        while self._rejections.has_pending:
            batches.append(Batch(rejections=self._rejections.take()))
        batches[-1].summary = summary
        yield from batches
