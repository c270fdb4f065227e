"""Versions of datasets, as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import documents
from graph.distribution import Distribution
from graph.node import Node
from graph.view import computed, one, stored, view
from graph.where import order_input
from resolvers.dataset_version import is_latest

if TYPE_CHECKING:
    from graph.dataset import Dataset

DatasetVersionOrder = order_input("DatasetVersion", documents.DatasetVersion, ORDINAL="ordinal")


@view(documents.DatasetVersion)
class DatasetVersion(Node):
    """Immutable once published."""

    dataset: Dataset = one(documents.Dataset, "dataset_ref", description="What this is a version of.")
    label: str = stored(description="Its name within the dataset, such as v3.")
    ordinal: int = stored(description="Its place within the dataset, from 1.")
    is_latest: bool = computed(is_latest, "dataset_ref", description="Whether no later version was published.")
    distribution: Distribution = one(documents.Distribution, "distribution_ref", description="What it serves.")
    created_at: datetime = stored(description="When it was published.")
