"""Resources in the GraphQL schema."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import strawberry
from strawberry.types import Info

import documents
from graph.catalogue.code_repo import CodeRepo, CodeRepoInput, code_repo_values
from graph.catalogue.dataset import DatasetOrder, DatasetWhere
from graph.catalogue.transform import TransformOrder, TransformWhere
from graph.core.mutation import (
    convert,
    expected_revision,
    idempotency_key,
    mutation,
    optional,
    or_none,
    required,
    run_mutation,
    user_errors_field,
    without_unset,
)
from graph.core.node import Node
from graph.core.pagination import Connection
from graph.core.scalars import JSON
from graph.core.user_error_types import UserError
from graph.core.view import argument, connection, lookup, one, root_connection, stored, view
from graph.core.where import Condition, IDFilter, StringFilter, field_filter, order_input, where_input
from resolvers.catalogue.resource import ResourceChanges, create_resource, update_resource
from resolvers.filters import Filter, InSubquery, any_of

if TYPE_CHECKING:
    from graph.catalogue.dataset import Dataset
    from graph.catalogue.organisation import Organisation
    from graph.catalogue.transform import Transform


def _organisation_filter(path: str, organisation: Any) -> Filter:
    """Return the filter for resources of the given organisations, including organisations merged into others."""
    former = InSubquery(documents.FormerOrganisation, field_filter("_id", organisation), "organisationRef")
    return any_of([field_filter(path, organisation), {path: former}])


ResourceWhere = where_input(
    "Resource",
    documents.Resource,
    landing_page=Condition(
        StringFilter, "landing_page", "Filter by the URL of the page where the publisher offers the data."
    ),
    title=Condition(StringFilter, "title", "Filter by the resource's title."),
    organisation_id=Condition(
        IDFilter,
        "organisation_ref",
        "Filter by the organisation that the resource belongs to. Ids of merged organisations match as well.",
        _organisation_filter,
    ),
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
    """A resource: a landing page, together with the code that turns its contents into datasets."""

    organisation: "Organisation" = one(
        documents.Organisation, "organisation_ref", description="The organisation that publishes the resource."
    )
    title: str | None = stored(description="The resource's human-readable title.")
    landing_page: str | None = stored(description="URL of the page where the publisher offers the data.")
    code_repo: CodeRepo | None = stored(
        description="The location of the resource's code, and the directories that it monitors."
    )
    info: JSON | None = stored(description="The pipeline's own description (info.json), as it was ingested.")
    datasets: "Connection[Dataset]" = connection(
        documents.Dataset,
        "resource_ref",
        where=DatasetWhere,
        order_by=DatasetOrder,
        description="The datasets that the resource's code produces, in the order in which they were first recorded.",
    )
    transforms: "Connection[Transform]" = connection(
        documents.Transform,
        "resource_ref",
        where=TransformWhere,
        order_by=TransformOrder,
        description="Runs of the resource's code, oldest first unless orderBy is given.",
    )
    created_at: datetime = stored(description="When the resource was first recorded.")
    updated_at: datetime = stored(description="When the resource last changed.")
    revision: int = stored(
        description="The resource's revision number, incremented by each change. Pass it as expectedRevision to "
        "refuse overwriting newer changes."
    )


@view()
class ResourceQuery:
    resource: Resource | None = lookup(
        documents.Resource,
        argument("id", strawberry.ID, description="The resource's id."),
        description="The resource with this id. Null when no such resource exists.",
    )
    resources: Connection[Resource] = root_connection(
        documents.Resource,
        where=ResourceWhere,
        order_by=ResourceOrder,
        description="All resources, oldest first unless orderBy is given.",
    )


@strawberry.input(description="A resource to record.")
class CreateResourceInput:
    idempotency_key: str | None = idempotency_key()
    organisation_id: strawberry.ID = required("Id of the organisation that publishes the resource.")
    landing_page: str | None = optional("URL of the page where the publisher offers the data.")
    title: str | None = optional("The resource's human-readable title.")
    code_repo: CodeRepoInput | None = optional(
        "The location of the resource's code, and the directories that it monitors."
    )
    info: JSON | None = optional("The pipeline's own description (info.json).")


@strawberry.input(description="Changes to a resource. Omitted fields stay unchanged.")
class UpdateResourceInput:
    idempotency_key: str | None = idempotency_key()
    id: strawberry.ID = required("Id of the resource to change.")
    expected_revision: int | None = expected_revision()
    landing_page: str | None = optional("New URL of the page where the publisher offers the data; null removes it.")
    title: str | None = optional("The resource's new title; null removes the title.")
    code_repo: CodeRepoInput | None = optional(
        "The complete new code location: fields omitted from it are reset. Directories that are monitored already "
        "keep their record of files."
    )


@strawberry.type(description="The resource that was written, or the reasons why nothing was written.")
class ResourcePayload:
    resource: Resource | None = strawberry.field(
        description="The resource in its current state. Null when the call was refused.", default=None
    )
    user_errors: list[UserError] = user_errors_field()


@strawberry.type
class ResourceMutation:
    @mutation(
        "Record a resource: a landing page and the code that reads it. For workers and administrators. Refused with "
        "ALREADY_EXISTS when a resource has the same natural key."
    )
    async def create_resource(self, info: Info, input: CreateResourceInput) -> ResourcePayload:
        return await run_mutation(
            info,
            input,
            ResourcePayload,
            lambda session, viewer: create_resource(
                session,
                viewer,
                organisation_id=input.organisation_id,
                landing_page=or_none(input.landing_page),
                title=or_none(input.title),
                code_repo=code_repo_values(input.code_repo) if input.code_repo else None,
                info=or_none(input.info),
            ),
        )

    @mutation(
        "Change a resource. For workers and administrators. Refused with ALREADY_EXISTS when another resource has the "
        "same natural key."
    )
    async def update_resource(self, info: Info, input: UpdateResourceInput) -> ResourcePayload:
        return await run_mutation(
            info,
            input,
            ResourcePayload,
            lambda session, viewer: update_resource(
                session,
                viewer,
                id=input.id,
                expected_revision=or_none(input.expected_revision),
                **without_unset(
                    ResourceChanges(
                        landing_page=input.landing_page,
                        title=input.title,
                        code_repo=convert(code_repo_values, input.code_repo),
                    )
                ),
            ),
        )
