"""Versions of datasets in the GraphQL schema."""

from datetime import datetime
from typing import TYPE_CHECKING

import strawberry

import documents
from graph.catalogue.distribution import Distribution
from graph.core.view import argument, computed, lookup, one, stored, view
from graph.core.where import order_input
from graph.provenance.traceable import Traceable
from resolvers.catalogue.dataset_version import is_latest

if TYPE_CHECKING:
    from graph.catalogue.dataset import Dataset

DatasetVersionOrder = order_input("DatasetVersion", documents.DatasetVersion, ORDINAL="ordinal")


@view(documents.DatasetVersion)
class DatasetVersion(Traceable):
    """A published version of a dataset, never changed after publication."""

    dataset: "Dataset" = one(documents.Dataset, "dataset_ref", description="The dataset that the version belongs to.")
    label: str = stored(description="The version's label, unique within the dataset, such as v3.")
    ordinal: int = stored(description="The version's position within the dataset, counted from 1.")
    is_latest: bool = computed(
        is_latest, "dataset_ref", description="Whether this is the newest version of the dataset."
    )
    distribution: Distribution = one(
        documents.Distribution, "distribution_ref", description="The document that the version publishes."
    )
    created_at: datetime = stored(description="When the version was published.")


@view()
class DatasetVersionQuery:
    dataset_version: DatasetVersion | None = lookup(
        documents.DatasetVersion,
        argument("id", strawberry.ID, description="The dataset version's id."),
        description="The dataset version with this id. Null when no such version exists.",
    )
