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
from resolvers.twins.execution_validation import (
    Plan,
    StepValues,
    plan_steps,
    releases_of,
    step_warnings,
    version_ids_of,
)
from resolvers.twins.ownership import owner_of_new
from resolvers.twins.parameter_warnings import InputWarning, first_warnings
from resolvers.twins.parameters import coerce_parameters
from resolvers.user_errors import (
    AlreadyExists,
    Forbidden,
    LimitExceeded,
    Refusal,
    Refusals,
    collect_refusals,
)
from resolvers.validators import check_line, check_not_null, check_tags, check_text
from resolvers.writes.store import get_readable, insert, update
from resolvers.writes.transaction import Outcome, require_lock

MAX_WORKFLOW_BYTES = 8_000_000
"""Bytes of the steps of a workflow, which is one document: MongoDB's limit is 16 MiB."""


class WorkflowChanges(TypedDict, total=False):
    """The fields of a workflow that its owner changes."""

    name: str | None
    description: str | None
    tags: list[str] | None
    public: bool | None
    steps: list[StepValues] | None


async def create_workflow(
    session: Session,
    viewer: Viewer,
    *,
    name: str,
    description: str | None,
    tags: list[str] | None,
    public: bool,
    steps: list[StepValues],
    owner_id: str | None = None,
) -> Outcome:
    """Create a workflow of the viewer's or, for administrators, of any user.

    Raises AlreadyExists when its name is taken, and Refusals with everything that is wrong with the rest.
    """
    require_role(viewer, Role.USER)
    owner = await owner_of_new(session, viewer, owner_id, "workflows")
    facts = WorkflowChanges(name=name, description=description, tags=tags, public=public, steps=steps)
    fields, warnings = await _validate(facts, viewer, session)
    workflow = documents.Workflow(owner_ref=owner["_id"], **fields)
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
    """Change a workflow and return it. Executions that were created from it stay as they are.

    Raises NotFound, Forbidden, RevisionConflict, AlreadyExists, and Refusals with everything that is wrong with the
    changes.
    """
    require_role(viewer, Role.USER)
    await require_lock(viewer.key, id)
    workflow = await _own_workflow(id, viewer, session)
    fields, warnings = await _validate(changes, viewer, session)
    values = _stored_values(fields)
    if owner_id is not None:
        values["ownerRef"] = await _new_owner(owner_id, workflow, viewer, session)
    try:
        written = await update(documents.Workflow, workflow, values, expected_revision, session)
        return {"workflow": written, "warnings": warnings}
    except DuplicateKeyError as error:
        raise _name_is_taken(str(values.get("name", workflow["name"]))) from error


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


async def _validate(changes: Mapping[str, Any], viewer: Viewer, session: Session) -> tuple[Row, list[InputWarning]]:
    """The validated fields of a workflow as its document stores them, and warnings. Raises Refusals."""
    refusals: list[Refusal] = []
    fields: Row = {}
    warnings: list[InputWarning] = []
    for name in sorted(changes.keys() & CHECKS.keys()):
        with collect_refusals(refusals):
            fields[name] = CHECKS[name](changes[name], name)
    if "steps" in changes:
        with collect_refusals(refusals):
            steps, warnings = await _validate_steps(check_not_null(changes["steps"], "steps"), viewer, session)
            fields |= {"steps": steps, "component_versions": [step.component_version_ref for step in steps]}
    if refusals:
        raise Refusals(refusals)
    return fields, warnings


async def _validate_steps(
    steps: list[StepValues], viewer: Viewer, session: Session
) -> tuple[list[WorkflowStep], list[InputWarning]]:
    """The steps as stored. Parameters may be left out: executions of the workflow give them."""
    releases = await releases_of(version_ids_of(steps), viewer, session)
    # In a thread, because checking a thousand steps takes a while.
    plan = await asyncio.to_thread(plan_steps, steps, releases, coerce_parameters)
    return _workflow_steps(plan), await asyncio.to_thread(lambda: first_warnings(step_warnings(steps, releases)))


def _workflow_steps(plan: Plan) -> list[WorkflowStep]:
    keys = [node.key for _, node in plan]
    steps = [
        WorkflowStep(
            key=node.key,
            component_version_ref=step.release.version.id,
            type=step.type,
            parameters=step.parameters,
            ports=step.ports,
            inputs=step.inputs,
            depends_on=[keys[number] for number in node.waits_for],
        )
        for step, node in plan
    ]
    if sum(len(step.model_dump_json().encode()) for step in steps) > MAX_WORKFLOW_BYTES:
        raise LimitExceeded(f"The steps are larger than {MAX_WORKFLOW_BYTES:,} bytes.", "steps")
    return steps


def _stored_values(fields: Row) -> Row:
    """The fields of a workflow as they are stored."""
    if "steps" not in fields:
        return fields
    return fields | {"steps": [step.model_dump(mode="json", by_alias=True) for step in fields["steps"]]}


CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "name": lambda value, name: check_line(check_not_null(value, name), name),
    "description": check_text,
    "tags": lambda value, name: check_tags(value or [], name),
    "public": check_not_null,
}


def _name_is_taken(name: str) -> AlreadyExists:
    return AlreadyExists(f"A workflow called {name} of the same owner exists already.", "name")
