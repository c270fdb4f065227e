"""Validation of new executions: everything that is wrong with their steps is reported at once."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import documents
from documents.activities.activity import ActivityStatus, CodeReference, Used
from documents.mongo.transaction import Session
from documents.twins.component import ComponentType
from resolvers.access.policies import readable
from resolvers.access.viewer import Viewer
from resolvers.reads.rows import Row, collection_of
from resolvers.twins.parameter_warnings import InputWarning, parameter_warnings
from resolvers.twins.parameters import frozen
from resolvers.twins.step_graph import StepNode, places
from resolvers.user_errors import InvalidInput, LimitExceeded, NotFound, Refusal, Refusals, collect_refusals
from resolvers.validators import check_json

MOST_STEPS = 1_000
MOST_PORTS = 100
LARGEST_JSON = 100_000
LARGEST_EXECUTION = 8_000_000
"""Bytes of parameters and inputs, of one step as given and of all of them with their defaults."""
MOST_REFUSALS = 1_000

MAPPING = re.compile(r"[0-9]{2,5}:[0-9]{2,5}", re.ASCII)
HIGHEST_PORT = 65_535

Given = dict[str, Any]
Values = Callable[..., dict[str, Any]]
"""`(version, given, *path)` → parameters of a step by name. Raises Refusals."""


@dataclass(frozen=True)
class Release:
    """A component version and its component."""

    version: documents.ComponentVersion
    repository: str
    type: ComponentType


@dataclass(frozen=True)
class PlannedStep:
    """A planned step: its component version, and its inputs. JSON is encoded already."""

    release: Release
    type: ComponentType
    parameters: str
    ports: list[str]
    inputs: str | None


Plan = list[tuple[PlannedStep, StepNode]]


async def releases_of(steps: list[Given], viewer: Viewer, session: Session) -> dict[str, Release]:
    """The component versions that steps name, by id; unknown ones are missing."""
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


def planned(steps: list[Given], releases: dict[str, Release], values: Values = frozen) -> Plan:
    """Every step with its place. `values` completes the given parameters: with the defaults, unless told otherwise.

    Raises Refusals with everything that is wrong with any of them, LimitExceeded included.
    """
    if not 1 <= len(steps) <= MOST_STEPS:
        kind = LimitExceeded if steps else InvalidInput
        raise Refusals([kind(f"1 to {MOST_STEPS} steps are allowed, not {len(steps)}.", "steps")])
    refusals: list[Refusal] = []
    made: list[PlannedStep] = []
    arranged: list[StepNode] = []
    for number, step in enumerate(steps):
        with collect_refusals(refusals):
            made.append(_planned(step, releases, values, "steps", str(number)))
    with collect_refusals(refusals):
        arranged = places(steps, "steps")
    if not refusals and sum(len(one.parameters) + len(one.inputs or "") for one in made) > LARGEST_EXECUTION:
        message = f"The steps' parameters and inputs, with their defaults, are larger than {LARGEST_EXECUTION:,} bytes."
        refusals.append(LimitExceeded(message, "steps"))
    if refusals:
        raise Refusals(refusals[:MOST_REFUSALS])
    return list(zip(made, arranged, strict=True))


def step_warnings(steps: list[Given], releases: dict[str, Release]) -> Iterator[InputWarning]:
    """Warnings about the planned steps."""
    for number, step in enumerate(steps):
        version = releases[step["component_version_id"]].version
        yield from parameter_warnings(version, step.get("parameters"), "steps", str(number), "parameters")


def steps_of(plan: Plan, used: list[list[Used] | None], execution: documents.Execution) -> list[documents.Step]:
    """The steps to be stored. Those that wait for nothing can be claimed at once."""
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
            used=used[ordinal],
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
        with collect_refusals(refusals):
            host = _host_port(port, version, *path, str(number))
            if first.setdefault(host, number) != number:
                raise InvalidInput(f"Port {host} of the host is mapped twice.", *path, str(number))
    if refusals:
        raise Refusals(refusals)
    return ports


async def _rows(document: type[documents.Document], ids: set[str], viewer: Viewer, session: Session) -> dict[str, Row]:
    match = {"$and": [{"_id": {"$in": sorted(ids)}}, readable(document, viewer)]}
    return {row["_id"]: row async for row in collection_of(document).find(match, session=session)}


def _planned(step: Given, releases: dict[str, Release], values: Values, *path: str) -> PlannedStep:
    release = _release(step["component_version_id"], releases, *path, "componentVersionId")
    refusals: list[Refusal] = []
    parameters, inputs, ports = "{}", None, []
    with collect_refusals(refusals):
        check_json(step.get("parameters"), *path, "parameters", max_bytes=LARGEST_JSON)
        found = values(release.version, step.get("parameters"), *path, "parameters")
        parameters = json.dumps(found, ensure_ascii=False)
    with collect_refusals(refusals):
        inputs = (
            None if step.get("inputs") is None else check_json(step["inputs"], *path, "inputs", max_bytes=LARGEST_JSON)
        )
    with collect_refusals(refusals):
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
        message = f"ComponentVersion {id} ({release.version.version}) is deprecated; choose another version."
        raise InvalidInput(message, *path)
    return release


def _host_port(mapping: str, version: documents.ComponentVersion, *path: str) -> int:
    """The host's port of a mapping to a port on which the version's container listens."""
    host, _, container = (mapping if MAPPING.fullmatch(mapping) else "0:0").partition(":")
    if not all(1 <= int(port) <= HIGHEST_PORT for port in (host, container)):
        raise InvalidInput(
            f"{mapping[:100]!r} is not a port mapping: give two numbers up to {HIGHEST_PORT}, such as 8501:8501.", *path
        )
    known = [port.container_port for port in version.ports]
    # Many descriptions leave their ports out, or have placeholders for them.
    if known and int(container) not in known:
        listed = ", ".join(str(port) for port in known)
        raise InvalidInput(f"Version {version.version} listens on {listed}, not on {container}.", *path)
    return int(host)
