"""Executions of workflows in the GraphQL schema."""

from datetime import datetime
from typing import TYPE_CHECKING

import strawberry
from strawberry.types import Info

import documents
from graph.activities.activity import ActivityStatus
from graph.core.mutation import (
    convert_each,
    idempotency_key,
    mutation,
    optional,
    or_none,
    required,
    run_mutation,
    user_errors_field,
)
from graph.core.pagination import Connection
from graph.core.scalars import JSON
from graph.core.user_error_types import UserError
from graph.core.view import argument, connection, embedded, lookup, many_by_ids, one, root_connection, stored, view
from graph.core.warning import InputWarning, warnings_field, with_warnings
from graph.core.where import (
    Condition,
    DateTimeFilter,
    IDFilter,
    OrderDirection,
    StringFilter,
    enum_conditions,
    order_input,
    where_input,
)
from graph.provenance.traceable import Traceable
from graph.twins.execution_input import (
    CreateExecutionInput,
    RerunExecutionInput,
    parameter_override_values,
    step_override_values,
    version_override_values,
)
from graph.twins.step import BY_ORDINAL, StepWhere
from graph.twins.step_input import step_values
from resolvers.twins.cancel_execution import cancel_execution
from resolvers.twins.execution import create_execution
from resolvers.twins.rerun import rerun_execution

if TYPE_CHECKING:
    from graph.twins.component_version import ComponentVersion
    from graph.twins.digital_twin import DigitalTwin
    from graph.twins.result import Result
    from graph.twins.step import Step
    from graph.twins.workflow import Workflow

ExecutionWhere = where_input(
    "Execution",
    documents.Execution,
    title=Condition(StringFilter, "title", "Filter by the execution's title."),
    tag=Condition(StringFilter, "tags", "Filter by tag; null matches executions without tags."),
    **enum_conditions("status", ActivityStatus, "status", "Filter by the execution's state."),
    digital_twin_id=Condition(IDFilter, "digital_twin_ref", "Filter by the digital twin for which the execution runs."),
    workflow_id=Condition(
        IDFilter,
        "workflow_ref",
        "Filter by the workflow from which the execution was created; null matches executions created without a "
        "workflow.",
    ),
    component_version_id=Condition(
        IDFilter,
        "workflow_schema.component_versions",
        "Filter by a component version that the execution runs; null matches executions that run none.",
    ),
    start_timestamp=Condition(
        DateTimeFilter, "start_timestamp", "Filter by the time when the execution's first step started."
    ),
    created_at=Condition(DateTimeFilter, "created_at", "Filter by the time when the execution was created."),
)
ExecutionOrder = order_input(
    "Execution",
    documents.Execution,
    OrderDirection.DESC,
    CREATED_AT="created_at",
    START_TIMESTAMP="start_timestamp",
    END_TIMESTAMP="end_timestamp",
    TITLE="title",
)


@view(documents.Execution)
class WorkflowSchema:
    """The workflow of an execution, as it was when the execution was created."""

    executor: str = stored("workflow_schema.workflow_executor", description="Name of the executor that runs the steps.")
    executor_version: str = stored(
        "workflow_schema.workflow_executor_version", description="Version of the executor that runs the steps."
    )
    executor_schema: JSON | None = stored(
        "workflow_schema.workflow_executor_schema",
        description="The workflow in the executor's own format. Null when there is none.",
    )
    workflow_executor: str = stored(
        "workflow_schema.workflow_executor", description="Name of the executor that runs the steps.", instead="executor"
    )
    workflow_executor_version: str = stored(
        "workflow_schema.workflow_executor_version",
        description="Version of the executor that runs the steps.",
        instead="executorVersion",
    )
    component_versions: "list[ComponentVersion]" = many_by_ids(
        documents.ComponentVersion,
        "workflow_schema.component_versions",
        description="The component versions that the steps run, in the order of the steps.",
    )
    workflow_executor_schema: JSON | None = stored(
        "workflow_schema.workflow_executor_schema",
        description="The workflow in the executor's own format. Null when there is none.",
        instead="executorSchema",
    )


