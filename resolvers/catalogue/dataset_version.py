"""Computed fields of dataset versions."""

import documents
from resolvers.access.viewer import Viewer
from resolvers.reads.lookups import by_ids
from resolvers.reads.rows import Row

LATEST = "latestVersionRef"


async def is_latest(versions: list[Row], viewer: Viewer) -> list[bool]:
    """Whether each version is the newest of its dataset."""
    datasets = (version["datasetRef"] for version in versions)
    rows = await by_ids(documents.Dataset, datasets, frozenset({"_id", LATEST}), viewer)
    return [rows.get(version["datasetRef"], {}).get(LATEST) == version["_id"] for version in versions]
