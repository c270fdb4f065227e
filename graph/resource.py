"""Resources, as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import strawberry
from strawberry.types import Info

import documents
from graph.code_repo import CodeRepo, CodeRepoInput
from graph.connection import Connection
from graph.dataset import DatasetOrder, DatasetWhere
from graph.mutation import expected_revision, idempotency_key, mutation, optional, perform, refused, wanted
from graph.node import Node
from graph.scalars import JSON
from graph.transform import TransformOrder, TransformWhere
from graph.user_errors import UserError
from graph.view import argument, every, found, many, one, stored, view
from graph.where import By, IDFilter, StringFilter, order_input, where_input
from resolvers.resource import create_resource, update_resource

if TYPE_CHECKING:
    from graph.dataset import Dataset
    from graph.organisation import Organisation
    from graph.transform import Transform

ResourceWhere = where_input(
    "Resource",
    documents.Resource,
    landing_page=By(StringFilter, "landing_page", "The page where the statistics are published."),
    title=By(StringFilter, "title", "Its title."),
    organisation_id=By(IDFilter, "organisation_ref", "Whose it is."),
)
ResourceOrder = order_input(
    "Resource",
    documents.Resource,
    TITLE="title",
    LANDING_PAGE="landing_page",
    CREATED_AT="created_at",
    UPDATED_AT="updated_at",
)


@view(documents.Resource)
class Resource(Node):
    """A landing page together with the code that turns what is published there into datasets."""

    organisation: Organisation = one(documents.Organisation, "organisation_ref", description="The publisher.")
    title: str | None = stored(description="A title for people.")
    landing_page: str | None = stored(description="The page where the publisher offers the data.")
    code_repo: CodeRepo | None = stored(description="Where its code lives, and what the code watches.")
    info: JSON | None = stored(description="The pipeline's own description (info.json), as it was ingested.")
    datasets: Connection[Dataset] = many(
        documents.Dataset,
        "resource_ref",
        where=DatasetWhere,
        order_by=DatasetOrder,
        description="What its code makes, in the order of first appearance.",
    )
    transforms: Connection[Transform] = many(
        documents.Transform,
        "resource_ref",
        where=TransformWhere,
        order_by=TransformOrder,
        description="Runs of its code, oldest first.",
    )
    created_at: datetime = stored(description="When it was first recorded.")
    updated_at: datetime = stored(description="When it last changed.")
    revision: int = stored(description="Rises by one with each change; for expectedRevision.")


@view()
class ResourceQuery:
    resource: Resource | None = found(
        documents.Resource,
        argument("id", strawberry.ID, description="Its id."),
        description="The resource with this id.",
    )
    resources: Connection[Resource] = every(
        documents.Resource, where=ResourceWhere, order_by=ResourceOrder, description="All resources."
    )


@strawberry.input(description="A new resource.")
class CreateResourceInput:
    idempotency_key: str | None = idempotency_key()
    organisation_id: strawberry.ID = wanted("Whose it is.")
    landing_page: str | None = optional("The page where the publisher offers the data.")
    title: str | None = optional("A title for people.")
    code_repo: CodeRepoInput | None = optional("Where its code lives, and what the code watches.")
    info: JSON | None = optional("The pipeline's own description (info.json).")


@strawberry.input(description="What to change of a resource. What is left out stays.")
class UpdateResourceInput:
    id: strawberry.ID = wanted("Which resource.")
    expected_revision: int | None = expected_revision()
    landing_page: str | None = optional("Its landing page from now on; null takes it away.")
    title: str | None = optional("Its title from now on; null takes it away.")
    code_repo: CodeRepoInput | None = optional(
        "The whole of it from now on: what is left out of it goes. Directories that stay keep what was seen in them."
    )


@strawberry.type(description="A resource that was written, or why it was not.")
class ResourcePayload:
    resource: Resource | None = strawberry.field(description="As it is now.", default=None)
    user_errors: list[UserError] = refused()


@strawberry.type
class ResourceMutation:
    @mutation("Record a landing page and the code that reads it.")
    async def create_resource(self, info: Info, input: CreateResourceInput) -> ResourcePayload:
        return await perform(info, ResourcePayload, create_resource, input)

    @mutation("Change a resource.")
    async def update_resource(self, info: Info, input: UpdateResourceInput) -> ResourcePayload:
        return await perform(info, ResourcePayload, update_resource, input)
