"""Archives whose bytes are in the bucket, and what was exported of them."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds

import documents
from documents.storage.bucket import current_bucket
from documents.storage.export_destination import FolderDestination
from resolvers.galaxy.parquet.archives import Shard, archives, uuids_of
from resolvers.galaxy.parquet.export import Export, ExportOutcome
from tests.support import builders as new
from tests.support.builders import keep

Rows = list[dict[str, Any]]


async def store_archive(instance: documents.Instance, content: bytes, **fields: Any) -> documents.Archive:
    """Store an archive with these bytes; returns it."""
    bucket = current_bucket()
    assert bucket is not None
    archive = new.an_archive(instance, sha256=hashlib.sha256(content).hexdigest(), **fields)
    archive.bucket, archive.key = bucket.name, f"{bucket.prefix}archives/{archive.id}"
    archive.generation = (await bucket.write(archive.key, _giving(content))).generation
    await keep(archive)
    return archive


async def _giving(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def export(
    folder: Path, *wanted: str, shard: Shard | None = None, parameters: bool = False
) -> list[ExportOutcome]:
    """Export all archives, or those of some instances, to a folder; returns the outcomes."""
    to, uuids = Export(FolderDestination(folder), parameters=parameters), await uuids_of(wanted)
    found = archives(uuids, shard or Shard())
    return [await to.archive(archive, uuids[archive["instanceRef"]]) async for archive in found]


def exported_rows(folder: Path, table: str = "jobs") -> Rows:
    """All rows of a table below a folder, in order of archive and number, as PyArrow reads them."""
    if not (folder / table).exists():
        return []
    rows: Rows = ds.dataset(folder / table, partitioning="hive").to_table().to_pylist()
    return sorted(rows, key=lambda row: (row["archive"], row.get("external_id")))


def bytes_below(folder: Path) -> dict[str, bytes]:
    """All files below a folder by their paths there."""
    return {str(one.relative_to(folder)): one.read_bytes() for one in sorted(folder.rglob("*")) if one.is_file()}
