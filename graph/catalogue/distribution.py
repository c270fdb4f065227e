"""Distributions in the GraphQL schema."""

from datetime import datetime
from typing import TYPE_CHECKING

import strawberry

import documents
from documents.catalogue import distribution
from graph.core.scalars import JSON, BigInt
from graph.core.view import argument, computed, lookup, one, stored, view
from graph.provenance.artifact import Artifact
from resolvers.catalogue.distribution import csvw_urls

if TYPE_CHECKING:
    from graph.catalogue.dataset import Dataset
    from graph.catalogue.dataset_version import DatasetVersion
    from graph.catalogue.transform import Transform


@view(distribution.CsvwColumn)
class CsvwColumn:
    """A column of a table, as described by the CSVW document's table schema."""

    name: str | None = stored(description="The column's name, for programs.")
    title: str | None = stored(description="The column's heading; the first one when the document gives several.")
    datatype: str | None = stored(description="Name of the column's datatype, such as decimal.")
    property_url: str | None = stored(description="URI template for the property that the column's values represent.")
    required: bool = stored(description="Whether every row must have a value in the column.")
    virtual: bool = stored(
        description="Whether the column is virtual: described by the table schema but not present in the file."
    )


@view(documents.Distribution)
class Distribution(Artifact):
    """A distribution: the CSV on the Web (CSVW) document that a dataset version publishes."""

    dataset: "Dataset" = one(
        documents.Dataset, "dataset_ref", description="The dataset that the distribution belongs to."
    )
    version: "DatasetVersion" = one(
        documents.DatasetVersion, "version_ref", description="The dataset version that publishes the distribution."
    )
    csvw: JSON = stored(
        description="The complete CSVW document, with the keys, key order and numbers exactly as they were ingested."
    )
    csvw_text: str = stored(
        "csvw", description="The CSVW document as text. Its UTF-8 bytes are exactly those that were ingested."
    )
    csvw_url: str = computed(
        csvw_urls,
        "id",
        description="URL at which this server returns the CSVW document's exact bytes as application/csvm+json, with "
        "their sha256 as the ETag. Readable by everybody who may see the distribution.",
    )
    sha256: str = stored(description="SHA-256 of the CSVW document's exact bytes, in hexadecimal.")
    size_bytes: BigInt = stored(description="Size of the CSVW document in bytes.")
    columns: list[CsvwColumn] = stored(description="The columns of the document's main table.")
    transform: "Transform | None" = one(
        documents.Transform,
        "transform_ref",
        description="The transform that produced the distribution. Null when unknown.",
    )
    created_at: datetime = stored(description="When the distribution was published.")


@view()
class DistributionQuery:
    distribution: Distribution | None = lookup(
        documents.Distribution,
        argument("id", strawberry.ID, description="The distribution's id."),
        description="The distribution with this id. Null when no such distribution exists.",
    )
