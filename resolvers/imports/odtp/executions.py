"""Importing executions from an ODTP database."""

from typing import Any

import documents
from documents.twins.execution import WorkflowSchema
from resolvers.formats.odtp_yml.adjustments import preview
from resolvers.imports.odtp.bson_values import hex_of, json_text, plain
from resolvers.imports.odtp.collection_import import Build, ImportRun, stored_rows
from resolvers.imports.odtp.source_row import DEPRECATED, SourceRow
from resolvers.imports.odtp.step_order import (
    StepsByExecution,
    execution_status,
    missing_steps,
    step_statuses,
    steps_in_order,
)
from resolvers.imports.odtp.users import resolve_reference
from resolvers.twins.twin_rights import readers_of

Rows = dict[str, dict[str, Any]]

TWIN = ("digitalTwinRef", "dt_id")


async def import_executions(run: ImportRun) -> None:
    """Import the executions. Hidden ones get the tag `deprecated`."""

    async def prepare(rows: list[SourceRow]) -> Build:
        twins = await stored_rows(
            documents.DigitalTwin,
            (id for row in rows if (id := row.reference("twin", *TWIN))),
            "userRef",
            "public",
            "readerRefs",
        )
        releases = await stored_rows(
            documents.ComponentVersion, (id for row in rows for id in _release_ids(row)), "_id"
        )
        workflows = await stored_rows(documents.Workflow, (id for row in rows if (id := _workflow_id(row))), "_id")
        steps = await steps_in_order(run, rows)
        return lambda row: _execution(
            row, twins[resolve_reference(row, "twin", twins, *TWIN)], releases, workflows, steps
        )

    await run.import_collection(documents.Execution, "executions", prepare)


def _execution(
    row: SourceRow, twin: dict[str, Any], releases: Rows, workflows: Rows, ordered: StepsByExecution
) -> documents.Execution:
    steps = ordered[row.hex or ""]
    for hex in missing_steps(row, steps):
        row.note(f"It lists the step {hex}, which is none of its steps; left out.")
    return documents.Execution(
        id=row.id("execution"),
        digital_twin_ref=twin["_id"],
        owner_ref=twin["userRef"],
        public=twin["public"],
        reader_refs=readers_of(twin),
        title=row.name(f"execution {row.hex}", "title"),
        description=row.text("description"),
        tags=tags(row),
        status=execution_status(row.values, step_statuses(row.values, steps)),
        workflow_schema=_workflow_schema(row, releases),
        workflow_ref=_workflow_ref(row, workflows),
        start_timestamp=row.time("start_timestamp"),
        end_timestamp=row.time("end_timestamp"),
        **row.timestamps(),
    )


def tags(row: SourceRow) -> list[str]:
    """The tags of an execution or a result, among them `deprecated` if ODTP has hidden it."""
    if not row.is_deprecated:
        return row.tags()
    row.note(f"It is deprecated in ODTP; taken with the tag {DEPRECATED}.")
    return list(dict.fromkeys([*row.tags(), DEPRECATED]))


def _schema(row: SourceRow) -> dict[str, Any]:
    schema = row.values.get("workflowSchema")
    return schema if isinstance(schema, dict) else {}


def _release_ids(row: SourceRow) -> list[str]:
    """The ids of the workflow's versions: a list of ids in ODTP, of `{"version": id}` in its seed data."""
    listed = _schema(row).get("component_versions")
    entries = listed if isinstance(listed, list) else []
    references = (entry.get("version") if isinstance(entry, dict) else entry for entry in entries)
    return [f"release_{hex}" for reference in references if (hex := hex_of(reference))]


def _workflow_id(row: SourceRow) -> str | None:
    return row.reference("workflow", "workflow_id")


def _workflow_ref(row: SourceRow, workflows: Rows) -> str | None:
    id = _workflow_id(row)
    if id is None or id in workflows:
        return id
    row.note(f"Its workflow_id refers to the workflow {id.partition('_')[2]}, which is not here; left out.")
    return None


def _workflow_schema(row: SourceRow, releases: Rows) -> WorkflowSchema:
    schema = _schema(row)
    if missing := [id for id in _release_ids(row) if id not in releases]:
        names = ", ".join(id.partition("_")[2] for id in missing)
        row.note(f"Its workflow names versions that are not here ({names}); left out.")
    return WorkflowSchema(
        workflow_executor=_text_or_unknown(row, schema, "workflowExecutor"),
        workflow_executor_version=_text_or_unknown(row, schema, "workflowExecutorVersion"),
        component_versions=[id for id in _release_ids(row) if id in releases],
        workflow_executor_schema=_executor_schema(schema),
    )


def _text_or_unknown(row: SourceRow, schema: dict[str, Any], name: str) -> str:
    value = schema.get(name)
    if isinstance(value, str) and value.strip():
        return value.strip()
    row.note(f"Its {name} is {preview(plain(value))}; called unknown.")
    return "unknown"


def _executor_schema(schema: dict[str, Any]) -> str | None:
    # ODTP's seed data writes the key with a capital letter.
    value = schema.get("workflowExecutorSchema", schema.get("WorkflowExecutorSchema"))
    return None if value is None else json_text(value)
