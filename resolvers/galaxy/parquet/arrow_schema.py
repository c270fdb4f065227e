"""Jobs as columns: the rows of a report as Arrow record batches, for engines that read Parquet.

A table of jobs has these columns. `instance` and `month` are last, for they become the names of folders.

    archive          string      id of the row's archive
    sha256           string      of the archive's bytes
    parser_version   string      of the parser that made the row
    reported_at      timestamp   when the report was made: a later report knows the later state of a job
    external_id, tool_id, tool_version, state, created_at, runtime_seconds, metrics, datasets
                                 as they are stored, see report/job_bson.py; a metric also has its `number`, if any
    parameters                   only where they are asked for, because they are for the instance's owners
    instance         string      UUID of the instance
    month            string      of created_at, as 2019-01, or "unknown"
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import bson
import pyarrow as pa
import pyarrow.compute as pc

from resolvers.galaxy.report import PARSER_VERSION
from resolvers.galaxy.report.job_bson import number_of

UNKNOWN_MONTH = "unknown"
"""The month of jobs without a time, and of jobs outside YEARS."""
YEARS = range(2000, 2100)
"""Bounds the number of months, so that a nonsensical report does not make a hundred thousand files."""
PARTITIONS = ("instance", "month")

_TIME = pa.timestamp("ms", tz="UTC")
_TEXTS = {"plugin": pa.string(), "name": pa.string(), "text": pa.string()}
_METRIC = pa.struct(_TEXTS)
_DATASET = pa.struct(
    {
        "external_id": pa.int64(),
        "size_bytes": pa.int64(),
        "direction": pa.string(),
        "extension": pa.string(),
        "parameter_name": pa.string(),
    }
)
_STORED = {
    "external_id": pa.int64(),
    "tool_id": pa.string(),
    "tool_version": pa.string(),
    "state": pa.string(),
    "created_at": _TIME,
    "runtime_seconds": pa.float64(),
    "metrics": pa.list_(_METRIC),
    "datasets": pa.list_(_DATASET),
}
"""Columns computed from stored fields."""
_PARAMETERS = {"parameters": pa.list_(pa.struct({"name": pa.string(), "value": pa.string()}))}


@dataclass(frozen=True)
class Origin:
    """The values that all rows of an archive share; `instance` is a UUID."""

    instance: str
    archive: str
    sha256: str
    reported_at: datetime


def schema(*, parameters: bool = False) -> pa.Schema:
    """The columns of a table of jobs."""
    shared = {"archive": pa.string(), "sha256": pa.string(), "parser_version": pa.string(), "reported_at": _TIME}
    numbered = {"metrics": pa.list_(pa.struct({**_TEXTS, "number": pa.float64()}))}
    stored = {**_STORED, **numbered, **(_PARAMETERS if parameters else {})}
    return pa.schema({**shared, **stored, **dict.fromkeys(PARTITIONS, pa.string())})


def record_batch(rows: Sequence[bytes], origin: Origin, *, parameters: bool = False) -> pa.RecordBatch:
    """Rows of `read_report` as a record batch of `schema`."""
    decoded = bson.decode_all(b"".join(rows))
    types = {**_STORED, **(_PARAMETERS if parameters else {})}
    columns = {name: pa.array([row[name] for row in decoded], type) for name, type in types.items()}
    columns["metrics"] = _with_numbers(columns["metrics"])
    columns["month"] = _month_names(columns["created_at"])
    shared = {
        "archive": origin.archive,
        "sha256": origin.sha256,
        "parser_version": PARSER_VERSION,
        "reported_at": origin.reported_at,
        "instance": origin.instance,
    }
    table_schema = schema(parameters=parameters)
    for name, value in shared.items():
        columns[name] = pa.repeat(pa.scalar(value, table_schema.field(name).type), len(decoded))
    return pa.RecordBatch.from_arrays([columns[name] for name in table_schema.names], schema=table_schema)


def _with_numbers(metrics: pa.ListArray) -> pa.ListArray:
    """Metrics, each with its number if its text is one."""
    texts = metrics.values.field("text")
    numbers = pa.array(map(number_of, texts.to_pylist()), pa.float64())
    fields = {name: metrics.values.field(name) for name in _TEXTS} | {"number": numbers}
    return pa.ListArray.from_arrays(metrics.offsets, pa.StructArray.from_arrays(fields.values(), list(fields)))


def _month_names(times: pa.Array) -> pa.Array:
    years = pc.year(times)
    has_month = pc.and_(pc.greater_equal(years, YEARS.start), pc.less(years, YEARS.stop))
    return pc.if_else(pc.fill_null(has_month, False), pc.strftime(times, format="%Y-%m"), UNKNOWN_MONTH)
