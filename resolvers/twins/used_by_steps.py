"""Artifacts that the steps of a new execution are told to use, beside the outputs of the steps that they wait for.

The viewer who creates the execution must be able to read them, and so must the owner of its twin, with whose rights a
worker reads outputs later: see `used_files`.
"""

from typing import NamedTuple

import documents
from documents.base import kind_of
from documents.mongo.transaction import Session
from documents.provenance.used import Used
from resolvers.access.viewer import Role, Viewer
from resolvers.limits import MAX_USED_OF_EXECUTION
from resolvers.provenance.artifacts import Artifact, artifacts_by_id, readable_rows
from resolvers.provenance.external_data.external_state import ExternalState
from resolvers.provenance.used import (
    NamedArtifact,
    UsedValues,
    check_count,
    check_no_step_key,
    external_states,
    named_artifact,
    named_ids,
    unique_used,
)
from resolvers.reads.rows import Row
from resolvers.twins.execution_validation import StepValues
from resolvers.twins.file_places import KEY_OF_HIDDEN_STEPS, FilePlaces
from resolvers.twins.step_graph import StepNode, check_step_key
from resolvers.user_errors import Forbidden, InvalidInput, LimitExceeded, Refusal, Refusals, collect_refusals


class UsedBySteps(NamedTuple):
    """The artifacts that each step uses, None where nothing is said; and the data among them that lies elsewhere."""

    used: list[list[Used] | None]
    states: list[ExternalState]


async def used_by_steps(
    steps: list[StepValues], nodes: list[StepNode], owner_id: str, viewer: Viewer, session: Session
) -> UsedBySteps:
    """The artifacts that steps are told to use. Raises Refusals with everything that is wrong.

    `nodes` is empty where the steps are refused already.
    """
    _check_counts(steps)
    ids = {id for step in steps for id in named_ids(step.get("used") or [])}
    artifacts = await _read_artifacts(ids, owner_id, viewer, session)
    refusals: list[Refusal] = []
    found = UsedBySteps([], [])
    for number, step in enumerate(steps):
        awaited = {nodes[dependency].key for dependency in nodes[number].waits_for} if nodes else set()
        with collect_refusals(refusals):
            named = _named_by_step(step.get("used"), artifacts, awaited, "steps", str(number), "used")
            found.used.append(None if named is None else unique_used(artifact.used for artifact in named))
            found.states.extend(external_states(named or []))
    if refusals:
        raise Refusals(refusals)
    return found


class _ReadableArtifacts(NamedTuple):
    """Artifacts that one viewer may read, and the ids of those that the owner may; outputs with the keys of their
    steps."""

    artifacts: dict[str, Artifact]
    for_the_owner: set[str]
    outputs: dict[str, Row]
    keys: dict[str, str]

    def resolve(self, value: UsedValues, *path: str) -> NamedArtifact:
        """The artifact in the form stored with a step. Raises Refusals, and whatever else is wrong with one value."""
        id = value.get("id") or ""
        output = self.outputs.get(id)
        if kind_of(id) != documents.Output.kind:
            check_no_step_key(value, *path)
        artifact = named_artifact(value, self.artifacts, *path, declared=True)
        if id and id not in self.for_the_owner:
            message = f"The owner of the digital twin may not read {kind_of(id)} {id}: share it first."
            raise Forbidden(message, *path, "id")
        if output is None:
            return artifact
        if output.get("sha256") is None and artifact.used.sha256 is not None:
            raise InvalidInput(f"The SHA-256 of output {id} is unknown: leave sha256 out.", *path, "sha256")
        key = check_step_key(value.get("step_key"), *path, "stepKey") or self.keys.get(output["stepRef"])
        return NamedArtifact(artifact.used.model_copy(update={"step_key": key or KEY_OF_HIDDEN_STEPS}), None)


def _check_counts(steps: list[StepValues]) -> None:
    refusals: list[Refusal] = []
    for number, step in enumerate(steps):
        with collect_refusals(refusals):
            check_count(step.get("used") or [], "steps", str(number), "used")
    if sum(len(step.get("used") or []) for step in steps) > MAX_USED_OF_EXECUTION:
        message = f"The steps of an execution are told to use at most {MAX_USED_OF_EXECUTION:,} artifacts."
        refusals.append(LimitExceeded(message, "steps"))
    if refusals:
        raise Refusals(refusals)


async def _read_artifacts(ids: set[str], owner_id: str, viewer: Viewer, session: Session) -> _ReadableArtifacts:
    artifacts, owner = await artifacts_by_id(ids, viewer, session), Viewer(Role.USER, owner_id)
    for_the_owner = artifacts if viewer == owner else await artifacts_by_id(artifacts, owner, session)
    output_ids = [id for id in artifacts if kind_of(id) == documents.Output.kind]
    fields = ["stepRef", "sha256", "file_name"]
    outputs = await readable_rows(documents.Output, output_ids, fields, viewer, session)
    step_ids = {output["stepRef"] for output in outputs}
    steps = await readable_rows(documents.Step, step_ids, ["key"], viewer, session)
    by_id, keys = {output["_id"]: output for output in outputs}, {step["_id"]: step["key"] for step in steps}
    return _ReadableArtifacts(artifacts, set(for_the_owner), by_id, keys)


def _named_by_step(
    values: list[UsedValues] | None, artifacts: _ReadableArtifacts, awaited: set[str], *path: str
) -> list[NamedArtifact] | None:
    """The artifacts that one step uses, each output with a place of its own."""
    if values is None:
        return None
    refusals: list[Refusal] = []
    named: list[NamedArtifact] = []
    places = FilePlaces(awaited)
    for number, value in enumerate(values):
        with collect_refusals(refusals):
            artifact = artifacts.resolve(value, *path, str(number))
            if output := artifacts.outputs.get(artifact.used.ref):
                places.take(artifact.used, output["file_name"], *path, str(number))
            named.append(artifact)
    if refusals:
        raise Refusals(refusals)
    return named
