"""Writing workflows: named chains of component versions that executions copy."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypedDict, Unpack

from pymongo.errors import DuplicateKeyError

import documents
from documents.mongo.transaction import Session
from documents.twins.workflow import WorkflowStep
from resolvers.access.policies import owns_any
from resolvers.access.roles import require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.reads.rows import Row
from resolvers.twins.execution_validation import Given, Plan, plan_steps, releases_of, step_warnings
from resolvers.twins.ownership import owner_of_new
from resolvers.twins.parameter_warnings import InputWarning, first_warnings
from resolvers.twins.parameters import coerce_parameters
from resolvers.user_errors import (
    AlreadyExists,
    Forbidden,
    InvalidInput,
    LimitExceeded,
    Refusal,
    Refusals,
    collect_refusals,
)
from resolvers.validators import check_line, check_tags, check_text
from resolvers.writes.store import get_readable, insert, update
from resolvers.writes.transaction import Outcome, require_lock

LARGEST_WORKFLOW = 8_000_000
"""Bytes of the steps of a workflow, which is one document: MongoDB's limit is 16 MiB."""


class WorkflowChanges(TypedDict, total=False):
    """The fields of a workflow that its owner changes."""

    name: str | None
    description: str | None
    tags: list[str] | None
    public: bool | None
    steps: list[Given] | None


async def create_workflow(
    session: Session,
    viewer: Viewer,
    *,
    name: str,
    description: str | None,
    tags: list[str] | None,
    public: bool,
    steps: list[Given],
    owner_id: str | None = None,
) -> Outcome:
    """Create a workflow of the viewer's or, for administrators, of any user.

    Raises AlreadyExists when its name is taken, and Refusals with everything that is wrong with the rest.
    """
    require_role(viewer, Role.USER)
    owner = await owner_of_new(session, viewer, owner_id, "workflows")
    given = WorkflowChanges(name=name, description=description, tags=tags, public=public, steps=steps)
    checked, warnings = await _checked(given, viewer, session)
    workflow = documents.Workflow(owner_ref=owner["_id"], **checked)
    try:
        return {"workflow": await insert(workflow, session), "warnings": warnings}
    except DuplicateKeyError as error:
        raise _name_is_taken(workflow.name) from error


async def update_workflow(
    session: Session,
    viewer: Viewer,
    *,
    id: str,
    expected_revision: int | None = None,
    owner_id: str | None = None,
    **changes: Unpack[WorkflowChanges],
) -> Outcome:
    """Change a workflow and return it. Executions that were made from it stay as they are.

    Raises NotFound, Forbidden, RevisionConflict, AlreadyExists, and Refusals with everything that is wrong with the
    changes.
    """
    require_role(viewer, Role.USER)
    await require_lock(viewer.key, id)
    workflow = await _own_workflow(id, viewer, session)
    checked, warnings = await _checked(changes, viewer, session)
    changed = _dumped(checked)
    if owner_id is not None:
        changed["ownerRef"] = await _new_owner(owner_id, workflow, viewer, session)
    try:
        written = await update(documents.Workflow, workflow, changed, expected_revision, session)
        return {"workflow": written, "warnings": warnings}
    except DuplicateKeyError as error:
        raise _name_is_taken(str(changed.get("name", workflow["name"]))) from error


async def _own_workflow(id: str, viewer: Viewer, session: Session) -> Row:
    workflow = await get_readable(documents.Workflow, id, viewer, session, "id")
    owner_id = workflow.get("ownerRef")
    if not owns_any(viewer, [owner_id] if owner_id else None):
        whose = "belongs to somebody else" if owner_id else "has no owner: an administrator can name one"
        raise Forbidden(f"Workflow {id} {whose}.", "id")
    return workflow


async def _new_owner(id: str, workflow: Row, viewer: Viewer, session: Session) -> str:
    if id != workflow.get("ownerRef") and viewer.role is not Role.ADMIN:
        raise Forbidden("Only administrators may give a workflow to another owner.", "ownerId")
    owner: str = (await get_readable(documents.User, id, viewer, session, "ownerId"))["_id"]
    return owner


async def _checked(given: Mapping[str, object], viewer: Viewer, session: Session) -> tuple[Given, list[InputWarning]]:
    """The validated fields of a workflow as its document stores them, and warnings. Raises Refusals."""
    refusals: list[Refusal] = []
    checked: Given = {}
    warnings: list[InputWarning] = []
    for name in sorted(given.keys() & CHECKS.keys()):
        with collect_refusals(refusals):
            checked[name] = CHECKS[name](given[name], name)
    if "steps" in given:
        with collect_refusals(refusals):
            steps, warnings = await _steps(_there(given["steps"], "steps"), viewer, session)
            checked |= {"steps": steps, "component_versions": [step.component_version_ref for step in steps]}
    if refusals:
        raise Refusals(refusals)
    return checked, warnings


async def _steps(given: list[Given], viewer: Viewer, session: Session) -> tuple[list[WorkflowStep], list[InputWarning]]:
    """The steps as stored. Parameters may be left out: executions of the workflow give them."""
    releases = await releases_of(given, viewer, session)
    # In a thread, because checking a thousand steps takes a while.
    steps = _workflow_steps(await asyncio.to_thread(plan_steps, given, releases, coerce_parameters))
    return steps, await asyncio.to_thread(lambda: first_warnings(step_warnings(given, releases)))


def _workflow_steps(plan: Plan) -> list[WorkflowStep]:
    keys = [place.key for _, place in plan]
    steps = [
        WorkflowStep(
            key=place.key,
            component_version_ref=step.release.version.id,
            type=step.type,
            parameters=step.parameters,
            ports=step.ports,
            inputs=step.inputs,
            depends_on=[keys[number] for number in place.waits_for],
        )
        for step, place in plan
    ]
    if sum(len(step.model_dump_json().encode()) for step in steps) > LARGEST_WORKFLOW:
        raise LimitExceeded(f"The steps are larger than {LARGEST_WORKFLOW:,} bytes.", "steps")
    return steps


def _dumped(checked: Given) -> Given:
    """The checked fields by stored name."""
    if "steps" not in checked:
        return checked
    return checked | {"steps": [step.model_dump(mode="json", by_alias=True) for step in checked["steps"]]}


def _there(value: Any, name: str) -> Any:
    if value is None:
        raise InvalidInput(f"{name} cannot be null: leave it out to keep it as it is.", name)
    return value


CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "name": lambda value, name: check_line(_there(value, name), name),
    "description": check_text,
    "tags": lambda value, name: check_tags(value or [], name),
    "public": _there,
}


def _name_is_taken(name: str) -> AlreadyExists:
    return AlreadyExists(f"A workflow called {name} of the same owner exists already.", "name")
