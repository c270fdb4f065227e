"""Makes the table of jobs that `provenance-graph export parquet` makes, with as many machines as Spark has.

    provenance-graph export list > archives.jsonl
    spark-submit examples/spark_jobs.py archives.jsonl gs://analyses.example/spark/jobs

For reports that were never uploaded, name the folder that holds NAME.tar.gz and NAME.json, and the UUID of the server:

    spark-submit examples/spark_jobs.py --instance 5e1f0c1a-7a53-4d5e-9f0b-2f4f7c1d9a60 reports jobs

Executors need Python with provenance-graph[parquet]; see docs/guides/parquet.md.
"""

import argparse
import hashlib
import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import PurePosixPath

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from resolvers.galaxy.parquet.arrow_schema import PARTITIONS, Origin, schema
from resolvers.galaxy.parquet.record_batches import record_batches
from resolvers.galaxy.report_metadata import read_metadata
from resolvers.user_errors import InvalidInput

SETTINGS = {
    # Python gets one archive at a time, and a task few of them: reading a megabyte takes half a second.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "1",
    "spark.sql.files.maxPartitionBytes": "16m",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MILLIS",
    "spark.sql.parquet.compression.codec": "zstd",
}


def main() -> None:
    """Read all archives and write their jobs; then print the archives that gave no jobs."""
    options = parse_arguments()
    spark = SparkSession.builder.appName("jobs").getOrCreate()
    for name, value in SETTINGS.items():
        spark.conf.set(name, value)
    if options.instance:
        origins = origins_in_folder(spark, options.source, options.instance)
    else:
        origins = origins_in_list(spark, options.source)
    if not origins:
        raise SystemExit(f"There are no archives in {options.source}.")
    jobs(spark, origins, options.parameters).write.partitionBy(*PARTITIONS).parquet(options.destination)
    written = {row.archive for row in spark.read.parquet(options.destination).select("archive").distinct().collect()}
    for origin in origins.values():
        if origin.archive not in written:
            print(f"{origin.archive} gave no jobs.")


def parse_arguments() -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="what `provenance-graph export list` printed, or with --instance a folder")
    parser.add_argument("destination", help="a folder that is not there yet")
    parser.add_argument("--instance", help="UUID of the server that the reports in a folder are of")
    parser.add_argument("--parameters", action="store_true", help="with parameters of jobs, which may be personal")
    return parser.parse_args()


def origins_in_list(spark: SparkSession, source: str) -> dict[str, Origin]:
    """The archives of a list, by their addresses."""
    lines = (json.loads(row.value) for row in spark.read.text(source).toLocalIterator())
    return {
        address(line["url"]): Origin(
            line["instance"], line["archive"], line["sha256"], datetime.fromisoformat(line["reported_at"])
        )
        for line in lines
    }


def origins_in_folder(spark: SparkSession, folder: str, instance: str) -> dict[str, Origin]:
    """The archives of a folder, by their addresses. Prints those whose metadata this release cannot read."""
    origins = {}
    files = spark.read.format("binaryFile").load(f"{folder.rstrip('/')}/*.json").select("path", "content")
    for row in files.toLocalIterator():
        name = PurePosixPath(row.path).name.removesuffix(".json")
        try:
            metadata = read_metadata(bytes(row.content).decode("utf-8", "replace"), name)
            reason = metadata.quarantine
        except InvalidInput as error:
            reason = error.message
        if reason or metadata.generated_at is None:
            print(f"{name} is left out: {reason}")
            continue
        path = address(row.path).removesuffix(".json") + ".tar.gz"
        origins[path] = Origin(instance, name, metadata.sha256 or "", metadata.generated_at)
    return origins


def jobs(spark: SparkSession, origins: dict[str, Origin], parameters: bool) -> DataFrame:
    """The jobs of all archives."""

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for row in batch.to_pylist():
                yield from map(in_microseconds, rows(row["path"], row["content"]))

    def rows(path: str, content: bytes) -> Iterator[pa.RecordBatch]:
        origin, sha256 = origins[address(path)], hashlib.sha256(content).hexdigest()
        if origin.sha256 not in ("", sha256):
            raise ValueError(f"{path} has the SHA-256 {sha256} instead of {origin.sha256}.")
        verified = Origin(origin.instance, origin.archive, sha256, origin.reported_at)
        return record_batches(content, verified, parameters=parameters)

    archives = spark.read.format("binaryFile").load(list(origins)).select("path", "content")
    return archives.mapInArrow(read, from_arrow_schema(schema(parameters=parameters)))


def in_microseconds(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with times in microseconds, the only ones that Spark accepts; it writes milliseconds again."""
    microseconds = pa.timestamp("us", tz="UTC")
    fields = (field.with_type(microseconds) if pa.types.is_timestamp(field.type) else field for field in batch.schema)
    return batch.cast(pa.schema(fields))


def address(url: str) -> str:
    """A URL as Spark writes it, with one slash before the path of a file."""
    return re.sub(r"^file:/+", "file:/", url)


if __name__ == "__main__":
    main()
