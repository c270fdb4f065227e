"""Artifacts that steps use in a re-run: those that they were told to use, and data at URLs among their parameters."""

import json

import documents
from documents.base import kind_of
from documents.mongo.transaction import Session
from documents.provenance.external_data import ExternalData
from documents.provenance.used import Used
from resolvers.access.viewer import Role, Viewer
from resolvers.limits import MAX_USED_OF_EXECUTION
from resolvers.provenance.artifacts import artifacts_by_id
from resolvers.provenance.external_data.external_state import ExternalState
from resolvers.provenance.external_data.external_url import without_query
from resolvers.provenance.external_data.parameter_urls import parameter_states
from resolvers.provenance.used import unique_used
from resolvers.reads.rows import collection_of
from resolvers.user_errors import Forbidden, NotFound, Refusal, Refusals

MAX_REFUSALS = 1_000


async def check_used_outputs_are_readable(
    steps: list[documents.Step], owner_id: str, viewer: Viewer, session: Session, *path: str
) -> None:
    """Raise Refusals with used outputs that the viewer, or the owner, may no longer read."""
    ids = list(dict.fromkeys(used.ref for step in steps for used in outputs_to_fetch(step)))
    for_the_viewer, owner = await artifacts_by_id(ids, viewer, session), Viewer(Role.USER, owner_id)
    for_the_owner = await artifacts_by_id(for_the_viewer, owner, session)
    refusals: list[Refusal] = [NotFound("Output", id, *path) for id in ids if id not in for_the_viewer]
    refusals += [
        Forbidden(f"The owner of the digital twin may not read output {id}: share it first.", *path)
        for id in for_the_viewer
        if id not in for_the_owner
    ]
    if refusals:
        raise Refusals(refusals[:MAX_REFUSALS])


def outputs_to_fetch(step: documents.Step) -> list[Used]:
    """The outputs that a worker fetches for a step beside those of its dependencies."""
    return [used for used in step.used or [] if used.step_key is not None]


def used_again(step: documents.Step) -> list[Used] | None:
    """The artifacts that a step was told to use, for running it again; None where nothing was said.

    The outputs that it took from other steps are not among it: it takes those of its own execution. Nor is what was
    assumed because of its parameters, which may be others now.
    """
    by_parameters = {state.id for state in states_of_parameters(step)}
    told = [
        used
        for used in step.used or []
        if used.step_key is not None or (used.declared and not (used.assumed and used.ref in by_parameters))
    ]
    return told or (None if step.used or step.depends_on else step.used)


async def urls_by_id(steps: list[documents.Step], session: Session) -> dict[str, str]:
    """The URLs of the data elsewhere that steps use, by its ids."""
    ids = sorted({used.ref for step in steps for used in step.used or [] if kind_of(used.ref) == ExternalData.kind})
    rows = collection_of(ExternalData).find({"_id": {"$in": ids}}, {"url": 1}, session=session)
    return {row["_id"]: row["url"] async for row in rows} if ids else {}


def assume_parameters_are_read(steps: list[documents.Step], urls: dict[str, str]) -> list[ExternalState]:
    """Let each step that will run use the data at the URLs among its parameters, and return these states.

    Nothing is assumed of a step that was told to use nothing, and of a URL whose exact state it was told; `urls` are
    those of all data elsewhere, by its ids. Of more than MAX_USED_OF_EXECUTION artifacts, the last are left out.
    """
    states: list[ExternalState] = []
    room = MAX_USED_OF_EXECUTION - sum(len(step.used or []) for step in steps)
    for step in steps:
        if step.used == [] or step.reused_from_ref is not None:
            continue
        told = {without_query(urls[used.ref]) for used in step.used or [] if used.ref in urls and not used.assumed}
        read = [state for state in states_of_parameters(step) if state.url not in told][: max(room - len(states), 0)]
        states += read
        if read:
            step.used = unique_used([*(step.used or []), *(state.used(declared=True) for state in read)])
    return states


def states_of_parameters(step: documents.Step) -> list[ExternalState]:
    """The data at the URLs among a step's parameters."""
    # Most steps have none, and their parameters need not be parsed. In JSON a slash may be escaped.
    if "://" not in step.parameters.replace("\\/", "/"):
        return []
    parameters = json.loads(step.parameters)
    return parameter_states(parameters) if isinstance(parameters, dict) else []
