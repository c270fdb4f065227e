"""Record batches of a report by month, spooled in an unnamed file, so that memory is bounded whatever the report holds.

Only its end shows whether a report is refused, and its jobs may be of any month in any order. So all rows are spooled
first, and each month is written as Parquet afterwards. Equal batches give equal bytes, with the same release of Arrow.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from resolvers.galaxy.parquet.arrow_schema import PARTITIONS
from resolvers.galaxy.report.limits import MEBIBYTE

MAX_BUFFERED_BYTES = 8 * MEBIBYTE
"""Bytes of rows kept in memory before they are partitioned by month."""
ROW_GROUP_BYTES = 16 * MEBIBYTE
"""Bytes of rows, in Arrow's memory format, of one row group of a Parquet file."""
IPC_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")
"""Compression saves memory where the temporary folder is in memory, as on Cloud Run."""


class MonthPartitions:
    """Collects the record batches of one report, then gives the rows of each month."""

    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        self._file = file
        self._schema = schema
        self._writer = pa.ipc.new_file(pa.PythonFile(file, "w"), schema, options=IPC_OPTIONS)
        self._buffer: list[pa.RecordBatch] = []
        self._buffered_bytes = 0
        self._batch_numbers: dict[str, list[int]] = {}
        self._written = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Spool a batch."""
        self._buffer.append(batch)
        self._buffered_bytes += batch.nbytes
        if self._buffered_bytes >= MAX_BUFFERED_BYTES:
            self._partition_buffer()

    def names(self) -> list[str]:
        """The months that have rows, in order; nothing can be added from now on."""
        self._partition_buffer()
        self._writer.close()
        return sorted(self._batch_numbers)

    @contextmanager
    def parquet(self, month: str) -> Iterator[IO[bytes]]:
        """An unnamed file with the rows of a month as Parquet."""
        schema = self._schema
        for name in PARTITIONS:
            schema = schema.remove(schema.get_field_index(name))
        with tempfile.TemporaryFile() as file:
            with pq.ParquetWriter(pa.PythonFile(file, "w"), schema, compression="zstd") as writer:
                for group in self.groups(month):
                    writer.write_table(group.select(schema.names), row_group_size=group.num_rows)
            file.seek(0)
            yield file

    def groups(self, month: str) -> Iterator[pa.Table]:
        """The rows of a month in the order in which they came, one row group at a time."""
        reader = pa.ipc.open_file(pa.PythonFile(self._file, "r"))
        group: list[pa.RecordBatch] = []
        for number in self._batch_numbers[month]:
            group.append(reader.get_batch(number))
            if sum(batch.nbytes for batch in group) >= ROW_GROUP_BYTES:
                yield pa.Table.from_batches(group)
                group = []
        if group:
            yield pa.Table.from_batches(group)

    def _partition_buffer(self) -> None:
        """Write the buffered rows, each month by itself."""
        if not self._buffer:
            return
        table = pa.Table.from_batches(self._buffer).combine_chunks()
        self._buffer, self._buffered_bytes = [], 0
        months = table.column("month")
        for month in months.unique().to_pylist():
            (batch,) = table.filter(pc.equal(months, month)).combine_chunks().to_batches()
            self._writer.write_batch(batch)
            self._batch_numbers.setdefault(month, []).append(self._written)
            self._written += 1


@contextmanager
def open_partitions(schema: pa.Schema) -> Iterator[MonthPartitions]:
    """A collector for rows of a schema, which keeps them until the end of the block."""
    with tempfile.TemporaryFile() as file:
        yield MonthPartitions(file, schema)
