"""Organisations, as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import strawberry
from strawberry.types import Info

import documents
from graph.connection import Connection
from graph.mutation import expected_revision, idempotency_key, mutation, optional, perform, refused, wanted
from graph.node import Node
from graph.resource import ResourceOrder, ResourceWhere
from graph.user_errors import UserError
from graph.view import argument, every, found, many, stored, view
from graph.where import By, StringFilter, order_input, where_input
from resolvers.organisation import create_organisation, update_organisation

if TYPE_CHECKING:
    from graph.resource import Resource

OrganisationWhere = where_input(
    "Organisation",
    documents.Organisation,
    url=By(StringFilter, "url", "Its natural key."),
    name=By(StringFilter, "name", "What it calls itself."),
)
OrganisationOrder = order_input("Organisation", documents.Organisation, NAME="name", URL="url", CREATED_AT="created_at")


@view(documents.Organisation)
class Organisation(Node):
    """A publisher of statistics."""

    url: str = stored(description="Natural key, unique.")
    name: str | None = stored(description="What it calls itself.")
    resources: Connection[Resource] = many(
        documents.Resource,
        "organisation_ref",
        where=ResourceWhere,
        order_by=ResourceOrder,
        description="Landing pages of the organisation with the code that reads them.",
    )
    created_at: datetime = stored(description="When it was first recorded.")
    updated_at: datetime = stored(description="When it last changed.")
    revision: int = stored(description="Rises by one with each change; for expectedRevision.")


@view()
class OrganisationQuery:
    organisation: Organisation | None = found(
        documents.Organisation,
        argument("id", strawberry.ID | None, description="Its id."),
        argument("url", str | None, description="Its natural key."),
        description="The organisation with this id or this url.",
    )
    organisations: Connection[Organisation] = every(
        documents.Organisation, where=OrganisationWhere, order_by=OrganisationOrder, description="All publishers."
    )


@strawberry.input(description="A new organisation.")
class CreateOrganisationInput:
    idempotency_key: str | None = idempotency_key()
    url: str = wanted("Its natural key, an absolute URL.")
    name: str | None = optional("What it calls itself.")


@strawberry.input(description="What to change of an organisation.")
class UpdateOrganisationInput:
    id: strawberry.ID = wanted("Which organisation.")
    expected_revision: int | None = expected_revision()
    name: str | None = optional("What it calls itself from now on; null takes the name away.")


@strawberry.type(description="An organisation that was written, or why it was not.")
class OrganisationPayload:
    organisation: Organisation | None = strawberry.field(description="As it is now.", default=None)
    user_errors: list[UserError] = refused()


@strawberry.type
class OrganisationMutation:
    @mutation("Record a publisher.")
    async def create_organisation(self, info: Info, input: CreateOrganisationInput) -> OrganisationPayload:
        return await perform(info, OrganisationPayload, create_organisation, input)

    @mutation("Change a publisher.")
    async def update_organisation(self, info: Info, input: UpdateOrganisationInput) -> OrganisationPayload:
        return await perform(info, OrganisationPayload, update_organisation, input)
