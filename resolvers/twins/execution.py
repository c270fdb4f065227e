"""Creating executions."""

import asyncio
from typing import Any, TypedDict, Unpack

from pymongo.errors import DuplicateKeyError

import documents
from documents.activities.activity import ActivityStatus
from documents.mongo.transaction import Session
from documents.twins.execution import WorkflowSchema
from resolvers.access.policies import owns
from resolvers.access.roles import require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.provenance.external_data.external_state import ExternalState, Reporter, upsert_external_data
from resolvers.reads.rows import Row, collection_of
from resolvers.twins.chosen_steps import ChosenSteps, StepOverrideValues, choose_steps
from resolvers.twins.digital_twin import get_own_twin, lock_twin
from resolvers.twins.execution_validation import Plan, StepValues, new_steps, plan_steps
from resolvers.twins.twin_rights import readers_of
from resolvers.twins.used_again import assume_parameters_are_read
from resolvers.twins.used_by_steps import UsedBySteps, used_by_steps
from resolvers.user_errors import AlreadyExists, Forbidden, Refusal, Refusals, collect_refusals
from resolvers.validators import check_line, check_tags, check_text
from resolvers.writes.store import get_readable, insert
from resolvers.writes.transaction import Outcome, RetryTransaction, require_lock


class ExecutionFacts(TypedDict):
    """The fields of a new execution besides its steps."""

    title: str
    description: str | None
    tags: list[str] | None
    workflow_executor: str
    workflow_executor_version: str


async def create_execution(
    session: Session,
    viewer: Viewer,
    *,
    digital_twin_id: str,
    steps: list[StepValues],
    workflow_id: str | None = None,
    overrides: list[StepOverrideValues] | None = None,
    dry_run: bool = False,
    **facts: Unpack[ExecutionFacts],
) -> Outcome:
    """Create an execution of steps or of a workflow, with claimable steps READY; returns None for a `dry_run`.

    Warnings are returned with it. Raises NotFound and Forbidden for the twin, and Refusals with everything that is
    wrong with the rest.
    """
    require_role(viewer, Role.USER)
    if not dry_run:
        await require_lock(viewer.key, digital_twin_id)
    twin = await get_own_twin(digital_twin_id, viewer, session, "digitalTwinId")
    chosen = await choose_steps(steps, workflow_id, overrides, viewer, session)
    refusals: list[Refusal] = []
    plan: Plan = []
    used = UsedBySteps([], [])
    with collect_refusals(refusals):
        execution = _new_execution(twin, chosen, facts)
        await check_title_is_free(twin["_id"], execution.title, session)
    with collect_refusals(refusals), chosen.name_refusals():
        # In a thread, because checking a thousand steps takes a while.
        plan = await asyncio.to_thread(plan_steps, chosen.steps, chosen.releases)
    with collect_refusals(refusals), chosen.name_refusals():
        nodes = [node for _, node in plan]
        used = await used_by_steps(chosen.steps, nodes, twin["userRef"], viewer, session)
    if refusals:
        raise Refusals(refusals)
    warnings = await asyncio.to_thread(chosen.warnings)
    if dry_run:
        return {"execution": None, "warnings": warnings}
    execution.workflow_schema.component_versions = [step.release.version.id for step, _ in plan]
    planned = new_steps(plan, used.used, execution)
    urls = {state.id: state.url for state in used.states}
    states = used.states + await asyncio.to_thread(assume_parameters_are_read, planned, urls)
    row = await insert_execution(execution, planned, states, session)
    return {"execution": row, "warnings": warnings}


async def get_own_execution(id: str, viewer: Viewer, session: Session, *path: str) -> Row:
    """The viewer's own execution. Raises NotFound when the viewer may not see it, Forbidden when it is not theirs."""
    execution = await get_readable(documents.Execution, id, viewer, session, *path)
    if not owns(viewer, execution["ownerRef"]):
        raise Forbidden(f"Execution {id} belongs to somebody else.", *path)
    return execution


async def insert_execution(
    execution: documents.Execution, steps: list[documents.Step], states: list[ExternalState], session: Session
) -> Row:
    """Insert an execution and its steps, with the readers of its twin; returns the execution. `states` are the data
    elsewhere that the steps use.

    Raises RetryTransaction when its title has just been taken.
    """
    twin = await lock_twin(execution.digital_twin_ref, session)
    for document in (execution, *steps):
        document.public, document.reader_refs = twin["public"], readers_of(twin)
    await upsert_external_data(states, Reporter(execution.owner_ref, public=twin["public"]), session)
    try:
        await documents.Step.insert_many(steps, session=session)
        return await insert(execution, session)
    except DuplicateKeyError as error:
        raise RetryTransaction from error


async def check_title_is_free(twin_id: str, title: str, session: Session) -> None:
    """Raise AlreadyExists when an execution of the twin has this title."""
    key = {"digitalTwinRef": twin_id, "title": title}
    if await collection_of(documents.Execution).find_one(key, {"_id": 1}, session=session):
        raise AlreadyExists(f"An execution called {title} of the same digital twin exists already.", "title")


def _new_execution(twin: Row, chosen: ChosenSteps, facts: ExecutionFacts) -> documents.Execution:
    """The execution without its steps. Raises Refusals with everything that is wrong with its fields."""
    refusals: list[Refusal] = []
    values: dict[str, Any] = {}
    with collect_refusals(refusals):
        values["title"] = check_line(facts["title"], "title")
    with collect_refusals(refusals):
        values["description"] = check_text(facts["description"], "description")
    with collect_refusals(refusals):
        values["tags"] = check_tags(facts["tags"] or [], "tags")
    with collect_refusals(refusals):
        values["executor"] = check_line(facts["workflow_executor"], "workflowExecutor")
    with collect_refusals(refusals):
        values["version"] = check_line(facts["workflow_executor_version"], "workflowExecutorVersion")
    if refusals:
        raise Refusals(refusals)
    executor, version = values.pop("executor"), values.pop("version")
    return documents.Execution(
        digital_twin_ref=twin["_id"],
        owner_ref=twin["userRef"],
        status=ActivityStatus.READY,
        workflow_schema=WorkflowSchema(workflow_executor=executor, workflow_executor_version=version),
        workflow_ref=chosen.workflow["_id"] if chosen.workflow else None,
        workflow_revision=chosen.workflow["revision"] if chosen.workflow else None,
        **values,
    )
