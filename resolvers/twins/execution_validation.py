"""Validation of the steps of new executions; everything that is wrong with them is reported at once."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Required

import documents
from documents.activities.activity import ActivityStatus, CodeReference
from documents.mongo.transaction import Session
from documents.provenance.used import Used
from documents.twins.component import ComponentType
from resolvers.access.policies import readable
from resolvers.access.viewer import Viewer
from resolvers.limits import MAX_STEPS
from resolvers.provenance.used import UsedValues
from resolvers.reads.rows import Row, collection_of
from resolvers.twins.parameter_warnings import InputWarning, parameter_warnings
from resolvers.twins.parameters import freeze_parameters
from resolvers.twins.step_graph import StepLinks, StepNode, resolve_dependencies
from resolvers.user_errors import InvalidInput, LimitExceeded, NotFound, Refusal, Refusals, collect_refusals
from resolvers.validators import check_json

MAX_PORTS = 100
MAX_JSON_BYTES = 100_000
MAX_EXECUTION_BYTES = 8_000_000
"""Bytes of parameters and inputs, of one step as given and of all of them with their defaults."""
MAX_REFUSALS = 1_000

PORT_MAPPING = re.compile(r"[0-9]{2,5}:[0-9]{2,5}", re.ASCII)
MAX_PORT = 65_535

ParameterCompletion = Callable[..., dict[str, Any]]
"""`(version, given, *path)` → parameters of a step by name. Raises Refusals."""


class StepValues(StepLinks, total=False):
    """A step as a client describes it; `parameters` and `inputs` are JSON."""

    component_version_id: Required[str]
    type: ComponentType | str | None
    parameters: Any
    ports: list[str] | None
    inputs: Any
    used: list[UsedValues] | None


@dataclass(frozen=True)
class Release:
    """A component version and its component."""

    version: documents.ComponentVersion
    repository: str
    type: ComponentType


@dataclass(frozen=True)
class PlannedStep:
    """A validated step: its component version, and its inputs. JSON is encoded already."""

    release: Release
    type: ComponentType
    parameters: str
    ports: list[str]
    inputs: str | None


Plan = list[tuple[PlannedStep, StepNode]]


def version_ids_of(steps: list[StepValues]) -> list[str]:
    """The ids of the component versions that steps name."""
    return [step["component_version_id"] for step in steps]


async def releases_of(version_ids: list[str], viewer: Viewer, session: Session) -> dict[str, Release]:
    """The component versions of at most `MAX_STEPS` steps, by id; unknown ones are missing."""
    versions = await _readable_rows(documents.ComponentVersion, set(version_ids[:MAX_STEPS]), viewer, session)
    components = await _readable_rows(
        documents.Component, {row["componentId"] for row in versions.values()}, viewer, session
    )
    return {
        id: Release(
            version=documents.ComponentVersion.model_validate(row),
            repository=components[row["componentId"]]["repoLink"],
            type=ComponentType(components[row["componentId"]].get("type", ComponentType.EPHEMERAL)),
        )
        for id, row in versions.items()
        if row["componentId"] in components
    }


def plan_steps(
    steps: list[StepValues], releases: dict[str, Release], complete: ParameterCompletion = freeze_parameters
) -> Plan:
    """Every step with its key and dependencies. `complete` adds to the given parameters, by default the defaults.

    Raises Refusals with everything that is wrong with any of them, LimitExceeded included.
    """
    if not 1 <= len(steps) <= MAX_STEPS:
        kind = LimitExceeded if steps else InvalidInput
        raise Refusals([kind(f"1 to {MAX_STEPS} steps are allowed, not {len(steps)}.", "steps")])
    refusals: list[Refusal] = []
    planned: list[PlannedStep] = []
    nodes: list[StepNode] = []
    for number, step in enumerate(steps):
        with collect_refusals(refusals):
            planned.append(_plan_step(step, releases, complete, "steps", str(number)))
    with collect_refusals(refusals):
        nodes = resolve_dependencies(steps, "steps")
    if not refusals and sum(len(step.parameters) + len(step.inputs or "") for step in planned) > MAX_EXECUTION_BYTES:
        message = (
            f"The steps' parameters and inputs, with their defaults, are larger than {MAX_EXECUTION_BYTES:,} bytes."
        )
        refusals.append(LimitExceeded(message, "steps"))
    if refusals:
        raise Refusals(refusals[:MAX_REFUSALS])
    return list(zip(planned, nodes, strict=True))


def step_warnings(steps: list[StepValues], releases: dict[str, Release]) -> Iterator[InputWarning]:
    """Warnings about the planned steps."""
    for number, step in enumerate(steps):
        version = releases[step["component_version_id"]].version
        yield from parameter_warnings(version, step.get("parameters"), "steps", str(number), "parameters")


def new_steps(plan: Plan, used: list[list[Used] | None], execution: documents.Execution) -> list[documents.Step]:
    """The documents of the steps. Those that wait for nothing can be claimed at once."""
    ids = [documents.base.new_id(documents.Step.kind) for _ in plan]
    return [
        documents.Step(
            id=ids[ordinal],
            execution_ref=execution.id,
            component_version_ref=step.release.version.id,
            owner_ref=execution.owner_ref,
            public=execution.public,
            key=node.key,
            ordinal=ordinal,
            type=step.type,
            parameters=step.parameters,
            ports=step.ports,
            inputs=step.inputs,
            depends_on=[ids[dependency] for dependency in node.waits_for],
            used=used[ordinal],
            status=ActivityStatus.PENDING if node.waits_for else ActivityStatus.READY,
            code=[CodeReference(repository=step.release.repository, commit=step.release.version.commit_hash)],
            created_at=execution.created_at,
        )
        for ordinal, (step, node) in enumerate(plan)
    ]


def port_mappings(inputs: list[str] | None, version: documents.ComponentVersion, *path: str) -> list[str]:
    """The mappings of host ports to container ports, such as `8501:8501`. Raises Refusals."""
    ports = inputs or []
    if len(ports) > MAX_PORTS:
        raise LimitExceeded(f"{len(ports)} ports are too many; at most {MAX_PORTS} are allowed.", *path)
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


async def _readable_rows(
    document: type[documents.Document], ids: set[str], viewer: Viewer, session: Session
) -> dict[str, Row]:
    match = {"$and": [{"_id": {"$in": sorted(ids)}}, readable(document, viewer)]}
    return {row["_id"]: row async for row in collection_of(document).find(match, session=session)}


def _plan_step(
    step: StepValues, releases: dict[str, Release], complete: ParameterCompletion, *path: str
) -> PlannedStep:
    release = _usable_release(step["component_version_id"], releases, *path, "componentVersionId")
    refusals: list[Refusal] = []
    parameters, inputs, ports = "{}", None, []
    with collect_refusals(refusals):
        check_json(step.get("parameters"), *path, "parameters", max_bytes=MAX_JSON_BYTES)
        completed = complete(release.version, step.get("parameters"), *path, "parameters")
        parameters = json.dumps(completed, ensure_ascii=False)
    with collect_refusals(refusals):
        inputs = (
            None
            if step.get("inputs") is None
            else check_json(step["inputs"], *path, "inputs", max_bytes=MAX_JSON_BYTES)
        )
    with collect_refusals(refusals):
        ports = port_mappings(step.get("ports"), release.version, *path, "ports")
    if refusals:
        raise Refusals(refusals)
    type = ComponentType(step.get("type") or release.type)
    return PlannedStep(release=release, type=type, parameters=parameters, ports=ports, inputs=inputs)


def _usable_release(id: str, releases: dict[str, Release], *path: str) -> Release:
    if id not in releases:
        raise NotFound(documents.ComponentVersion.__name__, id, *path)
    release = releases[id]
    if release.version.is_deprecated:
        message = f"ComponentVersion {id} ({release.version.version}) is deprecated; choose another version."
        raise InvalidInput(message, *path)
    return release


def _host_port(mapping: str, version: documents.ComponentVersion, *path: str) -> int:
    """The host's port of a mapping to a port on which the version's container listens."""
    host, _, container = (mapping if PORT_MAPPING.fullmatch(mapping) else "0:0").partition(":")
    if not all(1 <= int(port) <= MAX_PORT for port in (host, container)):
        raise InvalidInput(
            f"{mapping[:100]!r} is not a port mapping: give two numbers up to {MAX_PORT}, such as 8501:8501.", *path
        )
    declared = [port.container_port for port in version.ports]
    # Many descriptions leave their ports out, or have placeholders for them.
    if declared and int(container) not in declared:
        listed = ", ".join(str(port) for port in declared)
        raise InvalidInput(f"Version {version.version} listens on {listed}, not on {container}.", *path)
    return int(host)
