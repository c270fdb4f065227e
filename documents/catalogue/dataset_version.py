"""One published state of a dataset."""

from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, Timestamp, now


class DatasetVersion(Document):
    """The nth publication of a dataset. Immutable."""

    kind: ClassVar[str] = "version"

    dataset_ref: str = Field(alias="datasetRef")
    label: str
    ordinal: int
    distribution_ref: str = Field(alias="distributionRef")
    created_at: Timestamp = Field(default_factory=now, alias="created")

    class Settings:
        name = "dataset_versions"
        indexes = [
            IndexModel([("datasetRef", 1), ("ordinal", 1)], unique=True),
            IndexModel([("datasetRef", 1), ("label", 1)], unique=True),
        ]
