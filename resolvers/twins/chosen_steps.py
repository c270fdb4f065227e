"""The steps of a new execution: the given ones, or those of a workflow with overrides applied."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Required, TypedDict

import documents
from documents.mongo.transaction import Session
from resolvers.access.viewer import Viewer
from resolvers.limits import MAX_STEPS
from resolvers.provenance.used import UsedValues
from resolvers.reads.rows import Row
from resolvers.twins.execution_validation import (
    Release,
    StepValues,
    releases_of,
    step_warnings,
    version_ids_of,
)
from resolvers.twins.parameter_warnings import InputWarning, first_warnings, left_out_warnings
from resolvers.twins.parameters import carry_over_parameters, check_object
from resolvers.user_errors import InvalidInput, LimitExceeded, NotFound, Refusal, Refusals, collect_refusals
from resolvers.writes.store import get_readable


class StepOverrideValues(TypedDict, total=False):
    """Changes to a step of a workflow, as a client describes them; `parameters` are JSON."""

    step_key: Required[str]
    component_version_id: str | None
    parameters: Any
    ports: list[str] | None
    used: list[UsedValues] | None


@dataclass(frozen=True)
class ChosenSteps:
    """Steps as if a client had given them, with the component versions that they name.

    `overridden` maps the positions of steps to the numbers of the overrides that changed them; `left_out` warns of
    parameters that were not taken over for another version.
    """

    steps: list[StepValues]
    releases: dict[str, Release]
    workflow: Row | None = None
    overridden: dict[int, int] = field(default_factory=dict)
    left_out: list[InputWarning] = field(default_factory=list)

    @contextmanager
    def name_refusals(self) -> Iterator[None]:
        """Let refusals raised within the block point to the client's input, if the steps are a workflow's."""
        try:
            yield
        except Refusals as several:
            for refusal in several.refusals if self.workflow else ():
                refusal.path, refusal.message = self._name_in_input(list(refusal.path), refusal.message)
            raise

    def warnings(self) -> list[InputWarning]:
        """Warnings about the planned steps: input that was accepted, but may be a mistake."""
        of_steps = step_warnings(self.steps, self.releases)
        return first_warnings(chain(self.left_out, map(self._name_warning, of_steps) if self.workflow else of_steps))

    def _name_warning(self, warning: InputWarning) -> InputWarning:
        top, *path = warning["path"]
        path, message = self._name_in_input(path, warning["message"])
        return {"path": [top, *path], "message": message}

    def _name_in_input(self, path: list[str], message: str) -> tuple[tuple[str, ...], str]:
        """The path to an override, or to the workflow, for a path to a step; and the message with the step's key."""
        _, *rest = path
        if not rest:
            return ("workflowId",), message
        position, *below = rest
        message = f"Step {self.steps[int(position)]['key']} of the workflow: {message}"
        override = self.overridden.get(int(position))
        return ("workflowId",) if override is None else ("overrides", str(override), *below), message


async def choose_steps(
    steps: list[StepValues],
    workflow_id: str | None,
    overrides: list[StepOverrideValues] | None,
    viewer: Viewer,
    session: Session,
) -> ChosenSteps:
    """The steps to run. Raises NotFound for the workflow, and Refusals with everything that is wrong with the
    overrides."""
    if workflow_id is None:
        if overrides:
            raise InvalidInput("overrides change the steps of a workflow: give its workflowId as well.", "overrides")
        return ChosenSteps(steps, await releases_of(version_ids_of(steps), viewer, session))
    if steps:
        raise InvalidInput("Give either steps or workflowId: overrides change the steps of a workflow.", "steps")
    workflow = await get_readable(documents.Workflow, workflow_id, viewer, session, "workflowId")
    return await _apply_overrides(workflow, overrides or [], viewer, session)


async def _apply_overrides(
    workflow: Row, overrides: list[StepOverrideValues], viewer: Viewer, session: Session
) -> ChosenSteps:
    if len(overrides) > MAX_STEPS:
        raise LimitExceeded(f"{len(overrides)} overrides; a workflow has at most {MAX_STEPS} steps.", "overrides")
    steps = [_as_input(step) for step in workflow["steps"]]
    new_versions = [id for override in overrides if (id := override.get("component_version_id"))]
    releases = await releases_of(version_ids_of(steps), viewer, session) | await releases_of(
        new_versions, viewer, session
    )
    positions = {step["key"]: position for position, step in enumerate(workflow["steps"])}
    changed: dict[int, tuple[int, StepValues]] = {}
    left_out: list[InputWarning] = []
    refusals: list[Refusal] = []
    for number, override in enumerate(overrides):
        with collect_refusals(refusals):
            path = ("overrides", str(number))
            position = _position(override["step_key"], positions, changed, *path, "stepKey")
            changed[position] = number, _apply_override(steps[position], override, releases, left_out, *path)
    if refusals:
        raise Refusals(refusals)
    steps = [changed[position][1] if position in changed else step for position, step in enumerate(steps)]
    overridden = {position: number for position, (number, _) in changed.items()}
    return ChosenSteps(steps, releases, workflow, overridden, left_out)


def _as_input(step: Row) -> StepValues:
    """A step of a workflow in the form of a client's input."""
    return {
        "key": step["key"],
        "component_version_id": step["component_version"],
        "type": step["type"],
        "parameters": json.loads(step["parameters"]),
        "ports": step["ports"],
        "inputs": None if step.get("inputs") is None else json.loads(step["inputs"]),
        "depends_on": step["dependsOn"],
    }


def _position(key: str, positions: dict[str, int], changed: dict[int, Any], *path: str) -> int:
    position = positions.get(key.strip())
    if position is None:
        raise InvalidInput(f"No step of the workflow has the key {key[:100]!r}.", *path)
    if position in changed:
        raise InvalidInput(f"Step {key} is overridden twice.", *path)
    return position


def _apply_override(
    step: StepValues,
    override: StepOverrideValues,
    releases: dict[str, Release],
    left_out: list[InputWarning],
    *path: str,
) -> StepValues:
    """The step with its override applied. Parameters that another version does not take are added to `left_out`."""
    parameters = step["parameters"]
    version_id = override.get("component_version_id") or step["component_version_id"]
    if version_id != step["component_version_id"]:
        before, after = two_versions(step["component_version_id"], version_id, releases, *path, "componentVersionId")
        parameters = carry_over_parameters(parameters, before.version, after.version)
        dropped = step["parameters"].keys() - parameters.keys()
        left_out += left_out_warnings(after.version, sorted(dropped), *path, "componentVersionId")
    ports = override.get("ports")
    return {
        **step,
        "component_version_id": version_id,
        "parameters": parameters | check_object(override.get("parameters"), *path, "parameters"),
        "ports": step["ports"] if ports is None else ports,
        "used": override.get("used"),
    }


def two_versions(before_id: str, after_id: str, releases: dict[str, Release], *path: str) -> tuple[Release, Release]:
    """Two versions of one component. Raises NotFound, and InvalidInput where their components differ."""
    for id in (before_id, after_id):
        if id not in releases:
            raise NotFound(documents.ComponentVersion.__name__, id, *path)
    before, after = releases[before_id], releases[after_id]
    if after.version.component_ref != before.version.component_ref:
        message = f"ComponentVersion {after_id} is one of {after.repository}; the step runs {before.repository}."
        raise InvalidInput(message, *path)
    return before, after
