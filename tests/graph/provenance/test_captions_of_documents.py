"""Documents of dataset versions are called by the name that their dataset had when they were published."""

from typing import Any

import pytest

from tests.support.catalogue import ask, csvw, ingest

pytestmark = pytest.mark.usefixtures("database")

CAPTIONS = "{ datasets { nodes { versions { nodes { distribution { caption } } } } } }"


async def captions() -> list[str]:
    """The captions of all documents, oldest first."""
    (dataset,) = (await ask(CAPTIONS))["datasets"]["nodes"]
    return [version["distribution"]["caption"] for version in dataset["versions"]["nodes"]]


async def test_a_document_keeps_the_name_that_its_dataset_had() -> None:
    documents: list[dict[str, Any]] = [
        {"csvwText": csvw("births")},
        {"csvwText": csvw("births", **{"dc:title": "Births by year"})},
        {"csvwText": csvw("births", notes="corrected"), "title": "All births"},
        {"csvwText": csvw("births", notes="corrected again")},
    ]

    for document in documents:
        await ingest(distributions=[document])

    assert await captions() == ["births v1", "Births by year v2", "All births v3", "births v4"]
