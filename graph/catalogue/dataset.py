"""Datasets in the GraphQL schema."""

from datetime import datetime
from typing import TYPE_CHECKING

import strawberry
from strawberry.types import Info

import documents
from graph.catalogue.dataset_version import DatasetVersionOrder
from graph.core.mutation import idempotency_key, mutation, optional, or_none, required, run_mutation, user_errors_field
from graph.core.pagination import Connection
from graph.core.user_error_types import UserError
from graph.core.view import argument, connection, lookup, one, one_by, root_connection, stored, view
from graph.core.where import Condition, DateTimeFilter, IDFilter, StringFilter, order_input, sort_key, where_input
from graph.provenance.traceable import Traceable
from resolvers.catalogue.dataset import create_dataset

if TYPE_CHECKING:
    from graph.catalogue.dataset_version import DatasetVersion
    from graph.catalogue.resource import Resource

DatasetWhere = where_input(
    "Dataset",
    documents.Dataset,
    identifier=Condition(StringFilter, "identifier", "Filter by the dataset's identifier, unique within its resource."),
    title=Condition(StringFilter, "title", "Filter by the dataset's title."),
    publisher=Condition(StringFilter, "publisher", "Filter by the dataset's publisher, as named in its document."),
    keyword=Condition(StringFilter, "keywords", "Filter by keyword; null matches datasets without keywords."),
    modified=Condition(DateTimeFilter, "modified", "Filter by the time when the publisher last changed the dataset."),
    created_at=Condition(DateTimeFilter, "created_at", "Filter by the time when the dataset was first recorded."),
    updated_at=Condition(
        DateTimeFilter, "updated_at", "Filter by the time when the dataset last changed, new versions included."
    ),
    resource_id=Condition(IDFilter, "resource_ref", "Filter by the resource whose code produces the dataset."),
)
DatasetOrder = order_input(
    "Dataset",
    documents.Dataset,
    TITLE="title",
    IDENTIFIER="identifier",
    MODIFIED="modified",
    CREATED_AT="created_at",
    UPDATED_AT="updated_at",
)


@view(documents.Dataset)
class Dataset(Traceable):
    """A dataset: a series of published versions under one identifier."""

    resource: "Resource" = one(
        documents.Resource, "resource_ref", description="The resource whose code produces the dataset."
    )
    identifier: str = stored(
        description="The dataset's identifier, unique within its resource. Scripts use it to name the dataset."
    )
    title: str | None = stored(description="The dataset's human-readable title.")
    description: str | None = stored(description="A description of the dataset's contents.")
    publisher: str | None = stored(description="The dataset's publisher, as named in its document.")
    issued: datetime | None = stored(
        description="When the publisher first released the dataset, according to the publisher's document."
    )
    modified: datetime | None = stored(
        description="When the publisher last changed the dataset, according to the publisher's document."
    )
    keywords: list[str] = stored(description="Keywords that describe the dataset.")
    versions: "Connection[DatasetVersion]" = connection(
        documents.DatasetVersion,
        "dataset_ref",
        sort_key(documents.DatasetVersion, "ordinal"),
        order_by=DatasetVersionOrder,
        description="The dataset's versions in order of their ordinals, so that v10 follows v9.",
    )
    version: "DatasetVersion | None" = one_by(
        documents.DatasetVersion,
        "dataset_ref",
        "label",
        argument=argument("label", str, description="The version's label, such as v3."),
        description="The dataset's version with this label. Null when there is none.",
    )
    latest_version: "DatasetVersion | None" = one(
        documents.DatasetVersion,
        "latest_version_ref",
        description="The dataset's newest version. Null before the first is published.",
    )
    created_at: datetime = stored(description="When the dataset was first recorded.")
    updated_at: datetime = stored(description="When the dataset last changed, new versions included.")
    revision: int = stored(description="The dataset's revision number, incremented by each change.")


@view()
class DatasetQuery:
    dataset: Dataset | None = lookup(
        documents.Dataset,
        argument("id", strawberry.ID | None, description="The dataset's id."),
        (
            argument(
                "resource_id",
                strawberry.ID | None,
                description="Id of the resource whose code produces the dataset; give it together with identifier.",
            ),
            argument(
                "identifier",
                str | None,
                description="The dataset's identifier, unique within its resource; give it together with resourceId.",
            ),
        ),
        description="The dataset with this id, or with this identifier within a resource. Null when no such dataset "
        "exists.",
    )
    datasets: Connection[Dataset] = root_connection(
        documents.Dataset,
        where=DatasetWhere,
        order_by=DatasetOrder,
        description="All datasets, oldest first unless orderBy is given.",
    )


@strawberry.input(description="A dataset to record before its first version.")
class CreateDatasetInput:
    idempotency_key: str | None = idempotency_key()
    resource_id: strawberry.ID = required("Id of the resource whose code produces the dataset.")
    identifier: str = required("The dataset's identifier, unique within its resource.")
    title: str | None = optional("The dataset's human-readable title.")
    description: str | None = optional("A description of the dataset's contents.")


@strawberry.type(description="The dataset that was written, or the reasons why nothing was written.")
class DatasetPayload:
    dataset: Dataset | None = strawberry.field(
        description="The dataset in its current state. Null when the call was refused.", default=None
    )
    user_errors: list[UserError] = user_errors_field()


@strawberry.type
class DatasetMutation:
    @mutation(
        "Record a dataset before its first version is published. For workers and administrators. Refused with "
        "ALREADY_EXISTS when the resource has a dataset with this identifier."
    )
    async def create_dataset(self, info: Info, input: CreateDatasetInput) -> DatasetPayload:
        return await run_mutation(
            info,
            input,
            DatasetPayload,
            lambda session, viewer: create_dataset(
                session,
                viewer,
                resource_id=input.resource_id,
                identifier=input.identifier,
                title=or_none(input.title),
                description=or_none(input.description),
            ),
        )
