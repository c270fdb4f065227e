"""Reports as record batches in one process, for engines that bring processes of their own."""

import io
from collections.abc import Iterator

import pyarrow as pa

from resolvers.ingest.parquet.months import parted
from resolvers.ingest.parquet.table import Origin, record_batch, schema
from resolvers.ingest.report.reader import read_report


def record_batches(content: bytes, origin: Origin, *, parameters: bool = False) -> Iterator[pa.RecordBatch]:
    """The jobs of an archive, month by month; none when it is refused.

    Reading takes little memory beside the archive itself, and files without a name. What else holds a hostile archive
    in check is up to the engine: the process must have a limit of memory, and be of no account when it is killed.
    """
    with parted(schema(parameters=parameters)) as months:
        refused = True
        for batch in read_report(io.BytesIO(content)):
            if batch.rows:
                months.add(record_batch(batch.rows, origin, parameters=parameters))
            refused = batch.summary is None or batch.summary.refused
        if not refused:
            for month in months.names():
                for group in months.groups(month):
                    yield from group.to_batches()
