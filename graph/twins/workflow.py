"""Workflows in the GraphQL schema."""

from datetime import datetime
from typing import TYPE_CHECKING

import strawberry
from strawberry.types import Info

import documents
import documents.twins.workflow
from graph.core.mutation import (
    convert_each,
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
from graph.core.view import argument, connection, lookup, many_by_ids, one, root_connection, stored, view
from graph.core.warning import InputWarning, warnings_field, with_warnings
from graph.core.where import BooleanFilter, Condition, DateTimeFilter, IDFilter, StringFilter, order_input, where_input
from graph.twins.execution import ExecutionOrder, ExecutionWhere
from graph.twins.step import ComponentType
from graph.twins.step_input import WorkflowStepInput, workflow_step_values
from resolvers.twins.workflow import WorkflowChanges, create_workflow, update_workflow

if TYPE_CHECKING:
    from graph.twins.component_version import ComponentVersion
    from graph.twins.execution import Execution
    from graph.twins.user import User

WorkflowWhere = where_input(
    "Workflow",
    documents.Workflow,
    name=Condition(StringFilter, "name", "Filter by the workflow's name."),
    tag=Condition(StringFilter, "tags", "Filter by tag; null matches workflows without tags."),
    public=Condition(BooleanFilter, "public", "Filter by whether everybody may read the workflow."),
    owner_id=Condition(IDFilter, "owner_ref", "Filter by the workflow's owner."),
    component_version_id=Condition(
        IDFilter,
        "component_versions",
        "Filter by a component version that the workflow runs; null matches workflows that run none.",
    ),
    created_at=Condition(DateTimeFilter, "created_at", "Filter by the time when the workflow was created."),
)
WorkflowOrder = order_input(
    "Workflow", documents.Workflow, NAME="name", CREATED_AT="created_at", UPDATED_AT="updated_at"
)


@view(documents.twins.workflow.WorkflowStep)
class WorkflowStep:
    """A step of a workflow: a component version to run."""

    key: str = stored(
        description="The step's key, unique within the workflow. Used in dependsOn and overrides to refer to the step."
    )
    component_version_id: strawberry.ID = stored(
        "component_version_ref",
        description="Id of the component version that the step runs; see also componentVersions of the workflow.",
    )
    type: ComponentType = stored(description="How the step behaves once started.")  # type: ignore[valid-type]
    parameters: JSON = stored(
        description="The parameter values given for the step, as an object by name. An execution adds the component "
        "version's defaults."
    )
    ports: list[str] = stored(description="Port mappings in the form host:container, such as 8501:8501.")
    depends_on: list[str] = stored(description="Keys of the steps that the step waits for.")
    inputs: JSON | None = stored(
        description="The outputs of earlier steps that the step reads, in a format defined by its component."
    )


@view(documents.Workflow)
class Workflow(Node):
    """A workflow: a named graph of component versions to run repeatedly. Pass its id to createExecution to run it.

    Each execution has a copy of the steps that it ran, so changing a workflow does not change its executions.
    """

    name: str = stored(description="The workflow's name, unique among those of its owner.")
    description: str | None = stored(description="A description of the workflow's purpose.")
    tags: list[str] = stored(description="Tags that describe the workflow.")
    public: bool = stored(description="Whether everybody may read the workflow and run it for their own digital twins.")
    owner: "User | None" = one(
        documents.User,
        "owner_ref",
        description="The user who owns the workflow. Null when it was imported without an owner and no administrator "
        "has set one.",
    )
    steps: list[WorkflowStep] = stored(description="The workflow's steps, at most 1,000.")
    component_versions: "list[ComponentVersion]" = many_by_ids(
        documents.ComponentVersion,
        "component_versions",
        description="The component versions that the steps run, in the order of the steps.",
    )
    executions: "Connection[Execution]" = connection(
        documents.Execution,
        "workflow_ref",
        where=ExecutionWhere,
        order_by=ExecutionOrder,
        description="Executions created from the workflow that you may see, oldest first unless orderBy is given.",
    )
    created_at: datetime = stored(description="When the workflow was created.")
    updated_at: datetime = stored(description="When the workflow last changed.")
    revision: int = stored(
        description="The workflow's revision number, incremented by each change. Pass it as expectedRevision to "
        "refuse overwriting newer changes."
    )


@view()
class WorkflowQuery:
    workflow: Workflow | None = lookup(
        documents.Workflow,
        argument("id", strawberry.ID, description="The workflow's id."),
        description="The workflow with this id. Null when no such workflow exists or you may not see it.",
    )
    workflows: Connection[Workflow] = root_connection(
        documents.Workflow,
        where=WorkflowWhere,
        order_by=WorkflowOrder,
        description="All workflows that you may see, oldest first unless orderBy is given.",
    )


@strawberry.input(description="A workflow to create.")
class CreateWorkflowInput:
    idempotency_key: str | None = idempotency_key()
    name: str = required("The workflow's name, unique among those of its owner.")
    description: str | None = optional("A description of the workflow's purpose.")
    tags: list[str] | None = optional("Tags that describe the workflow.", default_factory=list)
    public: bool = optional("Whether everybody may read the workflow.", default=False)
    owner_id: strawberry.ID | None = optional(
        "Id of the workflow's owner; defaults to the viewer. Only administrators may name another user."
    )
    steps: list[WorkflowStepInput] = required("The workflow's steps, at most 1,000.")


@strawberry.input(description="Changes to a workflow. Omitted fields stay unchanged.")
class UpdateWorkflowInput:
    idempotency_key: str | None = idempotency_key()
    id: strawberry.ID = required("Id of the workflow to change.")
    expected_revision: int | None = expected_revision()
    name: str | None = optional("The workflow's new name.")
    description: str | None = optional("The workflow's new description; null removes it.")
    tags: list[str] | None = optional("The complete list of the workflow's new tags.")
    public: bool | None = optional("Whether everybody may read the workflow from now on.")
    owner_id: strawberry.ID | None = optional(
        "Id of the workflow's new owner. Only administrators may name another user."
    )
    steps: list[WorkflowStepInput] | None = optional("The complete list of the workflow's new steps.")


@strawberry.type(description="The workflow that was written, or the reasons why nothing was written.")
class WorkflowPayload:
    workflow: Workflow | None = strawberry.field(
        description="The workflow in its current state. Null when the call was refused.", default=None
    )
    warnings: list[InputWarning] = warnings_field()
    user_errors: list[UserError] = user_errors_field()


@strawberry.type
class WorkflowMutation:
    @mutation(
        "Create a workflow: a named graph of component versions with parameters, to run repeatedly. For signed-in "
        "users. Refused with ALREADY_EXISTS when its owner has a workflow with this name."
    )
    async def create_workflow(self, info: Info, input: CreateWorkflowInput) -> WorkflowPayload:
        return await run_mutation(
            info,
            input,
            with_warnings(WorkflowPayload),
            lambda session, viewer: create_workflow(
                session,
                viewer,
                name=input.name,
                description=or_none(input.description),
                tags=or_none(input.tags),
                public=input.public,
                owner_id=or_none(input.owner_id),
                steps=[workflow_step_values(step) for step in input.steps],
            ),
        )

    @mutation(
        "Change a workflow. Executions created from it stay unchanged. For the workflow's owner and administrators. "
        "Refused with ALREADY_EXISTS when its owner has another workflow with the new name."
    )
    async def update_workflow(self, info: Info, input: UpdateWorkflowInput) -> WorkflowPayload:
        return await run_mutation(
            info,
            input,
            with_warnings(WorkflowPayload),
            lambda session, viewer: update_workflow(
                session,
                viewer,
                id=input.id,
                expected_revision=or_none(input.expected_revision),
                owner_id=or_none(input.owner_id),
                **without_unset(
                    WorkflowChanges(
                        name=input.name,
                        description=input.description,
                        tags=input.tags,
                        public=input.public,
                        steps=convert_each(workflow_step_values, input.steps),
                    )
                ),
            ),
        )