@view(documents.Execution)
class Execution(Traceable):
    """An execution: one run of a workflow of component versions for a digital twin."""

    digital_twin: "DigitalTwin | None" = one(
        documents.DigitalTwin,
        "digital_twin_ref",
        description="The digital twin for which the execution runs. Null when you may not see it, as is the case for "
        "workers.",
    )
    title: str = stored(description="The execution's title, unique among those of its digital twin.")
    description: str | None = stored(description="A description of the execution's purpose.")
    tags: list[str] = stored(description="Tags that describe the execution.")
    status: ActivityStatus = stored(description="The execution's state, derived from the states of its steps.")  # type: ignore[valid-type]
    workflow: "Workflow | None" = one(
        documents.Workflow,
        "workflow_ref",
        description="The workflow from which the execution was created, in its current state. Null when there was "
        "none or you may not see it.",
    )
    workflow_revision: int | None = stored(
        description="The revision of the workflow from which the execution was created. Null when there was none."
    )
    workflow_schema: WorkflowSchema = embedded(
        description="The workflow as it was when the execution was created. Later changes to the workflow do not "
        "affect it."
    )
    steps: "Connection[Step]" = connection(
        documents.Step,
        "execution_ref",
        BY_ORDINAL,
        where=StepWhere,
        description="The execution's steps, in the order of their ordinals.",
    )
    results: "Connection[Result]" = connection(
        documents.Result, "execution_ref", description="Results made from the execution's outputs, oldest first."
    )
    parent: "Execution | None" = one(
        documents.Execution,
        "parent_ref",
        description="The execution that this one re-runs. Null when it is not a re-run.",
    )
    reruns: "Connection[Execution]" = connection(
        documents.Execution, "parent_ref", description="Executions that re-run this one, oldest first."
    )
    start_timestamp: datetime | None = stored(description="When the execution's first step started. Null before that.")
    end_timestamp: datetime | None = stored(description="When the execution's last step ended. Null before that.")
    created_at: datetime = stored(description="When the execution was created.")
    updated_at: datetime = stored(description="When the execution last changed.")
    revision: int = stored(description="The execution's revision number, incremented by each change.")


@view()
class ExecutionQuery:
    execution: Execution | None = lookup(
        documents.Execution,
        argument("id", strawberry.ID, description="The execution's id."),
        description="The execution with this id. Null when no such execution exists or you may not see it.",
    )
    executions: Connection[Execution] = root_connection(
        documents.Execution,
        where=ExecutionWhere,
        order_by=ExecutionOrder,
        description="All executions that you may see, oldest first unless orderBy is given.",
    )


@strawberry.input(description="An execution to cancel before its end.")
class CancelExecutionInput:
    idempotency_key: str | None = idempotency_key()
    id: strawberry.ID = required("Id of the execution to cancel.")
    reason: str | None = optional("Human-readable reason, recorded as the error of each step that had not ended.")


@strawberry.type(description="The execution that was written, or the reasons why nothing was written.")
class ExecutionPayload:
    execution: Execution | None = strawberry.field(
        description="The execution in its current state. Null when the call was refused.", default=None
    )
    user_errors: list[UserError] = user_errors_field()


@strawberry.type(description="The execution that was created, or the reasons why none was.")
class NewExecutionPayload:
    execution: Execution | None = strawberry.field(
        description="The new execution in its current state. Null when none was created.",
        default=None,
    )
    warnings: list[InputWarning] = warnings_field()
    user_errors: list[UserError] = user_errors_field()


@strawberry.type
class ExecutionMutation:
    @mutation(
        "Create an execution of component versions for a digital twin. Workers can claim steps without dependencies "
        "at once. Parameters, code and ports are frozen. Parameters that a component version does not declare are "
        "passed on to it, with a warning. For the digital twin's owner and administrators. Refused when the digital "
        "twin has an execution with this title, or a step is invalid; userErrors lists every problem."
    )
    async def create_execution(self, info: Info, input: CreateExecutionInput) -> NewExecutionPayload:
        if input.dry_run:
            input.idempotency_key = strawberry.UNSET
        return await run_mutation(
            info,
            input,
            with_warnings(NewExecutionPayload),
            lambda session, viewer: create_execution(
                session,
                viewer,
                digital_twin_id=input.digital_twin_id,
                title=input.title,
                description=or_none(input.description),
                tags=or_none(input.tags),
                workflow_executor=input.workflow_executor,
                workflow_executor_version=input.workflow_executor_version,
                steps=[step_values(step) for step in input.steps],
                workflow_id=or_none(input.workflow_id),
                overrides=or_none(convert_each(step_override_values, input.overrides)),
                dry_run=input.dry_run,
            ),
        )

    @mutation(
        "Re-run an execution with the same code and parameters, except for those that you override. Component "
        "versions that have since been deprecated run again. The new execution has the earlier one as its parent. For "
        "the execution's owner and administrators. Refused with INVALID_STATE when a step to be reused did not "
        "succeed."
    )
    async def rerun_execution(self, info: Info, input: RerunExecutionInput) -> NewExecutionPayload:
        return await run_mutation(
            info,
            input,
            with_warnings(NewExecutionPayload),
            lambda session, viewer: rerun_execution(
                session,
                viewer,
                execution_id=input.execution_id,
                strategy=input.strategy,
                title=or_none(input.title),
                from_step_id=or_none(input.from_step_id),
                parameter_overrides=or_none(convert_each(parameter_override_values, input.parameter_overrides)),
                component_version_overrides=or_none(
                    convert_each(version_override_values, input.component_version_overrides)
                ),
            ),
        )

    @mutation(
        "Cancel an execution. Waiting steps are not run, and workers that run a step are refused with INVALID_STATE "
        "at their next report. Steps that have ended stay unchanged. For the execution's owner and administrators. "
        "Refused with INVALID_STATE when the execution has ended."
    )
    async def cancel_execution(self, info: Info, input: CancelExecutionInput) -> ExecutionPayload:
        return await run_mutation(
            info,
            input,
            ExecutionPayload,
            lambda session, viewer: cancel_execution(session, viewer, id=input.id, reason=or_none(input.reason)),
        )
