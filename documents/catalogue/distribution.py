"""The document that a dataset version serves: CSV-W metadata."""

from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, EmbeddedModel, JsonText, Timestamp, now


class CsvwColumn(EmbeddedModel):
    """One column as the CSV-W table schema describes it."""

    name: str | None = None
    title: str | None = None
    datatype: str | None = None
    property_url: str | None = Field(None, alias="propertyUrl")
    required: bool = False
    virtual: bool = False


class Distribution(Document):
    """A CSV-W document, byte for byte as it was ingested, with the fields that clients query extracted from it.

    `dataset_name` is the title of the dataset when the document was published, else its identifier, and
    `version_label` the label of the version: the document's caption needs no other row.
    """

    kind: ClassVar[str] = "distribution"

    dataset_ref: str = Field(alias="parent_dataset")
    version_ref: str = Field(alias="versionRef")
    dataset_name: str | None = Field(None, alias="datasetName")
    version_label: str | None = Field(None, alias="versionLabel")
    csvw: JsonText
    sha256: str
    size_bytes: int = Field(alias="sizeBytes")
    columns: list[CsvwColumn] = []
    table_url: str | None = None
    """The address of the table that the document describes, as `file_url` writes it; None if it is relative."""
    transform_ref: str | None = Field(None, alias="transform_id")
    created_at: Timestamp = Field(default_factory=now)

    class Settings:
        name = "distributions"
        indexes = [
            IndexModel([("parent_dataset", 1), ("_id", 1)]),
            IndexModel([("transform_id", 1), ("_id", 1)]),
            IndexModel([("sha256", 1)]),
            IndexModel(
                [("table_url", 1), ("created_at", 1), ("_id", 1)],
                partialFilterExpression={"table_url": {"$type": "string"}},
            ),
        ]
