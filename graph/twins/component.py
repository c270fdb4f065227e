"""Components in the GraphQL schema, and the mutations of the component registry."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import strawberry
from strawberry.types import Info

import documents
from graph.core.mutation import idempotency_key, mutation, required, run_mutation, user_errors_field
from graph.core.node import Node
from graph.core.pagination import Connection
from graph.core.user_error_types import UserError
from graph.core.view import argument, connection, lookup, one, root_connection, stored, view
from graph.core.where import Condition, DeprecatedName, StringFilter, enum_conditions, order_input, where_input
from graph.twins.component_version import (
    ComponentVersion,
    ComponentVersionOrder,
    ComponentVersionPayload,
    ComponentVersionWhere,
    DeprecateComponentVersionInput,
)
from graph.twins.step import ComponentType
from resolvers.twins.component_version import deprecate_component_version
from resolvers.twins.register_component import ingest_component

ComponentWhere = where_input(
    "Component",
    documents.Component,
    name=Condition(StringFilter, "component_name", "Filter by the component's name."),
    component_name=Condition(StringFilter, "component_name", "Filter by the component's name.", instead="name"),
    repo_link=Condition(StringFilter, "repo_link", "Filter by the URL of the component's repository."),
    tag=Condition(StringFilter, "tags", "Filter by tag; null matches components without tags."),
    **enum_conditions("type", ComponentType, "type", "Filter by the component's type."),
)
ComponentOrder = order_input(
    "Component",
    documents.Component,
    NAME="component_name",
    COMPONENT_NAME=DeprecatedName("component_name", replacement="NAME"),
    CREATED_AT="created_at",
)


@view(documents.Component)
class Component(Node):
    """A component: a repository whose versions can be run as steps. Its name, title, author, type, description and tags
    are those of the version ingested last.
    """

    name: str = stored("component_name", description="The component's name, as given in its odtp.yml.")
    component_name: str = stored(description="The component's name, as given in its odtp.yml.", instead="name")
    title: str | None = stored(description="The component's human-readable title.")
    author: str | None = stored(description="The component's author.")
    repo_link: str = stored(description="URL of the component's repository, unique; without a trailing slash or .git.")
    type: ComponentType = stored(description="How the component behaves once started.")  # type: ignore[valid-type]
    status: str = stored(description="The component's state: active, unless set otherwise.")
    description: str | None = stored(description="A description of the component's purpose.")
    tags: list[str] = stored(description="Tags that describe the component.")
    versions: Connection[ComponentVersion] = connection(
        documents.ComponentVersion,
        "component_ref",
        where=ComponentVersionWhere,
        order_by=ComponentVersionOrder,
        description="The component's versions, oldest first unless orderBy is given.",
    )
    latest_version: ComponentVersion | None = one(
        documents.ComponentVersion,
        "latest_version_ref",
        description="The version ingested last among those that are not deprecated. Null when there is none.",
    )
    created_at: datetime = stored(description="When the component was first ingested.")
    updated_at: datetime = stored(description="When the component last changed.")
    revision: int = stored(description="The component's revision number, incremented by each change.")


@view()
class ComponentQuery:
    component: Component | None = lookup(
        documents.Component,
        argument("id", strawberry.ID | None, description="The component's id."),
        argument(
            "repo_link", str | None, description="URL of the component's repository, without a trailing slash or .git."
        ),
        description="The component with this id or this repository URL. Null when no such component exists.",
    )
    components: Connection[Component] = root_connection(
        documents.Component,
        where=ComponentWhere,
        order_by=ComponentOrder,
        description="All components, oldest first unless orderBy is given.",
    )


@strawberry.input(description="A version of a component to ingest, with its odtp.yml.")
class IngestComponentInput:
    idempotency_key: str | None = idempotency_key()
    repo_link: str = required("URL of the component's repository. A trailing slash or .git makes no difference.")
    commit_hash: str = required("Hash of the commit, 7 to 64 hexadecimal digits; never the name of a branch.")
    version: str = required("The version's name, which is its tag in the repository.")
    odtp_yml: str = required("Content of the version's odtp.yml, as YAML text.")


@strawberry.type(
    description="A value of an odtp.yml that was normalised, or that contradicts the arguments of the call."
)
class Adjustment:
    path: list[str] = strawberry.field(description="Path to the value from the top of the odtp.yml.")
    message: str = strawberry.field(description="Human-readable description of the adjustment.")


@strawberry.type(description="The component version that was ingested, or the reasons why none was.")
class IngestComponentPayload:
    component: Component | None = strawberry.field(
        description="The component in its current state. Null when the call was refused.", default=None
    )
    component_version: ComponentVersion | None = strawberry.field(
        description="The component version, whether this call or an earlier one recorded it. Null when the call was "
        "refused.",
        default=None,
    )
    adjustments: list[Adjustment] = strawberry.field(
        description="Values of the odtp.yml that were normalised, or overruled by the arguments of the call.",
        default_factory=list,
    )
    user_errors: list[UserError] = user_errors_field()


def _payload(*, adjustments: Sequence[dict[str, Any]] = (), **rest: Any) -> IngestComponentPayload:
    return IngestComponentPayload(adjustments=[Adjustment(**adjustment) for adjustment in adjustments], **rest)


@strawberry.type
class ComponentMutation:
    @mutation(
        "Ingest a component version from its odtp.yml, in the current or the older format. Normalised values are "
        "listed in adjustments. For workers and administrators. Refused with ALREADY_EXISTS when the version was "
        "ingested before with another commit or odtp.yml."
    )
    async def ingest_component(self, info: Info, input: IngestComponentInput) -> IngestComponentPayload:
        return await run_mutation(
            info,
            input,
            _payload,
            lambda session, viewer: ingest_component(
                session,
                viewer,
                repo_link=input.repo_link,
                commit_hash=input.commit_hash,
                version=input.version,
                odtp_yml=input.odtp_yml,
            ),
        )

    @mutation(
        "Deprecate a component version, so that new executions refuse it, or restore it. For workers and "
        "administrators."
    )
    async def deprecate_component_version(
        self, info: Info, input: DeprecateComponentVersionInput
    ) -> ComponentVersionPayload:
        return await run_mutation(
            info,
            input,
            ComponentVersionPayload,
            lambda session, viewer: deprecate_component_version(
                session, viewer, id=input.id, deprecated=input.deprecated
            ),
        )
