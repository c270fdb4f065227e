"""Newer dataset versions: later versions of the datasets whose documents were used."""

import documents
from resolvers.access.viewer import Viewer
from resolvers.provenance.staleness.causes import Cause, Causes, StalenessCauseKind
from resolvers.reads import lookups
from resolvers.reads.rows import Row

DISTRIBUTION_FIELDS = frozenset({"parent_dataset", "versionRef"})
LATEST = "latestVersionRef"


async def distribution_causes(distributions: list[Row], viewer: Viewer) -> Causes:
    """The latest version of the dataset of each distribution, if it is a later one. Two round trips."""
    ids = {distribution["parent_dataset"] for distribution in distributions}
    datasets = await lookups.by_ids(documents.Dataset, ids, frozenset({LATEST}), viewer)
    latest = {id: dataset[LATEST] for id, dataset in datasets.items() if dataset.get(LATEST)}
    superseded = {
        row["_id"]: (row["versionRef"], latest[row["parent_dataset"]])
        for row in distributions
        if latest.get(row["parent_dataset"], row["versionRef"]) != row["versionRef"]
    }
    ids = {id for pair in superseded.values() for id in pair}
    versions = await lookups.by_ids(documents.DatasetVersion, ids, frozenset({"label"}), viewer)
    causes = Causes()
    for id, pair in superseded.items():
        used, newest = (versions.get(version, {}).get("label") for version in pair)
        causes.add(id, [Cause(StalenessCauseKind.NEWER_DATA, used, newest)])
    return causes
