"""Re-running executions: all steps, only the unsuccessful ones, or a step and those that depend on it."""

import asyncio
import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

import documents
from documents.activities.activity import ActivityStatus
from documents.base import new_id
from documents.mongo.transaction import Session
from resolvers.access.roles import require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.activities.state_machine import SATISFIES_DEPENDENCY
from resolvers.limits import MAX_STEPS
from resolvers.reads.rows import collection_of
from resolvers.twins.execution import check_title_is_free, get_own_execution, insert_execution
from resolvers.twins.parameter_warnings import InputWarning
from resolvers.twins.rerun_overrides import ParameterOverrideValues, RerunOverrides, StepChanges, VersionOverrideValues
from resolvers.twins.step_graph import with_descendants
from resolvers.twins.used_again import (
    assume_parameters_are_read,
    check_used_outputs_are_readable,
    urls_by_id,
    used_again,
)
from resolvers.user_errors import InvalidInput, InvalidState, LimitExceeded, Refusal, Refusals, collect_refusals
from resolvers.validators import MAX_LINE_LENGTH, check_line
from resolvers.writes.transaction import Outcome, require_lock

UNSUCCESSFUL = [ActivityStatus.FAILED.value, ActivityStatus.CANCELLED.value]
MAX_TITLES = 10_000
NUMBER_LENGTH = len(" (re-run 10000)")
NUMBERED = re.compile(r" \(re-run ([0-9]{1,9})\)")


class RerunStrategy(Enum):
    """The choice of the steps that run again; outputs of the others are reused."""

    ALL_STEPS = "ALL_STEPS"
    FROM_FAILURE = "FROM_FAILURE"
    FROM_STEP = "FROM_STEP"


@dataclass(frozen=True)
class PreviousExecution:
    """An earlier execution, and its steps in order."""

    execution: documents.Execution
    steps: list[documents.Step]

    @property
    def waits_for(self) -> list[list[int]]:
        """The ordinals that each step waits for, of the steps that are there."""
        ordinals = {step.id: ordinal for ordinal, step in enumerate(self.steps)}
        return [[ordinals[id] for id in step.depends_on if id in ordinals] for step in self.steps]


async def rerun_execution(
    session: Session,
    viewer: Viewer,
    *,
    execution_id: str,
    strategy: RerunStrategy,
    title: str | None = None,
    from_step_id: str | None = None,
    parameter_overrides: list[ParameterOverrideValues] | None = None,
    component_version_overrides: list[VersionOverrideValues] | None = None,
) -> Outcome:
    """Create an execution that re-runs an earlier one, with the same code and parameters but for the overrides.

    Component versions that were deprecated since run again: a re-run repeats the earlier run. Raises NotFound and
    Forbidden, InvalidState when the steps to be reused did not succeed, and Refusals with everything else that is
    wrong.
    """
    require_role(viewer, Role.USER)
    await require_lock(viewer.key, execution_id)
    earlier = await _previous_execution(execution_id, viewer, session)
    refusals: list[Refusal] = []
    again: set[int] = set()
    changes: dict[int, StepChanges] = {}
    warnings: list[InputWarning] = []
    with collect_refusals(refusals):
        again = _positions_to_run(earlier, strategy, from_step_id)
        overrides = RerunOverrides(earlier.steps, again)
        changes = await overrides.apply(component_version_overrides or [], parameter_overrides or [], viewer, session)
        warnings = overrides.warnings()
        running = [earlier.steps[position] for position in sorted(again)]
        await check_used_outputs_are_readable(running, earlier.execution.owner_ref, viewer, session, "executionId")
    with collect_refusals(refusals):
        title = await _title(title, earlier.execution, session)
    if refusals or title is None:
        raise Refusals(refusals)
    execution = _copy(earlier.execution, title)
    steps = _new_steps(earlier, again, changes, execution)
    if component_version_overrides:
        versions = [step.component_version_ref for step in steps]
        execution.workflow_schema = execution.workflow_schema.model_copy(update={"component_versions": versions})
    urls = await urls_by_id(steps, session)
    states = await asyncio.to_thread(assume_parameters_are_read, steps, urls)
    row = await insert_execution(execution, steps, states, session)
    return {"execution": row, "warnings": warnings}


async def _previous_execution(id: str, viewer: Viewer, session: Session) -> PreviousExecution:
    execution = await get_own_execution(id, viewer, session, "executionId")
    steps = collection_of(documents.Step)
    cursor = steps.find({"executionRef": id}, session=session).sort([("ordinal", 1), ("_id", 1)]).limit(MAX_STEPS + 1)
    rows = [row async for row in cursor]
    if not rows:
        raise InvalidInput(f"Execution {id} has no steps to run again.", "executionId")
    if len(rows) > MAX_STEPS:
        raise LimitExceeded(f"Execution {id} has more than {MAX_STEPS} steps.", "executionId")
    return PreviousExecution(
        documents.Execution.model_validate(execution), [documents.Step.model_validate(row) for row in rows]
    )


