"""Documents that version 6 published say afterwards which dataset and version they are of."""

from typing import Any

from documents.migrations import migrate, plan
from documents.migrations.schema_version import COLLECTION, ID
from documents.mongo.database import Database

DATASETS: list[dict[str, Any]] = [
    {"_id": "dataset_1", "resourceRef": "resource_1", "identifier": "births", "title": "Births by year"},
    {"_id": "dataset_2", "resourceRef": "resource_1", "identifier": "deaths", "title": None},
]
VERSIONS: list[dict[str, Any]] = [
    {"_id": f"version_{n}", "datasetRef": dataset, "label": label, "ordinal": n}
    for n, (dataset, label) in enumerate([("dataset_1", "v1"), ("dataset_1", "v2"), ("dataset_2", "v1")], 1)
]
DOCUMENTS: list[dict[str, Any]] = [
    {"_id": "distribution_1", "parent_dataset": "dataset_1", "versionRef": "version_1", "csvw": "{}"},
    {"_id": "distribution_2", "parent_dataset": "dataset_1", "versionRef": "version_2", "csvw": "{}"},
    {"_id": "distribution_3", "parent_dataset": "dataset_2", "versionRef": "version_3", "csvw": "{}"},
    {"_id": "distribution_4", "parent_dataset": "dataset_none", "versionRef": "version_none", "csvw": "{}"},
]
NEWER = {"_id": "distribution_5", "parent_dataset": "dataset_1", "versionRef": "version_1", "csvw": "{}"}
NAMED = {"datasetName": "Births", "versionLabel": "v1"}
NAMES: list[dict[str, Any]] = [
    {"datasetName": "Births by year", "versionLabel": "v1"},
    {"datasetName": "Births by year", "versionLabel": "v2"},
    {"datasetName": "deaths", "versionLabel": "v1"},
    {"datasetName": None, "versionLabel": None},
]


async def test_documents_are_named_and_all_else_stays(old: Database) -> None:
    await old[COLLECTION].insert_one({"_id": ID, "version": 6})
    await old.datasets.insert_many([dict(row) for row in DATASETS])
    await old.dataset_versions.insert_many([dict(row) for row in VERSIONS])
    await old.distributions.insert_many([*(dict(row) for row in DOCUMENTS), NEWER | NAMED])
    planned = await plan(old)

    await migrate(old)

    assert [(step.version, rows) for step, rows in planned.steps] == [(7, 4)]
    named = [row | names for row, names in zip(DOCUMENTS, NAMES, strict=True)]
    assert await old.distributions.find({}, sort=[("_id", 1)]).to_list() == [*named, NEWER | NAMED]
    assert await old.datasets.find({}, sort=[("_id", 1)]).to_list() == DATASETS
    assert await old.dataset_versions.find({}, sort=[("_id", 1)]).to_list() == VERSIONS
