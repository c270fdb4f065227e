"""Overrides of a re-run: other component versions, and other parameters."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, NotRequired, Self, TypedDict, TypeVar

import documents
from documents.activities.activity import CodeReference
from documents.mongo.transaction import Session
from resolvers.access.viewer import Viewer
from resolvers.limits import MAX_STEPS
from resolvers.twins.chosen_steps import two_versions
from resolvers.twins.execution_validation import MAX_JSON_BYTES, Release, port_mappings, releases_of
from resolvers.twins.parameter_warnings import InputWarning, first_warnings, left_out_warnings, parameter_warnings
from resolvers.twins.parameters import (
    Values,
    carry_over_parameters,
    coerce_parameters,
    freeze_parameters,
    override_parameters,
)
from resolvers.user_errors import InvalidInput, LimitExceeded, NotFound, Refusal, Refusals, collect_refusals
from resolvers.validators import check_json

MAX_PARAMETERS_BYTES = 500_000
"""Bytes of a step's parameters including unchanged ones: more than a new step's with all their defaults."""


class StepOverride(TypedDict):
    """The key of the step that a client's override changes."""

    step_key: str


class ParameterOverrideValues(StepOverride):
    """Parameter values that a step gets in a re-run; `parameters` are JSON."""

    parameters: Any


class VersionOverrideValues(StepOverride):
    """Another version of its component that a step runs in a re-run."""

    component_version_id: str
    ports: NotRequired[list[str] | None]


Override = TypeVar("Override", bound=StepOverride)
Overrides = dict[int, tuple[int, Override]]
"""Overrides with their numbers in the input, by the positions of their steps."""


@dataclass(frozen=True)
class StepChanges:
    """The fields of a step that overrides may change, as they are in the re-run. `parameters` are JSON."""

    component_version_ref: str
    code: list[CodeReference]
    parameters: str
    ports: list[str]

    @classmethod
    def none(cls, step: documents.Step) -> Self:
        """The fields of a step without overrides."""
        return cls(step.component_version_ref, step.code, step.parameters, step.ports)


