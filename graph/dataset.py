"""Datasets, as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import strawberry
from strawberry.types import Info

import documents
from graph.connection import Connection
from graph.dataset_version import DatasetVersionOrder
from graph.mutation import idempotency_key, mutation, optional, perform, refused, wanted
from graph.node import Node
from graph.user_errors import UserError
from graph.view import argument, every, found, many, one, picked, stored, view
from graph.where import By, DateTimeFilter, IDFilter, StringFilter, order_input, sort_key, where_input
from resolvers.dataset import create_dataset

if TYPE_CHECKING:
    from graph.dataset_version import DatasetVersion
    from graph.resource import Resource

DatasetWhere = where_input(
    "Dataset",
    documents.Dataset,
    identifier=By(StringFilter, "identifier", "Its name within its resource."),
    title=By(StringFilter, "title", "Its title."),
    publisher=By(StringFilter, "publisher", "Who publishes it, as its document says."),
    keyword=By(StringFilter, "keywords", "Any of its keywords."),
    modified=By(DateTimeFilter, "modified", "When the publisher last changed it."),
    resource_id=By(IDFilter, "resource_ref", "What makes it."),
)
DatasetOrder = order_input(
    "Dataset",
    documents.Dataset,
    TITLE="title",
    IDENTIFIER="identifier",
    MODIFIED="modified",
    CREATED_AT="created_at",
)


@view(documents.Dataset)
class Dataset(Node):
    """A series of published versions under one name."""

    resource: Resource = one(documents.Resource, "resource_ref", description="What makes it.")
    identifier: str = stored(description="Unique within its resource; what scripts use to name it.")
    title: str | None = stored(description="A title for people.")
    description: str | None = stored(description="What it holds.")
    publisher: str | None = stored(description="Who publishes it, as its document says.")
    issued: datetime | None = stored(description="When the publisher first offered it.")
    modified: datetime | None = stored(description="When the publisher last changed it.")
    keywords: list[str] = stored(description="Words to find it by.")
    versions: Connection[DatasetVersion] = many(
        documents.DatasetVersion,
        "dataset_ref",
        sort_key(documents.DatasetVersion, "ordinal"),
        order_by=DatasetVersionOrder,
        description="In order of ordinal, so v10 follows v9.",
    )
    version: DatasetVersion | None = picked(
        documents.DatasetVersion,
        "dataset_ref",
        "label",
        argument=argument("label", str, description="Such as v3."),
        description="The version with this label.",
    )
    latest_version: DatasetVersion | None = one(
        documents.DatasetVersion, "latest_version_ref", description="The newest one; null before the first."
    )
    created_at: datetime = stored(description="When it was first recorded.")
    updated_at: datetime = stored(description="When it last changed, a new version included.")
    revision: int = stored(description="Rises by one with each change.")


@view()
class DatasetQuery:
    dataset: Dataset | None = found(
        documents.Dataset,
        argument("id", strawberry.ID, description="Its id."),
        description="The dataset with this id.",
    )
    datasets: Connection[Dataset] = every(
        documents.Dataset, where=DatasetWhere, order_by=DatasetOrder, description="All datasets."
    )


@strawberry.input(description="A new dataset, without versions yet.")
class CreateDatasetInput:
    idempotency_key: str | None = idempotency_key()
    resource_id: strawberry.ID = wanted("What makes it.")
    identifier: str = wanted("Unique within its resource.")
    title: str | None = optional("A title for people.")
    description: str | None = optional("What it holds.")


@strawberry.type(description="A dataset that was written, or why it was not.")
class DatasetPayload:
    dataset: Dataset | None = strawberry.field(description="As it is now.", default=None)
    user_errors: list[UserError] = refused()


@strawberry.type
class DatasetMutation:
    @mutation("Record a dataset before its first version.")
    async def create_dataset(self, info: Info, input: CreateDatasetInput) -> DatasetPayload:
        return await perform(info, DatasetPayload, create_dataset, input)
