"""What a new execution must be like: everything that can be said against its steps, said at once."""

import json
import re
from dataclasses import dataclass
from typing import Any

import documents
from documents.activity import ActivityStatus, CodeReference
from documents.component import ComponentType
from resolvers.checks import a_json
from resolvers.dependencies import Place, places
from resolvers.fetch import Row, collection_of
from resolvers.parameters import frozen
from resolvers.policies import readable
from resolvers.refusals import InvalidInput, LimitExceeded, NotFound, Refusal, Refusals, noting
from resolvers.viewer import Viewer
from resolvers.writing import Session

MOST_STEPS = 1_000
MOST_PORTS = 100
LARGEST_JSON = 100_000
LARGEST_EXECUTION = 8_000_000
"""Bytes of parameters and inputs, of one step as given and of all of them with their defaults."""
MOST_REFUSALS = 1_000

MAPPING = re.compile(r"[0-9]{2,5}:[0-9]{2,5}", re.ASCII)
HIGHEST_PORT = 65_535

Given = dict[str, Any]


@dataclass(frozen=True)
class Release:
    """A component version and the component that it is a version of."""

    version: documents.ComponentVersion
    repository: str
    type: ComponentType


@dataclass(frozen=True)
class PlannedStep:
    """What a step will run, and with what. JSON is text already."""

    release: Release
    type: ComponentType
    parameters: str
    ports: list[str]
    inputs: str | None


Plan = list[tuple[PlannedStep, Place]]


async def releases_of(steps: list[Given], viewer: Viewer, session: Session) -> dict[str, Release]:
    """The component versions that steps name, by id; those that do not exist are missing."""
    named = {step["component_version_id"] for step in steps[:MOST_STEPS]}
    versions = await _rows(documents.ComponentVersion, named, viewer, session)
    components = await _rows(documents.Component, {row["componentId"] for row in versions.values()}, viewer, session)
    return {
        id: Release(
            version=documents.ComponentVersion.model_validate(row),
            repository=components[row["componentId"]]["repoLink"],
            type=ComponentType(components[row["componentId"]].get("type", ComponentType.EPHEMERAL)),
        )
        for id, row in versions.items()
        if row["componentId"] in components
    }


def planned(steps: list[Given], releases: dict[str, Release]) -> Plan:
    """Every step with its place. Raises Refusals with all that is wrong with any of them, LimitExceeded included."""
    if not 1 <= len(steps) <= MOST_STEPS:
        kind = LimitExceeded if steps else InvalidInput
        raise Refusals([kind(f"An execution has 1 to {MOST_STEPS} steps, not {len(steps)}.", "steps")])
    refusals: list[Refusal] = []
    made: list[PlannedStep] = []
    arranged: list[Place] = []
    for number, step in enumerate(steps):
        with noting(refusals):
            made.append(_planned(step, releases, "steps", str(number)))
    with noting(refusals):
        arranged = places(steps, "steps")
    if not refusals and sum(len(one.parameters) + len(one.inputs or "") for one in made) > LARGEST_EXECUTION:
        message = f"The steps' parameters and inputs, with their defaults, are larger than {LARGEST_EXECUTION:,} bytes."
        refusals.append(LimitExceeded(message, "steps"))
    if refusals:
        raise Refusals(refusals[:MOST_REFUSALS])
    return list(zip(made, arranged, strict=True))


def steps_of(plan: Plan, execution: documents.Execution) -> list[documents.Step]:
    """The steps to be kept. Those that wait for nothing can be claimed at once."""
    ids = [documents.base.new_id(documents.Step.kind) for _ in plan]
    return [
        documents.Step(
            id=ids[ordinal],
            execution_ref=execution.id,
            component_version_ref=step.release.version.id,
            owner_ref=execution.owner_ref,
            public=execution.public,
            key=place.key,
            ordinal=ordinal,
            type=step.type,
            parameters=step.parameters,
            ports=step.ports,
            inputs=step.inputs,
            depends_on=[ids[one] for one in place.waits_for],
            status=ActivityStatus.PENDING if place.waits_for else ActivityStatus.READY,
            code=[CodeReference(repository=step.release.repository, commit=step.release.version.commit_hash)],
            created_at=execution.created_at,
        )
        for ordinal, (step, place) in enumerate(plan)
    ]


def port_mappings(given: list[str] | None, version: documents.ComponentVersion, *path: str) -> list[str]:
    """Ports of the host and of the container, such as `8501:8501`. Raises Refusals."""
    ports = given or []
    if len(ports) > MOST_PORTS:
        raise LimitExceeded(f"{len(ports)} ports; a step takes at most {MOST_PORTS}.", *path)
    refusals: list[Refusal] = []
    first: dict[int, int] = {}
    for number, port in enumerate(ports):
        with noting(refusals):
            host = _host_port(port, version, *path, str(number))
            if first.setdefault(host, number) != number:
                raise InvalidInput(f"Port {host} of the host is mapped twice.", *path, str(number))
    if refusals:
        raise Refusals(refusals)
    return ports


async def _rows(document: type[documents.Document], ids: set[str], viewer: Viewer, session: Session) -> dict[str, Row]:
    match = {"$and": [{"_id": {"$in": sorted(ids)}}, readable(document, viewer)]}
    return {row["_id"]: row async for row in collection_of(document).find(match, session=session)}


def _planned(step: Given, releases: dict[str, Release], *path: str) -> PlannedStep:
    release = _release(step["component_version_id"], releases, *path, "componentVersionId")
    refusals: list[Refusal] = []
    parameters, inputs, ports = "{}", None, []
    with noting(refusals):
        a_json(step.get("parameters"), *path, "parameters", max_bytes=LARGEST_JSON)
        values = frozen(release.version, step.get("parameters"), *path, "parameters")
        parameters = json.dumps(values, ensure_ascii=False)
    with noting(refusals):
        inputs = None if step.get("inputs") is None else a_json(step["inputs"], *path, "inputs", max_bytes=LARGEST_JSON)
    with noting(refusals):
        ports = port_mappings(step.get("ports"), release.version, *path, "ports")
    if refusals:
        raise Refusals(refusals)
    type = ComponentType(step.get("type") or release.type)
    return PlannedStep(release=release, type=type, parameters=parameters, ports=ports, inputs=inputs)


def _release(id: str, releases: dict[str, Release], *path: str) -> Release:
    if id not in releases:
        raise NotFound(documents.ComponentVersion.__name__, id, *path)
    release = releases[id]
    if release.version.is_deprecated:
        message = f"ComponentVersion {id} ({release.version.version}) is deprecated; new executions take another."
        raise InvalidInput(message, *path)
    return release


def _host_port(mapping: str, version: documents.ComponentVersion, *path: str) -> int:
    """The host's port of a mapping that the version's container can serve."""
    host, _, container = (mapping if MAPPING.fullmatch(mapping) else "0:0").partition(":")
    if not all(1 <= int(port) <= HIGHEST_PORT for port in (host, container)):
        raise InvalidInput(
            f"{mapping[:100]!r} maps no port: two numbers up to {HIGHEST_PORT} are wanted, such as 8501:8501.", *path
        )
    known = [port.container_port for port in version.ports]
    # Many descriptions leave their ports out, or have placeholders for them.
    if known and int(container) not in known:
        listed = ", ".join(str(port) for port in known)
        raise InvalidInput(f"Version {version.version} listens on {listed}, not on {container}.", *path)
    return int(host)
