"""Asking for executions."""

import asyncio
from typing import Any

from pymongo.errors import DuplicateKeyError

import documents
from documents.activity import ActivityStatus
from documents.execution import WorkflowSchema
from resolvers.checks import a_line, a_text, tags
from resolvers.digital_twin import added_to, own_twin
from resolvers.execution_checks import Given, Plan, planned, releases_of, steps_of
from resolvers.fetch import Row, collection_of
from resolvers.policies import owns
from resolvers.refusals import AlreadyExists, Forbidden, Refusal, Refusals, noting
from resolvers.viewer import Role, Viewer
from resolvers.writing import Again, Outcome, Session, insert, require, visible


async def create_execution(
    session: Session, viewer: Viewer, *, digital_twin_id: str, steps: list[Given], dry_run: bool = False, **said: Any
) -> Outcome:
    """A new execution with its steps, READY to be claimed; of a `dry_run`, None.

    Raises NotFound and Forbidden for the twin, and Refusals with everything that is wrong with the rest.
    """
    require(viewer, Role.USER)
    twin = await own_twin(digital_twin_id, viewer, session, "digitalTwinId")
    releases = await releases_of(steps, viewer, session)
    refusals: list[Refusal] = []
    plan: Plan = []
    with noting(refusals):
        execution = _execution(twin, said)
        await refuse_taken_title(twin["_id"], execution.title, session)
    with noting(refusals):
        # A thousand steps take a while to check, in which others are to be answered.
        plan = await asyncio.to_thread(planned, steps, releases)
    if refusals:
        raise Refusals(refusals)
    if dry_run:
        return {"execution": None}
    execution.workflow_schema.component_versions = [step.release.version.id for step, _ in plan]
    return {"execution": await keep_execution(execution, steps_of(plan, execution), session)}


async def own_execution(id: str, viewer: Viewer, session: Session, *path: str) -> Row:
    """The execution with this id. Raises NotFound when the viewer may not see it, Forbidden when it is not theirs."""
    execution = await visible(documents.Execution, id, viewer, session, *path)
    if not owns(viewer, execution["ownerRef"]):
        raise Forbidden(f"Execution {id} belongs to somebody else.", *path)
    return execution


async def keep_execution(execution: documents.Execution, steps: list[documents.Step], session: Session) -> Row:
    """The stored execution, whose steps are stored as well. Raises Again when its title has just been taken."""
    twin = await added_to(execution.digital_twin_ref, session)
    execution.public = twin["public"]
    for step in steps:
        step.public = twin["public"]
    try:
        await documents.Step.insert_many(steps, session=session)
        return await insert(execution, session)
    except DuplicateKeyError as error:
        raise Again from error


async def refuse_taken_title(twin_id: str, title: str, session: Session) -> None:
    """Raise AlreadyExists when an execution of the twin has this title."""
    key = {"digitalTwinRef": twin_id, "title": title}
    if await collection_of(documents.Execution).find_one(key, {"_id": 1}, session=session):
        raise AlreadyExists(f"An execution called {title} of the same digital twin exists already.", "title")


def _execution(twin: Row, said: dict[str, Any]) -> documents.Execution:
    """The execution without its steps. Raises Refusals with what is wrong with what is said of it."""
    refusals: list[Refusal] = []
    checked: dict[str, Any] = {}
    with noting(refusals):
        checked["title"] = a_line(said["title"], "title")
    with noting(refusals):
        checked["description"] = a_text(said.get("description"), "description")
    with noting(refusals):
        checked["tags"] = tags(said.get("tags") or [], "tags")
    with noting(refusals):
        checked["executor"] = a_line(said["workflow_executor"], "workflowExecutor")
    with noting(refusals):
        checked["version"] = a_line(said["workflow_executor_version"], "workflowExecutorVersion")
    if refusals:
        raise Refusals(refusals)
    executor, version = checked.pop("executor"), checked.pop("version")
    return documents.Execution(
        digital_twin_ref=twin["_id"],
        owner_ref=twin["userRef"],
        status=ActivityStatus.READY,
        workflow_schema=WorkflowSchema(workflow_executor=executor, workflow_executor_version=version),
        **checked,
    )
