"""Importing steps from an ODTP database."""

import re
from dataclasses import dataclass
from typing import Any

import documents
from documents.activities.activity import ActivityError, ActivityStatus, CodeReference
from documents.twins.component import ComponentType
from resolvers.formats.odtp_yml.adjustments import preview
from resolvers.imports.odtp.bson_values import plain
from resolvers.imports.odtp.collection_import import Build, ImportRun, stored_rows
from resolvers.imports.odtp.source_row import STEP_FAILED, RowError, SourceRow
from resolvers.imports.odtp.step_order import StepsByExecution, step_statuses, steps_in_order
from resolvers.imports.odtp.users import resolve_reference
from resolvers.twins.twin_rights import readers_of

EXECUTION_BATCH_SIZE = 200
PORT_MAPPING = re.compile(r"[0-9]{2,5}:[0-9]{2,5}", re.ASCII)

Rows = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class StepPosition:
    """A step's place in its execution: its number from 0, its status, and the id of the step before it."""

    execution: dict[str, Any]
    ordinal: int
    status: ActivityStatus
    previous: str | None


async def import_steps(run: ImportRun) -> None:
    """Import the steps of each execution as a chain: each depends on the one before it."""
    await run.start_progress("steps")
    async for executions in run.batches("executions", size=EXECUTION_BATCH_SIZE):
        ordered = await steps_in_order(run, executions)
        ids = [f"execution_{hex}" for hex in ordered]
        here = await stored_rows(documents.Execution, ids, "ownerRef", "public", "readerRefs")
        steps = [step for hex in ordered if f"execution_{hex}" in here for step in ordered[hex]]
        versions = await _versions(steps)
        positions = _positions({row.hex or "": row for row in executions}, ordered, here, versions)
        await run.import_rows(documents.Step, steps, _prepare(versions, positions))
        run.advance("steps", len(steps))
    await _refuse_remaining(run)


async def _versions(steps: list[SourceRow]) -> Rows:
    """The component versions that steps run, each with the repository of its component."""
    ids = [id for step in steps if (id := step.reference("release", "component_version"))]
    versions = await stored_rows(documents.ComponentVersion, ids, "componentId", "commitHash")
    components = await stored_rows(
        documents.Component, [version["componentId"] for version in versions.values()], "repoLink"
    )
    return {
        id: version | {"repoLink": components[version["componentId"]]["repoLink"]}
        for id, version in versions.items()
        if version["componentId"] in components
    }


def _positions(
    executions: dict[str, SourceRow], ordered: StepsByExecution, here: Rows, versions: Rows
) -> dict[str, StepPosition]:
    positions: dict[str, StepPosition] = {}
    for hex, steps in ordered.items():
        execution = here.get(f"execution_{hex}")
        if execution is None:
            continue
        previous: str | None = None
        statuses = step_statuses(executions[hex].values, steps)
        for ordinal, (step, status) in enumerate(zip(steps, statuses, strict=True)):
            positions[step.hex or ""] = StepPosition(execution, ordinal, status, previous)
            # A refused step does not break the chain: the next step follows its predecessor.
            if step.reference("release", "component_version") in versions:
                previous = f"step_{step.hex}"
    return positions


def _prepare(versions: Rows, positions: dict[str, StepPosition]) -> Any:
    def step(row: SourceRow) -> documents.Step:
        version = versions[resolve_reference(row, "release", versions, "component_version")]
        return _step(row, version, positions[row.hex or ""])

    async def prepare(rows: list[SourceRow]) -> Build:
        return step

    return prepare


def _step(row: SourceRow, version: dict[str, Any], position: StepPosition) -> documents.Step:
    started, ended = row.time("start_timestamp"), row.time("end_timestamp")
    return documents.Step(
        id=row.id("step"),
        execution_ref=position.execution["_id"],
        component_version_ref=version["_id"],
        owner_ref=position.execution["ownerRef"],
        public=position.execution["public"],
        reader_refs=readers_of(position.execution),
        key=str(position.ordinal),
        ordinal=position.ordinal,
        type=row.enum_member("type", ComponentType, ComponentType.EPHEMERAL),
        parameters=row.json("parameters") or "{}",
        ports=_ports(row),
        inputs=row.json("inputs"),
        depends_on=[position.previous] if position.previous else [],
        status=position.status,
        code=[CodeReference(repository=version["repoLink"], commit=version["commitHash"])],
        attempt=1 if started or ended else 0,
        created_at=row.creation_time("timestamp"),
        started_at=started,
        ended_at=ended,
        error=_error(row),
    )


def _ports(row: SourceRow) -> list[str]:
    """The mappings of ports, `host:container`."""
    ports = []
    for port in row.items("ports"):
        if isinstance(port, str) and PORT_MAPPING.fullmatch(port.strip()):
            ports.append(port.strip())
        elif port not in (None, ""):
            row.note(f"ports has {preview(plain(port))}, which maps no port; left out.")
    return ports


def _error(row: SourceRow) -> ActivityError | None:
    if row.values.get("error") is not True:
        return None
    return ActivityError(code=STEP_FAILED, message=row.text("msg") or "ODTP records that it failed, but not why.")


async def _refuse_remaining(run: ImportRun) -> None:
    """Refuse the steps of executions that do not exist or were refused."""
    refused = {note.id for note in run.summary.refusals if note.collection == "steps"}
    async for rows in run.batches("steps", fields=["executionRef"]):
        stored = await stored_rows(documents.Step, [f"step_{row.hex}" for row in rows if row.hex], "_id")
        remaining = [row for row in rows if row.display_id not in refused and f"step_{row.hex}" not in stored]
        for row in remaining:
            run.refuse(row, _refusal_reason(row))
        run.advance("steps", len(remaining))


def _refusal_reason(row: SourceRow) -> str:
    try:
        row.id("step")
        execution = resolve_reference(row, "execution", {}, "executionRef")
    except RowError as error:
        return str(error)
    return f"It was added to {execution} during the import; import again."
