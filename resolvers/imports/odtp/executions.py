"""Importing executions from an ODTP database."""

from typing import Any

import documents
from documents.twins.execution import WorkflowSchema
from resolvers.formats.odtp_yml.adjustments import preview
from resolvers.imports.odtp.bson_values import hex_of, json_text, plain
from resolvers.imports.odtp.collection_import import Build, Import, stored
from resolvers.imports.odtp.source_row import DEPRECATED, SourceRow
from resolvers.imports.odtp.step_order import Ordered, missing_steps, overall, statuses, steps_in_order
from resolvers.imports.odtp.users import known
from resolvers.twins.twin_rights import readers_of

Rows = dict[str, dict[str, Any]]

TWIN = ("digitalTwinRef", "dt_id")


async def import_executions(at: Import) -> None:
    """Import the executions. Hidden ones get the tag `deprecated`."""

    async def prepare(rows: list[SourceRow]) -> Build:
        twins = await stored(
            documents.DigitalTwin,
            (id for row in rows if (id := row.reference("twin", *TWIN))),
            "userRef",
            "public",
            "readerRefs",
        )
        releases = await stored(documents.ComponentVersion, (id for row in rows for id in _releases(row)), "_id")
        workflows = await stored(documents.Workflow, (id for row in rows if (id := _workflow_id(row))), "_id")
        steps = await steps_in_order(at, rows)
        return lambda row: _execution(row, twins[known(row, "twin", twins, *TWIN)], releases, workflows, steps)

    await at.take_all(documents.Execution, "executions", prepare)


def _execution(
    row: SourceRow, twin: dict[str, Any], releases: Rows, workflows: Rows, ordered: Ordered
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
        title=row.named(f"execution {row.hex}", "title"),
        description=row.text("description"),
        tags=tags(row),
        status=overall(row.values, statuses(row.values, steps)),
        workflow_schema=_workflow_schema(row, releases),
        workflow_ref=_workflow_ref(row, workflows),
        start_timestamp=row.time("start_timestamp"),
        end_timestamp=row.time("end_timestamp"),
        **row.times(),
    )


def tags(row: SourceRow) -> list[str]:
    """The tags of an execution or a result, `deprecated` among them when ODTP has hidden it."""
    if not row.deprecated:
        return row.tags()
    row.note(f"It is deprecated in ODTP; taken with the tag {DEPRECATED}.")
    return list(dict.fromkeys([*row.tags(), DEPRECATED]))


def _schema(row: SourceRow) -> dict[str, Any]:
    schema = row.values.get("workflowSchema")
    return schema if isinstance(schema, dict) else {}


def _releases(row: SourceRow) -> list[str]:
    """The ids of the workflow's versions: in ODTP a list of ids, in the seed one of `{"version": id}`."""
    listed = _schema(row).get("component_versions")
    named = [one.get("version") if isinstance(one, dict) else one for one in listed] if isinstance(listed, list) else []
    return [f"release_{hex}" for one in named if (hex := hex_of(one))]


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
    if missing := [id for id in _releases(row) if id not in releases]:
        names = ", ".join(id.partition("_")[2] for id in missing)
        row.note(f"Its workflow names versions that are not here ({names}); left out.")
    return WorkflowSchema(
        workflow_executor=_word(row, schema, "workflowExecutor"),
        workflow_executor_version=_word(row, schema, "workflowExecutorVersion"),
        component_versions=[id for id in _releases(row) if id in releases],
        workflow_executor_schema=_executor_schema(schema),
    )


def _word(row: SourceRow, schema: dict[str, Any], name: str) -> str:
    value = schema.get(name)
    if isinstance(value, str) and value.strip():
        return value.strip()
    row.note(f"Its {name} is {preview(plain(value))}; called unknown.")
    return "unknown"


def _executor_schema(schema: dict[str, Any]) -> str | None:
    # The seed writes a capital where ODTP writes a small letter.
    value = schema.get("workflowExecutorSchema", schema.get("WorkflowExecutorSchema"))
    return None if value is None else json_text(value)
