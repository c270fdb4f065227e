"""Exports archives to a destination: below `jobs` a file for each archive and month, below `reports` one row for each.

File names are made from the archive and the parser version, so that repeated exports write the same files. The row
below `reports` comes last: where it exists, the export of the archive is complete and is skipped.
"""

import asyncio
import tempfile
from dataclasses import dataclass
from datetime import UTC
from enum import StrEnum
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from documents.storage.export_destination import ExportDestination
from resolvers.galaxy.ingest.spool import UnreadableArchive, copy_to_file
from resolvers.galaxy.parquet.arrow_schema import Origin, record_batch, schema
from resolvers.galaxy.parquet.month_partitions import MonthPartitions, open_partitions
from resolvers.galaxy.readable_archives import reported_at
from resolvers.galaxy.report import PARSER_VERSION
from resolvers.galaxy.report.read_report import Summary
from resolvers.galaxy.report.rejection import Rejection
from resolvers.galaxy.report.sandbox.run_sandbox import ParserFailed, read_in_subprocess
from resolvers.reads.rows import Row

WITH_PARAMETERS = "with_parameters/"
"""Key prefix of exports with parameters, so that access to them can be restricted."""
_TIME = pa.timestamp("ms", tz="UTC")
REPORTS = pa.schema(
    {
        "archive": pa.string(),
        "identifier": pa.string(),
        "sha256": pa.string(),
        "parser_version": pa.string(),
        "reported_at": _TIME,
        "received_at": _TIME,
        "jobs": pa.int64(),
        "metrics": pa.int64(),
        "datasets": pa.int64(),
        "rejected": pa.int64(),
        "refused": pa.string(),
    }
)
"""The columns of a table of reports, beside `instance`. `refused` says why nothing of the report could be read."""


class ExportStatus(StrEnum):
    """The outcome of exporting an archive."""

    EXPORTED = "exported"
    EXISTS = "there already"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True)
class ExportOutcome:
    """The outcome for an archive, the number of jobs written, and why there are none."""

    status: ExportStatus
    jobs: int = 0
    reason: str = ""


class Export:
    """Exports archives to a destination, one after another."""

    def __init__(self, destination: ExportDestination, *, parameters: bool = False) -> None:
        self._destination = destination
        self._parameters = parameters
        self._root = WITH_PARAMETERS if parameters else ""

    async def archive(self, archive: Row, uuid: str) -> ExportOutcome:
        """Export an archive of the instance with this UUID, unless the export exists."""
        name = f"{archive['_id']}-{PARSER_VERSION}-{archive['sha256']}.parquet"
        last = f"{self._root}reports/instance={uuid}/{name}"
        if await self._destination.has(last):
            return ExportOutcome(ExportStatus.EXISTS)
        try:
            with tempfile.TemporaryFile() as file:
                await copy_to_file(archive, file)
                outcome, row = await self._jobs(archive, uuid, file, name)
        except (UnreadableArchive, ParserFailed) as error:
            return ExportOutcome(ExportStatus.FAILED, reason=str(error))
        with tempfile.TemporaryFile() as report:
            pq.write_table(row, report, compression="zstd")
            report.seek(0)
            await self._destination.publish(last, report)
        return outcome

    async def _jobs(self, archive: Row, uuid: str, file: IO[bytes], name: str) -> tuple[ExportOutcome, pa.Table]:
        """Write the jobs of an archive; returns its row among the reports."""
        origin = Origin(uuid, archive["_id"], archive["sha256"], reported_at(archive))
        with open_partitions(schema(parameters=self._parameters)) as months:
            summary, rejection = await self._read(file, origin, months)
            if summary.refused:
                reason = rejection.message if rejection else "It was refused."
                return ExportOutcome(ExportStatus.REFUSED, reason=reason), _report_table(archive, summary, reason)
            for month in await asyncio.to_thread(months.names):
                with await asyncio.to_thread(months.parquet, month) as written:
                    await self._destination.publish(f"{self._root}jobs/instance={uuid}/month={month}/{name}", written)
        return ExportOutcome(ExportStatus.EXPORTED, summary.jobs), _report_table(archive, summary, None)

    async def _read(self, file: IO[bytes], origin: Origin, months: MonthPartitions) -> tuple[Summary, Rejection | None]:
        """Spool all rows; returns their summary, and the last rejection."""
        last: Rejection | None = None
        summary = Summary(refused=True)
        async with read_in_subprocess(file) as batches:
            async for batch in batches:
                if batch.rows:
                    await asyncio.to_thread(self._add, batch.rows, origin, months)
                last = batch.rejections[-1] if batch.rejections else last
                summary = batch.summary or summary
        return summary, last

    def _add(self, rows: list[bytes], origin: Origin, months: MonthPartitions) -> None:
        months.add(record_batch(rows, origin, parameters=self._parameters))


def _report_table(archive: Row, summary: Summary, refused: str | None) -> pa.Table:
    row = {
        "archive": archive["_id"],
        "identifier": archive["identifier"],
        "sha256": archive["sha256"],
        "parser_version": PARSER_VERSION,
        "reported_at": reported_at(archive),
        "received_at": archive["received_at"].replace(tzinfo=UTC),
        "jobs": summary.jobs,
        "metrics": summary.metrics,
        "datasets": summary.datasets,
        "rejected": summary.rejected,
        "refused": refused,
    }
    return pa.Table.from_pylist([row], schema=REPORTS)
