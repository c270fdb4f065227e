"""Distributions, as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import documents
from documents import distribution
from graph.node import Node
from graph.scalars import JSON, BigInt
from graph.view import one, stored, view

if TYPE_CHECKING:
    from graph.dataset import Dataset
    from graph.dataset_version import DatasetVersion
    from graph.transform import Transform


@view(distribution.CsvwColumn)
class CsvwColumn:
    """One column as the document's table schema describes it."""

    name: str | None = stored(description="Its name for programs.")
    title: str | None = stored(description="Its heading; the first one when there are several.")
    datatype: str | None = stored(description="The name of its datatype, such as decimal.")
    property_url: str | None = stored(description="What its values mean, as a URI template.")
    required: bool = stored(description="Whether every row has a value.")
    virtual: bool = stored(description="Whether it stands in the description alone and not in the file.")


@view(documents.Distribution)
class Distribution(Node):
    """What a version of a dataset serves: a CSV on the Web document."""

    dataset: Dataset = one(documents.Dataset, "dataset_ref", description="What it belongs to.")
    version: DatasetVersion = one(documents.DatasetVersion, "version_ref", description="The version that serves it.")
    csvw: JSON = stored(
        description="The full CSVW document, with exactly the keys, key order and numbers that were ingested."
    )
    sha256: str = stored(description="SHA-256 of the exact bytes ingested.")
    size_bytes: BigInt = stored(description="How many bytes those were.")
    columns: list[CsvwColumn] = stored(description="The columns of its main table.")
    transform: Transform | None = one(documents.Transform, "transform_ref", description="The run that made it.")
    created_at: datetime = stored(description="When it was published.")
