"""Running an execution once more: all of it, or only what failed or follows a step."""

import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

import documents
from documents.activity import ActivityStatus
from documents.base import new_id
from resolvers.checks import LONGEST_LINE, a_json, a_line
from resolvers.dependencies import followers
from resolvers.execution import keep_execution, own_execution, refuse_taken_title
from resolvers.execution_checks import LARGEST_JSON, MOST_STEPS, Given
from resolvers.fetch import collection_of
from resolvers.parameters import replaced
from resolvers.refusals import InvalidInput, InvalidState, LimitExceeded, NotFound, Refusal, Refusals, noting
from resolvers.runs import FULFILLED
from resolvers.viewer import Role, Viewer
from resolvers.writing import Outcome, Session, require

UNSUCCESSFUL = [ActivityStatus.FAILED.value, ActivityStatus.CANCELLED.value]
MOST_TITLES = 10_000
ROOM_FOR_NUMBER = len(" (re-run 10000)")
NUMBERED = re.compile(r" \(re-run ([0-9]{1,9})\)")


class RerunStrategy(Enum):
    """Which steps run again; the others' outputs are taken as they are."""

    ALL_STEPS = "ALL_STEPS"
    FROM_FAILURE = "FROM_FAILURE"
    FROM_STEP = "FROM_STEP"


@dataclass(frozen=True)
class Earlier:
    """An execution that ran before, and its steps in order."""

    execution: documents.Execution
    steps: list[documents.Step]

    @property
    def waits_for(self) -> list[list[int]]:
        """The ordinals that each step waits for, of the steps that are there."""
        place = {step.id: number for number, step in enumerate(self.steps)}
        return [[place[id] for id in step.depends_on if id in place] for step in self.steps]


async def rerun_execution(
    session: Session,
    viewer: Viewer,
    *,
    execution_id: str,
    strategy: str,
    title: str | None = None,
    from_step_id: str | None = None,
    parameter_overrides: list[Given] | None = None,
) -> Outcome:
    """A new execution that re-runs an earlier one, with the same code and, but for the overrides, the same parameters.

    Component versions that were deprecated since run again: a re-run repeats what was done. Raises NotFound and
    Forbidden, InvalidState when the steps to be reused did not succeed, and Refusals with what is wrong otherwise.
    """
    require(viewer, Role.USER)
    earlier = await _earlier(execution_id, viewer, session)
    refusals: list[Refusal] = []
    again: set[int] = set()
    parameters: dict[int, str] = {}
    with noting(refusals):
        again = _to_run(earlier, RerunStrategy(strategy), from_step_id)
        parameters = await _overridden(earlier, again, parameter_overrides or [], session)
    with noting(refusals):
        title = await _title(title, earlier.execution, session)
    if refusals or title is None:
        raise Refusals(refusals)
    execution = _copied(earlier.execution, title)
    return {"execution": await keep_execution(execution, _steps(earlier, again, parameters, execution), session)}


async def _earlier(id: str, viewer: Viewer, session: Session) -> Earlier:
    execution = await own_execution(id, viewer, session, "executionId")
    steps = collection_of(documents.Step)
    found = steps.find({"executionRef": id}, session=session).sort([("ordinal", 1), ("_id", 1)]).limit(MOST_STEPS + 1)
    rows = [row async for row in found]
    if not rows:
        raise InvalidInput(f"Execution {id} has no steps to run again.", "executionId")
    if len(rows) > MOST_STEPS:
        raise LimitExceeded(f"Execution {id} has more than {MOST_STEPS} steps.", "executionId")
    return Earlier(documents.Execution.model_validate(execution), [documents.Step.model_validate(row) for row in rows])


def _to_run(earlier: Earlier, strategy: RerunStrategy, from_step_id: str | None) -> set[int]:
    """The places of the steps to run again: those that the strategy names, and all that wait for one of them."""
    if strategy is RerunStrategy.FROM_STEP:
        return _from_step(earlier, from_step_id)
    if from_step_id is not None:
        raise InvalidInput(f"fromStepId is for the strategy FROM_STEP, not for {strategy.value}.", "fromStepId")
    every = set(range(len(earlier.steps)))
    return every if strategy is RerunStrategy.ALL_STEPS else _from_failure(earlier)


def _from_failure(earlier: Earlier) -> set[int]:
    status = earlier.execution.status
    if status.value not in UNSUCCESSFUL:
        message = f"Execution {earlier.execution.id} is {status.value}; only one that ended badly has a failure."
        raise InvalidState(message, "executionId", current=status.value, allowed=UNSUCCESSFUL)
    begun = {number for number, step in enumerate(earlier.steps) if step.status not in FULFILLED}
    return followers(earlier.waits_for, begun)


def _from_step(earlier: Earlier, id: str | None) -> set[int]:
    if id is None:
        raise InvalidInput("The strategy FROM_STEP needs fromStepId.", "fromStepId")
    begun = {number for number, step in enumerate(earlier.steps) if step.id == id}
    if not begun:
        raise InvalidInput(f"Execution {earlier.execution.id} has no step {id[:100]}.", "fromStepId")
    again = followers(earlier.waits_for, begun)
    reused = [step for number, step in enumerate(earlier.steps) if number not in again]
    failed = [step for step in reused if step.status not in FULFILLED]
    if failed:
        raise Refusals([_not_reusable(step) for step in failed])
    return again


