"""Importing steps from an ODTP database."""

import re
from dataclasses import dataclass
from typing import Any

import documents
from documents.activities.activity import ActivityError, ActivityStatus, CodeReference
from documents.twins.component import ComponentType
from resolvers.formats.odtp_yml.adjustments import preview
from resolvers.imports.odtp.bson_values import plain
from resolvers.imports.odtp.collection_import import Build, Import, stored
from resolvers.imports.odtp.source_row import STEP_FAILED, Refused, SourceRow
from resolvers.imports.odtp.step_order import Ordered, statuses, steps_in_order
from resolvers.imports.odtp.users import known
from resolvers.twins.twin_rights import readers_of

EXECUTIONS_AT_ONCE = 200
PORTS = re.compile(r"[0-9]{2,5}:[0-9]{2,5}", re.ASCII)

Rows = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Place:
    """The position of a step in its execution: its number from 0, its status, and the step before it."""

    execution: dict[str, Any]
    ordinal: int
    status: ActivityStatus
    after: str | None


async def import_steps(at: Import) -> None:
    """Import the steps by their executions, as a chain in their order."""
    await at.expect("steps")
    async for executions in at.batches("executions", size=EXECUTIONS_AT_ONCE):
        ordered = await steps_in_order(at, executions)
        ids = [f"execution_{hex}" for hex in ordered]
        here = await stored(documents.Execution, ids, "ownerRef", "public", "readerRefs")
        steps = [step for hex in ordered if f"execution_{hex}" in here for step in ordered[hex]]
        versions = await _versions(steps)
        places = _places({row.hex or "": row for row in executions}, ordered, here, versions)
        await at.take(documents.Step, steps, _prepare(versions, places))
        at.advance("steps", len(steps))
    await _refuse_others(at)


async def _versions(steps: list[SourceRow]) -> Rows:
    """The component versions that steps run, each with the repository of its component."""
    ids = [id for step in steps if (id := step.reference("release", "component_version"))]
    versions = await stored(documents.ComponentVersion, ids, "componentId", "commitHash")
    components = await stored(documents.Component, [one["componentId"] for one in versions.values()], "repoLink")
    return {
        id: one | {"repoLink": components[one["componentId"]]["repoLink"]}
        for id, one in versions.items()
        if one["componentId"] in components
    }


def _places(executions: dict[str, SourceRow], ordered: Ordered, here: Rows, versions: Rows) -> dict[str, Place]:
    places: dict[str, Place] = {}
    for hex, steps in ordered.items():
        execution = here.get(f"execution_{hex}")
        if execution is None:
            continue
        after: str | None = None
        found = statuses(executions[hex].values, steps)
        for ordinal, (step, status) in enumerate(zip(steps, found, strict=True)):
            places[step.hex or ""] = Place(execution, ordinal, status, after)
            # A refused step does not break the chain: the next one follows the one before it.
            if step.reference("release", "component_version") in versions:
                after = f"step_{step.hex}"
    return places


def _prepare(versions: Rows, places: dict[str, Place]) -> Any:
    def step(row: SourceRow) -> documents.Step:
        version = versions[known(row, "release", versions, "component_version")]
        return _step(row, version, places[row.hex or ""])

    async def prepare(rows: list[SourceRow]) -> Build:
        return step

    return prepare


def _step(row: SourceRow, version: dict[str, Any], place: Place) -> documents.Step:
    started, ended = row.time("start_timestamp"), row.time("end_timestamp")
    return documents.Step(
        id=row.id("step"),
        execution_ref=place.execution["_id"],
        component_version_ref=version["_id"],
        owner_ref=place.execution["ownerRef"],
        public=place.execution["public"],
        reader_refs=readers_of(place.execution),
        key=str(place.ordinal),
        ordinal=place.ordinal,
        type=row.member("type", ComponentType, ComponentType.EPHEMERAL),
        parameters=row.json("parameters") or "{}",
        ports=_ports(row),
        inputs=row.json("inputs"),
        depends_on=[place.after] if place.after else [],
        status=place.status,
        code=[CodeReference(repository=version["repoLink"], commit=version["commitHash"])],
        attempt=1 if started or ended else 0,
        created_at=row.made_at("timestamp"),
        started_at=started,
        ended_at=ended,
        error=_error(row),
    )


def _ports(row: SourceRow) -> list[str]:
    """The mapped ports, `host:container`."""
    ports = []
    for port in row.items("ports"):
        if isinstance(port, str) and PORTS.fullmatch(port.strip()):
            ports.append(port.strip())
        elif port not in (None, ""):
            row.note(f"ports has {preview(plain(port))}, which maps no port; left out.")
    return ports


def _error(row: SourceRow) -> ActivityError | None:
    if row.values.get("error") is not True:
        return None
    return ActivityError(code=STEP_FAILED, message=row.text("msg") or "ODTP records that it failed, but not why.")


async def _refuse_others(at: Import) -> None:
    """Refuse the steps of executions that do not exist, or were refused."""
    refused = {note.id for note in at.summary.refusals if note.collection == "steps"}
    async for rows in at.batches("steps", fields=["executionRef"]):
        here = await stored(documents.Step, [f"step_{row.hex}" for row in rows if row.hex], "_id")
        others = [row for row in rows if row.shown_id not in refused and f"step_{row.hex}" not in here]
        for row in others:
            at.refuse(row, _why_not(row))
        at.advance("steps", len(others))


def _why_not(row: SourceRow) -> str:
    try:
        row.id("step")
        execution = known(row, "execution", {}, "executionRef")
    except Refused as refused:
        return str(refused)
    return f"It was added to {execution} during the import; import again."
