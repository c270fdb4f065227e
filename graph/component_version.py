"""Versions of components, as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import strawberry

import documents
from documents import component_version
from graph.connection import Connection
from graph.mutation import refused, wanted
from graph.node import Node
from graph.scalars import JSON
from graph.step import StepWhere
from graph.user_errors import UserError
from graph.view import many, one, stored, view
from graph.where import BooleanFilter, By, OrderDirection, StringFilter, order_input, where_input

if TYPE_CHECKING:
    from graph.component import Component
    from graph.step import Step

ComponentVersionWhere = where_input(
    "ComponentVersion",
    documents.ComponentVersion,
    combined=False,
    version=By(StringFilter, "version", "Its version, as it is tagged."),
    commit_hash=By(StringFilter, "commit_hash", "Its commit."),
    is_deprecated=By(BooleanFilter, "is_deprecated", "Whether new executions refuse it."),
)
ComponentVersionOrder = order_input(
    "ComponentVersion", documents.ComponentVersion, OrderDirection.DESC, CREATED_AT="created_at"
)


@view(component_version.ParameterDefinition)
class ParameterDefinition:
    """A parameter that a run of a component version takes."""

    name: str = stored(description="Its name.")
    datatype: str = stored(description="string, integer, float, boolean or date.")
    default_value: JSON | None = stored(description="What it is when nobody says otherwise.")
    description: str | None = stored(description="What it is for.")
    options: list[JSON] | None = stored(description="The values to choose from, when there is a choice.")
    allow_custom_value: bool = stored(description="Whether other values than the options are taken.")
    minimum: float | None = stored(description="The smallest number taken; null when there is none.")
    maximum: float | None = stored(description="The largest number taken; null when there is none.")


@view(component_version.PortDefinition)
class PortDefinition:
    """A port that a component version's container listens on."""

    name: str = stored(description="Its name.")
    description: str | None = stored(description="What it is for.")
    container_port: int = stored(description="Its number within the container.")


@view(documents.ComponentVersion)
class ComponentVersion(Node):
    """A commit of a component under a version (a tag).

    (component, version) is unique; immutable but for isDeprecated.
    """

    component: Component = one(documents.Component, "component_ref", description="What it is a version of.")
    version: str = stored(description="Its version, as it is tagged.")
    component_version: str | None = stored(description="The version that its own description gives.")
    commit_hash: str = stored(description="Its commit, in hexadecimal.")
    docker_hub_link: str | None = stored(description="The image that its description names.")
    title: str | None = stored(description="A title for people.")
    description: str | None = stored(description="What it does.")
    tags: list[str] = stored(description="Words to find it by.")
    parameters: list[ParameterDefinition] = stored(description="What a run of it takes.")
    ports: list[PortDefinition] = stored(description="The ports that its container listens on.")
    secrets: list[str] = stored(description="Names of the secrets a run needs; their values are never stored.")
    metadata: JSON | None = stored(description="The component's own description (odtp.yml) as it was ingested.")
    is_deprecated: bool = stored(description="Whether new executions refuse it.")
    steps: Connection[Step] = many(
        documents.Step,
        "component_version_ref",
        where=StepWhere,
        description="Steps that run it and you may see, oldest first.",
    )
    created_at: datetime = stored(description="When it was ingested.")
    updated_at: datetime = stored(description="When it was last deprecated or brought back.")


@strawberry.input(description="Which component version to deprecate, or to bring back.")
class DeprecateComponentVersionInput:
    id: strawberry.ID = wanted("Which component version.")
    deprecated: bool = wanted("False brings it back.", default=True)


@strawberry.type(description="A component version that was written, or why it was not.")
class ComponentVersionPayload:
    component_version: ComponentVersion | None = strawberry.field(description="As it is now.", default=None)
    user_errors: list[UserError] = refused()