def _not_reusable(step: documents.Step) -> InvalidState:
    message = f"Step {step.key} ({step.id}) is {step.status.value}, so it left nothing to be reused."
    allowed = [status.value for status in FULFILLED]
    return InvalidState(message, "fromStepId", current=step.status.value, allowed=allowed)


async def _overridden(earlier: Earlier, again: set[int], given: list[Given], session: Session) -> dict[int, str]:
    """The new parameters of the steps that are to have others. Raises Refusals."""
    if len(given) > MOST_STEPS:
        raise LimitExceeded(f"{len(given)} overrides; there are at most {MOST_STEPS} steps.", "parameterOverrides")
    places = {step.key: number for number, step in enumerate(earlier.steps)}
    named = {places[one["step_key"]] for one in given if one["step_key"] in places}
    ids = sorted({earlier.steps[number].component_version_ref for number in named})
    found = collection_of(documents.ComponentVersion).find({"_id": {"$in": ids}}, session=session)
    versions = {row["_id"]: documents.ComponentVersion.model_validate(row) async for row in found}
    refusals: list[Refusal] = []
    changed: dict[int, str] = {}
    for number, one in enumerate(given):
        with noting(refusals):
            path = ("parameterOverrides", str(number))
            place = _overridable(one["step_key"], places, again, changed, *path, "stepKey")
            step = earlier.steps[place]
            version = versions.get(step.component_version_ref)
            if version is None:
                raise NotFound(documents.ComponentVersion.__name__, step.component_version_ref, *path, "stepKey")
            changed[place] = _replaced(version, step, one, *path, "parameters")
    if refusals:
        raise Refusals(refusals)
    return changed


def _overridable(key: str, places: dict[str, int], again: set[int], changed: dict[int, str], *path: str) -> int:
    place = places.get(key)
    if place is None:
        raise InvalidInput(f"No step has the key {key[:100]!r}.", *path)
    if place not in again:
        raise InvalidInput(f"Step {key} is reused, not run again: its parameters are those that it ran with.", *path)
    if place in changed:
        raise InvalidInput(f"Parameters of step {key} are given twice.", *path)
    return place


def _replaced(version: documents.ComponentVersion, step: documents.Step, override: Given, *path: str) -> str:
    a_json(override["parameters"], *path, max_bytes=LARGEST_JSON)
    before: Any = json.loads(step.parameters)
    values = replaced(version, before if isinstance(before, dict) else {}, override["parameters"], *path)
    return json.dumps(values, ensure_ascii=False)


async def _title(given: str | None, before: documents.Execution, session: Session) -> str:
    """The title asked for, or that of the execution before with the next number."""
    title = a_line(given, "title")
    if title is not None:
        await refuse_taken_title(before.digital_twin_ref, title, session)
        return title
    stem = re.sub(rf"{NUMBERED.pattern}\Z", "", before.title)[: LONGEST_LINE - ROOM_FOR_NUMBER]
    numbered = {"digitalTwinRef": before.digital_twin_ref, "title": {"$regex": rf"^{re.escape(stem)} \(re-run "}}
    titles = collection_of(documents.Execution).find(numbered, {"title": 1}, session=session).limit(MOST_TITLES)
    endings = [row["title"].removeprefix(stem) async for row in titles]
    taken = [int(match[1]) for ending in endings if (match := NUMBERED.fullmatch(ending))]
    return f"{stem} (re-run {max(taken, default=0) + 1})"


def _copied(before: documents.Execution, title: str) -> documents.Execution:
    return documents.Execution(
        digital_twin_ref=before.digital_twin_ref,
        owner_ref=before.owner_ref,
        title=title,
        description=before.description,
        tags=before.tags,
        status=ActivityStatus.READY,
        workflow_schema=before.workflow_schema,
        parent_ref=before.id,
    )


def _steps(
    earlier: Earlier, again: set[int], parameters: dict[int, str], execution: documents.Execution
) -> list[documents.Step]:
    ids = [new_id(documents.Step.kind) for _ in earlier.steps]
    return [
        documents.Step(
            id=ids[number],
            execution_ref=execution.id,
            component_version_ref=step.component_version_ref,
            owner_ref=execution.owner_ref,
            key=step.key,
            ordinal=step.ordinal,
            type=step.type,
            parameters=parameters.get(number, step.parameters),
            ports=step.ports,
            inputs=step.inputs,
            depends_on=[ids[one] for one in waits_for],
            code=step.code,
            created_at=execution.created_at,
            **_state(step, number in again, again.isdisjoint(waits_for)),
        )
        for number, (step, waits_for) in enumerate(zip(earlier.steps, earlier.waits_for, strict=True))
    ]


def _state(step: documents.Step, runs: bool, waits_for_nothing: bool) -> dict[str, Any]:
    """The status of a step in the re-run, and the one that really ran where its outputs are taken."""
    if not runs:
        return {"status": step.status, "reused_from_ref": step.reused_from_ref or step.id}
    return {"status": ActivityStatus.READY if waits_for_nothing else ActivityStatus.PENDING}