class RerunOverrides:
    """The overrides for steps that run `again`, by their positions."""

    def __init__(self, steps: list[documents.Step], again: set[int]) -> None:
        self._steps, self._again = steps, again
        self._positions = {step.key: position for position, step in enumerate(steps)}
        self._versions: Overrides[VersionOverrideValues] = {}
        self._parameters: Overrides[ParameterOverrideValues] = {}
        self._warnings: list[Iterator[InputWarning]] = []

    async def apply(
        self,
        versions: list[VersionOverrideValues],
        parameters: list[ParameterOverrideValues],
        viewer: Viewer,
        session: Session,
    ) -> dict[int, StepChanges]:
        """Apply the overrides; returns the changed fields by the positions of steps. Raises Refusals."""
        refusals: list[Refusal] = []
        as_it_ran = "it stays as it ran"
        self._versions = self._by_position(versions, "componentVersionOverrides", as_it_ran, "The version", refusals)
        as_they_were = "its parameters are those that it ran with"
        self._parameters = self._by_position(parameters, "parameterOverrides", as_they_were, "Parameters", refusals)
        version_ids = self._version_ids()
        releases = await releases_of(version_ids[:MAX_STEPS], viewer, session)
        releases |= await releases_of(version_ids[MAX_STEPS:], viewer, session)
        changes: dict[int, StepChanges] = {}
        for position in sorted(self._versions.keys() | self._parameters.keys()):
            with collect_refusals(refusals):
                changes[position] = self._changes(position, releases)
        if refusals:
            raise Refusals(refusals)
        return changes

    def warnings(self) -> list[InputWarning]:
        """Warnings about the changes: input that was accepted, but may be a mistake."""
        return first_warnings(chain.from_iterable(self._warnings))

    def _version_ids(self) -> list[str]:
        """The ids of all component versions that have to be looked up."""
        after = [override["component_version_id"] for _, override in self._versions.values()]
        positions = self._versions.keys() | self._parameters.keys()
        before = [self._steps[position].component_version_ref for position in positions]
        return list(dict.fromkeys([*after, *before]))

    def _by_position(
        self, overrides: list[Override], name: str, reused: str, noun: str, refusals: list[Refusal]
    ) -> Overrides[Override]:
        """The overrides whose steps run again, each step once. Refusals of others are added to `refusals`."""
        if len(overrides) > MAX_STEPS:
            message = f"{len(overrides)} overrides; there are at most {MAX_STEPS} steps."
            refusals.append(LimitExceeded(message, name))
            return {}
        by_position: Overrides[Override] = {}
        for number, override in enumerate(overrides):
            with collect_refusals(refusals):
                path = (name, str(number), "stepKey")
                position = self._position(override["step_key"], by_position, reused, noun, *path)
                by_position[position] = number, override
        return by_position

    def _position(self, key: str, overrides: Overrides[Override], reused: str, noun: str, *path: str) -> int:
        position = self._positions.get(key)
        if position is None:
            raise InvalidInput(f"No step has the key {key[:100]!r}.", *path)
        if position not in self._again:
            raise InvalidInput(f"Step {key} is reused, not run again: {reused}.", *path)
        if position in overrides:
            raise InvalidInput(f"{noun} of step {key} {'are' if noun[-1] == 's' else 'is'} given twice.", *path)
        return position

    def _changes(self, position: int, releases: dict[str, Release]) -> StepChanges:
        step = self._steps[position]
        if position in self._versions:
            return self._of_another_version(position, releases)
        path = ("parameterOverrides", str(self._parameters[position][0]))
        release = releases.get(step.component_version_ref)
        if release is None:
            raise NotFound(documents.ComponentVersion.__name__, step.component_version_ref, *path, "stepKey")
        given = self._given_parameters(position, release)
        values = override_parameters(release.version, _values(step), given, *path, "parameters")
        # Undeclared names would accumulate from one re-run to the next.
        text = check_json(values, *path, "parameters", max_bytes=MAX_PARAMETERS_BYTES)
        return StepChanges(step.component_version_ref, step.code, text, step.ports)

    def _of_another_version(self, position: int, releases: dict[str, Release]) -> StepChanges:
        number, override = self._versions[position]
        step, path = self._steps[position], ("componentVersionOverrides", str(number))
        of_version = (*path, "componentVersionId")
        after_id = override["component_version_id"]
        before, after = two_versions(step.component_version_ref, after_id, releases, *of_version)
        if after.version.is_deprecated and after_id != step.component_version_ref:
            message = f"ComponentVersion {after_id} ({after.version.version}) is deprecated; choose another version."
            raise InvalidInput(message, *of_version)
        given = self._given_parameters(position, after)
        earlier = _values(step)
        carried_over = carry_over_parameters(earlier, before.version, after.version)
        left_out = sorted(earlier.keys() - carried_over.keys() - given.keys())
        self._warnings.append(left_out_warnings(after.version, left_out, *of_version))
        text = check_json(
            _freeze(after, carried_over | given, *of_version), *of_version, max_bytes=MAX_PARAMETERS_BYTES
        )
        ports = override.get("ports")
        mapped = port_mappings(step.ports if ports is None else ports, after.version, *path, "ports")
        code = [CodeReference(repository=after.repository, commit=after.version.commit_hash)]
        return StepChanges(after_id, code, text, mapped)

    def _given_parameters(self, position: int, release: Release) -> Values:
        """The given parameters of a step, validated against the version that it will run."""
        if position not in self._parameters:
            return {}
        number, override = self._parameters[position]
        path = ("parameterOverrides", str(number), "parameters")
        check_json(override["parameters"], *path, max_bytes=MAX_JSON_BYTES)
        self._warnings.append(parameter_warnings(release.version, override["parameters"], *path))
        return coerce_parameters(release.version, override["parameters"], *path)


def _values(step: documents.Step) -> Values:
    before: Any = json.loads(step.parameters)
    return before if isinstance(before, dict) else {}


def _freeze(release: Release, values: Values, *path: str) -> Values:
    """The values with the version's defaults. Refusals point to the version, since no override named the values."""
    try:
        return freeze_parameters(release.version, values, *path)
    except Refusals as several:
        for refusal in several.refusals:
            refusal.path = path
            refusal.message = f"{refusal.message} Give it in parameterOverrides."
        raise
