"""Resources, as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import documents
from graph.connection import Connection
from graph.node import Node
from graph.scalars import JSON
from graph.view import every, many, one, stored, view
from graph.where import By, IDFilter, StringFilter, order_input, where_input

if TYPE_CHECKING:
    from graph.organisation import Organisation

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
    info: JSON | None = stored(description="The pipeline's own description (info.json), as it was ingested.")


@view()
class ResourceQuery:
    resources: Connection[Resource] = every(
        documents.Resource, where=ResourceWhere, order_by=ResourceOrder, description="All resources."
    )
