"""Organisations in the GraphQL schema."""

from datetime import datetime
from typing import TYPE_CHECKING

import strawberry
from strawberry.types import Info

import documents
from graph.catalogue.resource import ResourceOrder, ResourceWhere
from graph.core.mutation import (
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
from graph.core.user_error_types import UserError
from graph.core.view import argument, connection, lookup, root_connection, stored, view
from graph.core.where import Condition, StringFilter, order_input, where_input
from resolvers.catalogue.merge_organisations import merge_organisations
from resolvers.catalogue.organisation import OrganisationChanges, create_organisation, update_organisation

if TYPE_CHECKING:
    from graph.catalogue.resource import Resource

OrganisationWhere = where_input(
    "Organisation",
    documents.Organisation,
    url=Condition(StringFilter, "url", "Filter by the organisation's URL, its unique key."),
    name=Condition(StringFilter, "name", "Filter by the organisation's name."),
)
OrganisationOrder = order_input("Organisation", documents.Organisation, NAME="name", URL="url", CREATED_AT="created_at")


@view(documents.Organisation)
class Organisation(Node):
    """An organisation that publishes statistics."""

    url: str = stored(description="The organisation's URL, its unique key.")
    name: str | None = stored(description="The organisation's name.")
    resources: "Connection[Resource]" = connection(
        documents.Resource,
        "organisation_ref",
        where=ResourceWhere,
        order_by=ResourceOrder,
        description="The organisation's resources: landing pages, each with the code that reads it.",
    )
    created_at: datetime = stored(description="When the organisation was first recorded.")
    updated_at: datetime = stored(description="When the organisation last changed.")
    revision: int = stored(
        description="The organisation's revision number, incremented by each change. Pass it as expectedRevision to "
        "refuse overwriting newer changes."
    )


@view()
class OrganisationQuery:
    organisation: Organisation | None = lookup(
        documents.Organisation,
        argument("id", strawberry.ID | None, description="The organisation's id."),
        argument("url", str | None, description="The organisation's URL, its unique key."),
        description="The organisation with this id or this URL. Null when no such organisation exists.",
    )
    organisations: Connection[Organisation] = root_connection(
        documents.Organisation,
        where=OrganisationWhere,
        order_by=OrganisationOrder,
        description="All organisations, oldest first unless orderBy is given.",
    )


@strawberry.input(description="An organisation to record.")
class CreateOrganisationInput:
    idempotency_key: str | None = idempotency_key()
    url: str = required("The organisation's URL, its unique key; an absolute URL.")
    name: str | None = optional("The organisation's name.")


@strawberry.input(description="Changes to an organisation. Omitted fields stay unchanged.")
class UpdateOrganisationInput:
    idempotency_key: str | None = idempotency_key()
    id: strawberry.ID = required("Id of the organisation to change.")
    expected_revision: int | None = expected_revision()
    name: str | None = optional("The organisation's new name; null removes the name.")


@strawberry.type(description="The organisation that was written, or the reasons why nothing was written.")
class OrganisationPayload:
    organisation: Organisation | None = strawberry.field(
        description="The organisation in its current state. Null when the call was refused.", default=None
    )
    user_errors: list[UserError] = user_errors_field()


@strawberry.input(description="Organisations that turned out to be one and the same.")
class MergeOrganisationsInput:
    idempotency_key: str | None = idempotency_key()
    id: strawberry.ID = required("Id of the organisation to keep. Its own fields stay unchanged.")
    expected_revision: int | None = expected_revision()
    duplicate_ids: list[strawberry.ID] = required(
        "Ids of the duplicates to merge into the organisation, 1 to 100. A duplicate that was merged into it before "
        "is ignored."
    )


@strawberry.type
class OrganisationMutation:
    @mutation(
        "Record an organisation that publishes statistics. For workers and administrators. Refused with "
        "ALREADY_EXISTS when an organisation has this URL."
    )
    async def create_organisation(self, info: Info, input: CreateOrganisationInput) -> OrganisationPayload:
        return await run_mutation(
            info,
            input,
            OrganisationPayload,
            lambda session, viewer: create_organisation(session, viewer, url=input.url, name=or_none(input.name)),
        )

    @mutation("Change an organisation. For workers and administrators.")
    async def update_organisation(self, info: Info, input: UpdateOrganisationInput) -> OrganisationPayload:
        return await run_mutation(
            info,
            input,
            OrganisationPayload,
            lambda session, viewer: update_organisation(
                session,
                viewer,
                id=input.id,
                expected_revision=or_none(input.expected_revision),
                **without_unset(OrganisationChanges(name=input.name)),
            ),
        )

    @mutation(
        "Merge duplicate organisations into the correct one, which takes over their resources. From then on, the "
        "duplicates' ids and URLs lead to the correct one in queries, inputs and reports. For administrators. Refused "
        "with ALREADY_EXISTS when two of the resources would have the same natural key."
    )
    async def merge_organisations(self, info: Info, input: MergeOrganisationsInput) -> OrganisationPayload:
        return await run_mutation(
            info,
            input,
            OrganisationPayload,
            lambda session, viewer: merge_organisations(
                session,
                viewer,
                id=input.id,
                expected_revision=or_none(input.expected_revision),
                duplicate_ids=input.duplicate_ids,
            ),
        )
