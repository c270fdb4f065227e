"""Importing workflows from an ODTP database, which records no owners of them."""

from typing import Any

import documents
from documents.twins.component import ComponentType
from documents.twins.workflow import WorkflowStep
from resolvers.formats.odtp_yml.adjustments import preview
from resolvers.imports.odtp.bson_values import both_forms, hex_of, plain
from resolvers.imports.odtp.collection_import import Build, ImportRun, stored_rows
from resolvers.imports.odtp.executions import TWIN, tags
from resolvers.imports.odtp.source_row import RowError, SourceRow
from resolvers.limits import MAX_STEPS

Rows = dict[str, dict[str, Any]]


async def import_workflows(run: ImportRun) -> None:
    """Import the workflows, each as a private one of its only runner. Hidden ones get the tag `deprecated`."""

    async def prepare(rows: list[SourceRow]) -> Build:
        releases = await stored_rows(
            documents.ComponentVersion, (id for row in rows for id in _references(row) if id), "componentId"
        )
        components = await stored_rows(
            documents.Component, (release["componentId"] for release in releases.values()), "type"
        )
        owners = await _owners(run, [row.hex for row in rows if row.hex])
        return lambda row: _workflow(row, _steps(row, releases, components), owners.get(row.hex or "", set()))

    await run.import_collection(documents.Workflow, "workflows", prepare)


async def _owners(run: ImportRun, hexes: list[str]) -> dict[str, set[str]]:
    """The users that ran each workflow: the owners of the twins of its executions."""
    runs: list[tuple[str, str]] = []
    async for rows in run.batches("executions", {"workflow_id": {"$in": both_forms(hexes)}}, ["workflow_id", *TWIN]):
        runs += [
            (workflow, twin)
            for row in rows
            if (workflow := hex_of(row.values["workflow_id"])) and (twin := row.reference("twin", *TWIN))
        ]
    twins = await stored_rows(documents.DigitalTwin, (twin for _, twin in runs), "userRef")
    owners: dict[str, set[str]] = {}
    for workflow, twin in runs:
        if twin in twins:
            owners.setdefault(workflow, set()).add(twins[twin]["userRef"])
    return owners


def _workflow(row: SourceRow, steps: list[WorkflowStep], owners: set[str]) -> documents.Workflow:
    return documents.Workflow(
        id=row.id("workflow"),
        owner_ref=_owner(row, owners),
        name=row.name(f"workflow {row.hex}", "name"),
        tags=tags(row),
        steps=steps,
        component_versions=[step.component_version_ref for step in steps],
        **row.timestamps(),
    )


def _owner(row: SourceRow, owners: set[str]) -> str | None:
    if len(owners) == 1:
        (owner,) = owners
        row.note(f"ODTP names no owner; imported as a private workflow of {owner}, who alone ran it.")
        return owner
    ran = f"{len(owners)} users ran it" if owners else "nobody ran it"
    row.note(f"ODTP names no owner, and {ran}; only administrators see it until updateWorkflow names an owner.")
    return None


def _references(row: SourceRow) -> list[str | None]:
    """The ids of the versions, in their order; None for invalid references."""
    entries = (entry.get("version") if isinstance(entry, dict) else entry for entry in row.items("versions"))
    return [f"release_{hex}" if (hex := hex_of(entry)) else None for entry in entries]


def _steps(row: SourceRow, releases: Rows, components: Rows) -> list[WorkflowStep]:
    """A chain of the versions. Raises RowError if one is missing: without it, this would be another workflow."""
    ids = _references(row)
    if not 1 <= len(ids) <= MAX_STEPS:
        raise RowError(f"It has {len(ids)} versions; a workflow has 1 to {MAX_STEPS}.")
    for written, id in zip(row.items("versions"), ids, strict=True):
        if id is None:
            raise RowError(f"Its versions contain {preview(plain(written))}, which is not a reference.")
        if id not in releases:
            raise RowError(f"Its versions refer to the version {id.partition('_')[2]}, which is not here.")
    return [
        WorkflowStep(
            key=str(number),
            component_version_ref=id,
            type=_type(components.get(releases[id]["componentId"])),
            depends_on=[str(number - 1)] if number else [],
        )
        for number, id in enumerate(id for id in ids if id)
    ]


def _type(component: dict[str, Any] | None) -> ComponentType:
    return ComponentType(component.get("type") or ComponentType.EPHEMERAL) if component else ComponentType.EPHEMERAL