def _positions_to_run(earlier: PreviousExecution, strategy: RerunStrategy, from_step_id: str | None) -> set[int]:
    """The positions of the steps to run again: those that the strategy selects, and all that depend on them."""
    if strategy is RerunStrategy.FROM_STEP:
        return _from_step(earlier, from_step_id)
    if from_step_id is not None:
        raise InvalidInput(f"fromStepId is only for the strategy FROM_STEP, not for {strategy.value}.", "fromStepId")
    if strategy is RerunStrategy.ALL_STEPS:
        return set(range(len(earlier.steps)))
    return _from_failure(earlier)


def _from_failure(earlier: PreviousExecution) -> set[int]:
    status = earlier.execution.status
    if status.value not in UNSUCCESSFUL:
        message = f"Execution {earlier.execution.id} is {status.value}; FROM_FAILURE needs a FAILED or CANCELLED one."
        raise InvalidState(message, "executionId", current=status.value, allowed=UNSUCCESSFUL)
    unsuccessful = {number for number, step in enumerate(earlier.steps) if step.status not in SATISFIES_DEPENDENCY}
    return with_descendants(earlier.waits_for, unsuccessful)


def _from_step(earlier: PreviousExecution, id: str | None) -> set[int]:
    if id is None:
        raise InvalidInput("The strategy FROM_STEP needs fromStepId.", "fromStepId")
    first = {number for number, step in enumerate(earlier.steps) if step.id == id}
    if not first:
        raise InvalidInput(f"Execution {earlier.execution.id} has no step {id[:100]}.", "fromStepId")
    again = with_descendants(earlier.waits_for, first)
    reused = [step for number, step in enumerate(earlier.steps) if number not in again]
    failed = [step for step in reused if step.status not in SATISFIES_DEPENDENCY]
    if failed:
        raise Refusals([_not_reusable(step) for step in failed])
    return again


def _not_reusable(step: documents.Step) -> InvalidState:
    message = f"Step {step.key} ({step.id}) is {step.status.value}, so it has no outputs to reuse."
    allowed = [status.value for status in SATISFIES_DEPENDENCY]
    return InvalidState(message, "fromStepId", current=step.status.value, allowed=allowed)


async def _title(requested: str | None, before: documents.Execution, session: Session) -> str:
    """The requested title, or that of the earlier execution with the next number."""
    title = check_line(requested, "title")
    if title is not None:
        await check_title_is_free(before.digital_twin_ref, title, session)
        return title
    stem = re.sub(rf"{NUMBERED.pattern}\Z", "", before.title)[: MAX_LINE_LENGTH - NUMBER_LENGTH]
    numbered = {"digitalTwinRef": before.digital_twin_ref, "title": {"$regex": rf"^{re.escape(stem)} \(re-run "}}
    titles = collection_of(documents.Execution).find(numbered, {"title": 1}, session=session).limit(MAX_TITLES)
    endings = [row["title"].removeprefix(stem) async for row in titles]
    numbers = [int(match[1]) for ending in endings if (match := NUMBERED.fullmatch(ending))]
    return f"{stem} (re-run {max(numbers, default=0) + 1})"


def _copy(before: documents.Execution, title: str) -> documents.Execution:
    return documents.Execution(
        digital_twin_ref=before.digital_twin_ref,
        owner_ref=before.owner_ref,
        title=title,
        description=before.description,
        tags=before.tags,
        status=ActivityStatus.READY,
        workflow_schema=before.workflow_schema,
        workflow_ref=before.workflow_ref,
        workflow_revision=before.workflow_revision,
        parent_ref=before.id,
    )


def _new_steps(
    earlier: PreviousExecution, again: set[int], changes: dict[int, StepChanges], execution: documents.Execution
) -> list[documents.Step]:
    ids = [new_id(documents.Step.kind) for _ in earlier.steps]
    runs = [changes.get(number) or StepChanges.none(step) for number, step in enumerate(earlier.steps)]
    return [
        documents.Step(
            id=ids[number],
            execution_ref=execution.id,
            component_version_ref=runs[number].component_version_ref,
            owner_ref=execution.owner_ref,
            key=step.key,
            ordinal=step.ordinal,
            type=step.type,
            parameters=runs[number].parameters,
            ports=runs[number].ports,
            inputs=step.inputs,
            depends_on=[ids[dependency] for dependency in waits_for],
            used=used_again(step) if number in again else None,
            code=runs[number].code,
            created_at=execution.created_at,
            **_state(step, number in again, again.isdisjoint(waits_for)),
        )
        for number, (step, waits_for) in enumerate(zip(earlier.steps, earlier.waits_for, strict=True))
    ]


def _state(step: documents.Step, runs: bool, waits_for_nothing: bool) -> dict[str, Any]:
    """The status of a step in the re-run, and the original step where its outputs are reused."""
    if not runs:
        return {"status": step.status, "reused_from_ref": step.reused_from_ref or step.id}
    return {"status": ActivityStatus.READY if waits_for_nothing else ActivityStatus.PENDING}
