"""Versions of components in the GraphQL schema."""

from datetime import datetime
from typing import TYPE_CHECKING

import strawberry

import documents
from documents.twins import component_version
from graph.core.mutation import idempotency_key, optional, required, user_errors_field
from graph.core.pagination import Connection
from graph.core.scalars import JSON
from graph.core.user_error_types import UserError
from graph.core.view import argument, connection, lookup, one, root_connection, stored, view
from graph.core.where import BooleanFilter, Condition, IDFilter, OrderDirection, StringFilter, order_input, where_input
from graph.provenance.traceable import Traceable
from graph.twins.step import StepWhere

if TYPE_CHECKING:
    from graph.twins.component import Component
    from graph.twins.step import Step

ComponentVersionWhere = where_input(
    "ComponentVersion",
    documents.ComponentVersion,
    component_id=Condition(IDFilter, "component_ref", "Filter by the component that the version belongs to."),
    version=Condition(StringFilter, "version", "Filter by the version's name, which is its tag in the repository."),
    commit_hash=Condition(StringFilter, "commit_hash", "Filter by the hash of the version's commit."),
    is_deprecated=Condition(BooleanFilter, "is_deprecated", "Filter by whether the version is deprecated."),
)
ComponentVersionOrder = order_input(
    "ComponentVersion", documents.ComponentVersion, OrderDirection.DESC, CREATED_AT="created_at"
)


@view(component_version.ParameterDefinition)
class ParameterDefinition:
    """A parameter that a component version accepts."""

    name: str = stored(description="The parameter's name.")
    datatype: str = stored(description="The parameter's datatype: string, integer, float, boolean or date.")
    default_value: JSON | None = stored(description="The value used when none is given. Null when there is no default.")
    description: str | None = stored(description="A description of the parameter's purpose.")
    options: list[JSON] | None = stored(description="The values to choose from. Null when the choice is free.")
    allow_custom_value: bool = stored(description="Whether values other than the options are accepted.")
    minimum: float | None = stored(description="The smallest number accepted. Null when there is no lower bound.")
    maximum: float | None = stored(description="The largest number accepted. Null when there is no upper bound.")


@view(component_version.PortDefinition)
class PortDefinition:
    """A port on which a component version's container listens."""

    name: str = stored(description="The port's name.")
    description: str | None = stored(description="A description of the port's purpose.")
    container_port: int = stored(description="The port's number within the container.")


@view(documents.ComponentVersion)
class ComponentVersion(Traceable):
    """A version of a component: a commit under the name of a tag.

    The name is unique within the component. Only isDeprecated ever changes.
    """

    component: "Component" = one(
        documents.Component, "component_ref", description="The component that the version belongs to."
    )
    version: str = stored(description="The version's name, which is its tag in the repository.")
    declared_version: str | None = stored(
        "component_version",
        description="The version that the component's odtp.yml declares. Null when it declares none.",
    )
    component_version: str | None = stored(
        description="The version that the component's odtp.yml declares. Null when it declares none.",
        instead="declaredVersion",
    )
    commit_hash: str = stored(description="Hash of the version's commit, in hexadecimal.")
    docker_hub_link: str | None = stored(
        description="The Docker image named in the component's odtp.yml. Null when it names none."
    )
    title: str | None = stored(description="The component version's human-readable title.")
    description: str | None = stored(description="A description of the component version's purpose.")
    tags: list[str] = stored(description="Tags that describe the component version.")
    parameters: list[ParameterDefinition] = stored(description="The parameters that the component version accepts.")
    ports: list[PortDefinition] = stored(description="The ports on which the component version's container listens.")
    secrets: list[str] = stored(
        description="Names of the secrets that the component version needs to run. The secrets' values are never "
        "stored."
    )
    metadata: JSON | None = stored(description="The component's odtp.yml as it was ingested, as JSON.")
    is_deprecated: bool = stored(description="Whether the version is deprecated: new executions refuse it.")
    steps: "Connection[Step]" = connection(
        documents.Step,
        "component_version_ref",
        where=StepWhere,
        description="Steps that run the component version and that you may see, oldest first.",
    )
    created_at: datetime = stored(description="When the component version was ingested.")
    updated_at: datetime = stored(description="When the component version was last deprecated or restored.")


@view()
class ComponentVersionQuery:
    component_version: ComponentVersion | None = lookup(
        documents.ComponentVersion,
        argument("id", strawberry.ID, description="The component version's id."),
        description="The component version with this id. Null when no such version exists.",
    )
    component_versions: Connection[ComponentVersion] = root_connection(
        documents.ComponentVersion,
        where=ComponentVersionWhere,
        order_by=ComponentVersionOrder,
        description="Versions of all components, in the order in which they were ingested unless orderBy is given.",
    )


@strawberry.input(description="A component version to deprecate or to restore.")
class DeprecateComponentVersionInput:
    idempotency_key: str | None = idempotency_key()
    id: strawberry.ID = required("Id of the component version.")
    deprecated: bool = optional("True to deprecate the version, false to restore it.", default=True)


@strawberry.type(description="The component version that was written, or the reasons why nothing was written.")
class ComponentVersionPayload:
    component_version: ComponentVersion | None = strawberry.field(
        description="The component version in its current state. Null when the call was refused.", default=None
    )
    user_errors: list[UserError] = user_errors_field()
