"""Components, as clients see them, and the writing of the registry."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import strawberry
from strawberry.types import Info

import documents
from graph.component_type import ComponentType
from graph.component_version import (
    ComponentVersion,
    ComponentVersionOrder,
    ComponentVersionPayload,
    ComponentVersionWhere,
    DeprecateComponentVersionInput,
)
from graph.connection import Connection
from graph.mutation import idempotency_key, mutation, perform, refused, wanted
from graph.node import Node
from graph.user_errors import UserError
from graph.view import argument, every, found, many, one, stored, view
from graph.where import By, StringFilter, order_input, where_input
from resolvers.component_version import deprecate_component_version
from resolvers.ingest.component import ingest_component

ComponentWhere = where_input(
    "Component",
    documents.Component,
    component_name=By(StringFilter, "component_name", "Its name."),
    repo_link=By(StringFilter, "repo_link", "Its repository."),
    tag=By(StringFilter, "tags", "One of its tags."),
    type=By(list[ComponentType], "type", "Of one of these types."),  # type: ignore[valid-type]
)
ComponentOrder = order_input("Component", documents.Component, COMPONENT_NAME="component_name", CREATED_AT="created_at")


@view(documents.Component)
class Component(Node):
    """A repository whose versions can be run as steps. What it says of itself is that of the version ingested last."""

    component_name: str = stored(description="What it calls itself.")
    title: str | None = stored(description="A title for people.")
    author: str | None = stored(description="Who wrote it.")
    repo_link: str = stored(description="Its repository, unique: without a trailing slash or .git.")
    type: ComponentType = stored(description="How it behaves once it is started.")  # type: ignore[valid-type]
    status: str = stored(description="Where it stands: active, unless somebody says otherwise.")
    description: str | None = stored(description="What it does.")
    tags: list[str] = stored(description="Words to find it by.")
    versions: Connection[ComponentVersion] = many(
        documents.ComponentVersion,
        "component_ref",
        where=ComponentVersionWhere,
        order_by=ComponentVersionOrder,
        description="Its versions, oldest first unless told otherwise.",
    )
    latest_version: ComponentVersion | None = one(
        documents.ComponentVersion,
        "latest_version_ref",
        description="The version ingested last of those that are not deprecated.",
    )
    created_at: datetime = stored(description="When it was first ingested.")
    updated_at: datetime = stored(description="When it last changed.")
    revision: int = stored(description="Rises by one with each change.")


@view()
class ComponentQuery:
    component: Component | None = found(
        documents.Component,
        argument("id", strawberry.ID | None, description="Its id."),
        argument("repo_link", str | None, description="Its repository, without a trailing slash or .git."),
        description="The component with this id or this repository.",
    )
    components: Connection[Component] = every(
        documents.Component, where=ComponentWhere, order_by=ComponentOrder, description="All components, oldest first."
    )


@strawberry.input(description="A version of a component.")
class IngestComponentInput:
    idempotency_key: str | None = idempotency_key()
    repo_link: str = wanted("The repository's URL. A trailing slash or .git makes no difference.")
    commit_hash: str = wanted("The commit, in hexadecimal, 7 to 64 digits. Never a branch.")
    version: str = wanted("The version, as it is tagged.")
    odtp_yml: str = wanted("The file itself, YAML.")


@strawberry.type(description="Something in an odtp.yml that was read otherwise than it is written.")
class Adjustment:
    path: list[str] = strawberry.field(description="Path to it from the top of the file.")
    message: str = strawberry.field(description="What was changed, for people.")


@strawberry.type(description="A component version that was ingested, or why it was not.")
class IngestComponentPayload:
    component: Component | None = strawberry.field(description="The component as it is now.", default=None)
    component_version: ComponentVersion | None = strawberry.field(
        description="The version, whether this call recorded it or an earlier one.", default=None
    )
    adjustments: list[Adjustment] = strawberry.field(description="What had to be normalised.", default_factory=list)
    user_errors: list[UserError] = refused()


def _ingested(*, adjustments: list[dict[str, Any]] | None = None, **rest: Any) -> IngestComponentPayload:
    return IngestComponentPayload(adjustments=[Adjustment(**one) for one in adjustments or []], **rest)


@strawberry.type
class ComponentMutation:
    @mutation("From odtp.yml, in its current or its older form; what had to be normalised is listed in adjustments.")
    async def ingest_component(self, info: Info, input: IngestComponentInput) -> IngestComponentPayload:
        return await perform(info, _ingested, ingest_component, input)

    @mutation("Have new executions refuse a version, or take it again.")
    async def deprecate_component_version(
        self, info: Info, input: DeprecateComponentVersionInput
    ) -> ComponentVersionPayload:
        return await perform(info, ComponentVersionPayload, deprecate_component_version, input)
