"""Overrides of a re-run: other component versions, and other parameters."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, Self

import documents
from documents.activities.activity import CodeReference
from documents.mongo.transaction import Session
from resolvers.access.viewer import Viewer
from resolvers.twins.chosen_steps import two_versions
from resolvers.twins.execution_validation import LARGEST_JSON, MOST_STEPS, Given, Release, port_mappings, releases_of
from resolvers.twins.parameter_warnings import InputWarning, first_warnings, left_out_warnings, parameter_warnings
from resolvers.twins.parameters import Values, carried_over, frozen, given_alone, replaced
from resolvers.user_errors import InvalidInput, LimitExceeded, NotFound, Refusal, Refusals, collect_refusals
from resolvers.validators import check_json

LARGEST_PARAMETERS = 500_000
"""Bytes of a step's parameters including unchanged ones: more than a new step's with all their defaults."""

Overrides = dict[int, tuple[int, Given]]
"""Overrides with their numbers in the input, by the positions of their steps."""


@dataclass(frozen=True)
class Changed:
    """The fields of a step that overrides may change. `parameters` are JSON."""

    component_version_ref: str
    code: list[CodeReference]
    parameters: str
    ports: list[str]

    @classmethod
    def not_at_all(cls, step: documents.Step) -> Self:
        """The unchanged fields."""
        return cls(step.component_version_ref, step.code, step.parameters, step.ports)


class RerunOverrides:
    """The overrides for steps that run `again`, by their positions."""

    def __init__(self, steps: list[documents.Step], again: set[int]) -> None:
        self._steps, self._again = steps, again
        self._places = {step.key: place for place, step in enumerate(steps)}
        self._versions: Overrides = {}
        self._parameters: Overrides = {}
        self._warned: list[Iterator[InputWarning]] = []

    async def changed(
        self, versions: list[Given], parameters: list[Given], viewer: Viewer, session: Session
    ) -> dict[int, Changed]:
        """The changes, by the positions of steps. Raises Refusals."""
        refusals: list[Refusal] = []
        as_it_ran = "it stays as it ran"
        self._versions = self._placed(versions, "componentVersionOverrides", as_it_ran, "The version", refusals)
        as_they_were = "its parameters are those that it ran with"
        self._parameters = self._placed(parameters, "parameterOverrides", as_they_were, "Parameters", refusals)
        named = [{"component_version_id": id} for id in self._named()]
        releases = await releases_of(named[:MOST_STEPS], viewer, session)
        releases |= await releases_of(named[MOST_STEPS:], viewer, session)
        changed: dict[int, Changed] = {}
        for place in sorted(self._versions.keys() | self._parameters.keys()):
            with collect_refusals(refusals):
                changed[place] = self._changed(place, releases)
        if refusals:
            raise Refusals(refusals)
        return changed

    def warnings(self) -> list[InputWarning]:
        """Warnings about the changes: input that was accepted, but may be a mistake."""
        return first_warnings(chain.from_iterable(self._warned))

    def _named(self) -> list[str]:
        """The ids of all component versions that have to be looked up."""
        after = [one["component_version_id"] for _, one in self._versions.values()]
        before = [self._steps[place].component_version_ref for place in self._versions.keys() | self._parameters.keys()]
        return list(dict.fromkeys([*after, *before]))

    def _placed(self, given: list[Given], name: str, reused: str, noun: str, refusals: list[Refusal]) -> Overrides:
        """The overrides whose steps run again, each step once. Refusals of others are added to `refusals`."""
        if len(given) > MOST_STEPS:
            message = f"{len(given)} overrides; there are at most {MOST_STEPS} steps."
            refusals.append(LimitExceeded(message, name))
            return {}
        found: Overrides = {}
        for number, one in enumerate(given):
            with collect_refusals(refusals):
                place = self._place(one["step_key"], found, reused, noun, name, str(number), "stepKey")
                found[place] = number, one
        return found

    def _place(self, key: str, found: Overrides, reused: str, noun: str, *path: str) -> int:
        place = self._places.get(key)
        if place is None:
            raise InvalidInput(f"No step has the key {key[:100]!r}.", *path)
        if place not in self._again:
            raise InvalidInput(f"Step {key} is reused, not run again: {reused}.", *path)
        if place in found:
            raise InvalidInput(f"{noun} of step {key} {'are' if noun[-1] == 's' else 'is'} given twice.", *path)
        return place

    def _changed(self, place: int, releases: dict[str, Release]) -> Changed:
        step = self._steps[place]
        if place in self._versions:
            return self._of_another_version(place, releases)
        path = ("parameterOverrides", str(self._parameters[place][0]))
        release = releases.get(step.component_version_ref)
        if release is None:
            raise NotFound(documents.ComponentVersion.__name__, step.component_version_ref, *path, "stepKey")
        given = self._given(place, release)
        values = replaced(release.version, _values(step), given, *path, "parameters")
        # Undeclared names would accumulate from one re-run to the next.
        text = check_json(values, *path, "parameters", max_bytes=LARGEST_PARAMETERS)
        return Changed(step.component_version_ref, step.code, text, step.ports)

    def _of_another_version(self, place: int, releases: dict[str, Release]) -> Changed:
        number, override = self._versions[place]
        step, path = self._steps[place], ("componentVersionOverrides", str(number))
        of_version = (*path, "componentVersionId")
        after_id = override["component_version_id"]
        before, after = two_versions(step.component_version_ref, after_id, releases, *of_version)
        if after.version.is_deprecated and after_id != step.component_version_ref:
            message = f"ComponentVersion {after_id} ({after.version.version}) is deprecated; choose another version."
            raise InvalidInput(message, *of_version)
        given = self._given(place, after)
        earlier = _values(step)
        kept = carried_over(earlier, before.version, after.version)
        left_out = sorted(earlier.keys() - kept.keys() - given.keys())
        self._warned.append(left_out_warnings(after.version, left_out, *of_version))
        text = check_json(_frozen(after, kept | given, *of_version), *of_version, max_bytes=LARGEST_PARAMETERS)
        ports = override.get("ports")
        mapped = port_mappings(step.ports if ports is None else ports, after.version, *path, "ports")
        code = [CodeReference(repository=after.repository, commit=after.version.commit_hash)]
        return Changed(after_id, code, text, mapped)

    def _given(self, place: int, release: Release) -> Values:
        """The given parameters of a step, validated against the version that it will run."""
        if place not in self._parameters:
            return {}
        number, override = self._parameters[place]
        path = ("parameterOverrides", str(number), "parameters")
        check_json(override["parameters"], *path, max_bytes=LARGEST_JSON)
        self._warned.append(parameter_warnings(release.version, override["parameters"], *path))
        return given_alone(release.version, override["parameters"], *path)


def _values(step: documents.Step) -> Values:
    before: Any = json.loads(step.parameters)
    return before if isinstance(before, dict) else {}


def _frozen(release: Release, values: Values, *path: str) -> Values:
    """The values with the version's defaults. Refusals point to the version, since no override named the values."""
    try:
        return frozen(release.version, values, *path)
    except Refusals as several:
        for refusal in several.refusals:
            refusal.path = path
            refusal.message = f"{refusal.message} Give it in parameterOverrides."
        raise
