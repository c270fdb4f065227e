"""Executions of workflows, as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import strawberry
from strawberry.types import Info

import documents
from graph.activity import ActivityStatus
from graph.connection import Connection
from graph.declared import reader_of
from graph.execution_input import CreateExecutionInput, RerunExecutionInput
from graph.mutation import mutation, optional, perform, refused, wanted
from graph.node import Node
from graph.scalars import JSON
from graph.step import BY_ORDINAL, StepWhere
from graph.user_errors import UserError
from graph.view import every, facet, listed, many, one, stored, view
from graph.where import By, DateTimeFilter, IDFilter, OrderDirection, StringFilter, order_input, where_input
from resolvers.cancelling import cancel_execution
from resolvers.execution import create_execution
from resolvers.ingest.turns import turn
from resolvers.rerun import rerun_execution

if TYPE_CHECKING:
    from graph.component_version import ComponentVersion
    from graph.digital_twin import DigitalTwin
    from graph.result import Result
    from graph.step import Step

ExecutionWhere = where_input(
    "Execution",
    documents.Execution,
    title=By(StringFilter, "title", "Its title."),
    tag=By(StringFilter, "tags", "One of its tags."),
    status=By(list[ActivityStatus], "status", "In one of these states."),  # type: ignore[valid-type]
    digital_twin_id=By(IDFilter, "digital_twin_ref", "The digital twin it ran for."),
    component_version_id=By(IDFilter, "workflow_schema.component_versions", "A component version that it runs."),
    start_timestamp=By(DateTimeFilter, "start_timestamp", "When its first step began."),
    created_at=By(DateTimeFilter, "created_at", "When it was asked for."),
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
    """The workflow as it was when the execution was made."""

    workflow_executor: str = stored("workflow_schema.workflow_executor", description="What runs the steps.")
    workflow_executor_version: str = stored(
        "workflow_schema.workflow_executor_version", description="The version of what runs the steps."
    )
    component_versions: list[ComponentVersion] = listed(
        documents.ComponentVersion,
        "workflow_schema.component_versions",
        description="What runs, in order of the steps.",
    )
    workflow_executor_schema: JSON | None = stored(
        "workflow_schema.workflow_executor_schema", description="The workflow in the executor's own terms."
    )


@view(documents.Execution)
class Execution(Node):
    """A run of a workflow of component versions for a digital twin."""

    digital_twin: DigitalTwin = one(documents.DigitalTwin, "digital_twin_ref", description="What it ran for.")
    title: str = stored(description="Its title, unique among the executions of its twin.")
    description: str | None = stored(description="What it is about.")
    tags: list[str] = stored(description="Words to find it by.")
    status: ActivityStatus = stored(description="Derived from its steps.")  # type: ignore[valid-type]
    workflow_schema: WorkflowSchema = facet(description="Copied at creation: later edits never rewrite history.")
    steps: Connection[Step] = many(
        documents.Step, "execution_ref", BY_ORDINAL, where=StepWhere, description="Its steps, in order of ordinal."
    )
    results: Connection[Result] = many(
        documents.Result, "execution_ref", description="Its outputs gathered under titles, oldest first."
    )
    parent: Execution | None = one(
        documents.Execution, "parent_ref", description="The execution that this one re-runs."
    )
    reruns: Connection[Execution] = many(
        documents.Execution, "parent_ref", description="Executions that re-run this one, oldest first."
    )
    start_timestamp: datetime | None = stored(description="When its first step began.")
    end_timestamp: datetime | None = stored(description="When its last step ended.")
    created_at: datetime = stored(description="When it was asked for.")
    updated_at: datetime = stored(description="When it last changed.")
    revision: int = stored(description="Rises by one with each change; for expectedRevision.")


@view()
class ExecutionQuery:
    executions: Connection[Execution] = every(
        documents.Execution,
        where=ExecutionWhere,
        order_by=ExecutionOrder,
        description="All executions that you may see, oldest first unless told otherwise.",
    )


@strawberry.input(description="Ends an execution before it is done.")
class CancelExecutionInput:
    id: strawberry.ID = wanted("Which execution.")
    reason: str | None = optional("Why, for people; the steps that had not ended say it as their error.")


@strawberry.type(description="An execution that was written, or why it was not.")
class ExecutionPayload:
    execution: Execution | None = strawberry.field(description="As it is now. Null for a dry run.", default=None)
    user_errors: list[UserError] = refused()


@strawberry.type
class ExecutionMutation:
    @mutation(
        "Run component versions for a digital twin of your own: steps that wait for nothing can be claimed at once. "
        "Parameters, code and ports are frozen."
    )
    async def create_execution(self, info: Info, input: CreateExecutionInput) -> ExecutionPayload:
        if input.dry_run:
            input.idempotency_key = strawberry.UNSET
            return await perform(info, ExecutionPayload, create_execution, input)
        async with turn(reader_of(info).viewer.key, input.digital_twin_id):
            return await perform(info, ExecutionPayload, create_execution, input)

    @mutation(
        "Run an execution of your own again, with the same code and parameters but for those that you override, "
        "whatever became of the component versions. The new execution names this one as its parent."
    )
    async def rerun_execution(self, info: Info, input: RerunExecutionInput) -> ExecutionPayload:
        async with turn(reader_of(info).viewer.key, input.execution_id):
            return await perform(info, ExecutionPayload, rerun_execution, input)

    @mutation(
        "Cancel an execution of your own: what waits is not run, and whoever runs something is told INVALID_STATE at "
        "the next report. What has ended stays as it is."
    )
    async def cancel_execution(self, info: Info, input: CancelExecutionInput) -> ExecutionPayload:
        return await perform(info, ExecutionPayload, cancel_execution, input)
