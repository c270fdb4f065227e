"""Reports as record batches in one process, for engines that bring processes of their own."""

import io
from collections.abc import Iterator

import pyarrow as pa

from resolvers.galaxy.parquet.arrow_schema import Origin, record_batch, schema
from resolvers.galaxy.parquet.month_partitions import open_partitions
from resolvers.galaxy.report.read_report import read_report


def record_batches(content: bytes, origin: Origin, *, parameters: bool = False) -> Iterator[pa.RecordBatch]:
    """The jobs of an archive, month by month; none when it is refused.

    Memory is bounded, and files are unnamed. Other limits on a hostile archive are up to the engine: its process must
    have a memory limit, and must be expendable.
    """
    with open_partitions(schema(parameters=parameters)) as months:
        refused = True
        for batch in read_report(io.BytesIO(content)):
            if batch.rows:
                months.add(record_batch(batch.rows, origin, parameters=parameters))
            refused = batch.summary is None or batch.summary.refused
        if not refused:
            for month in months.names():
                for group in months.groups(month):
                    yield from group.to_batches()
