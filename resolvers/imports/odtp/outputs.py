"""Importing outputs of steps and results of executions from an ODTP database."""

import math
from typing import Any

import documents
from documents.twins.output import AccessControl, OutputType
from resolvers.formats.odtp_yml.adjustments import preview
from resolvers.imports.odtp.bson_values import hex_of, plain
from resolvers.imports.odtp.collection_import import Build, ImportRun, stored_rows
from resolvers.imports.odtp.executions import tags
from resolvers.imports.odtp.rights import is_public_output, reader_references
from resolvers.imports.odtp.source_row import RowError, SourceRow
from resolvers.imports.odtp.users import resolve_reference
from resolvers.twins.twin_rights import readers_of

Rows = dict[str, dict[str, Any]]


async def import_outputs(run: ImportRun, collection: str) -> None:
    """Import the outputs of a collection. Each names its step, whereas a step's `output` names only its last one."""
    await run.import_collection(documents.Output, collection, _outputs)


async def _outputs(rows: list[SourceRow]) -> Build:
    ids = [id for row in rows if (id := row.reference("step", "stepRef"))]
    steps = await stored_rows(documents.Step, ids, "ownerRef", "readerRefs")
    users = await stored_rows(
        documents.User, (f"user_{hex}" for row in rows for hex in _hexes(reader_references(row))), "_id"
    )
    return lambda row: _output(row, steps[resolve_reference(row, "step", steps, "stepRef")], users)


def _output(row: SourceRow, step: dict[str, Any], users: Rows) -> documents.Output:
    prefix = row.required_text("s3_key")
    file_name = row.name(prefix.rstrip("/").rpartition("/")[2], "file_name")
    return documents.Output(
        id=row.id("output"),
        step_ref=step["_id"],
        owner_ref=step["ownerRef"],
        reader_refs=readers_of(step),
        output_type=row.enum_member("output_type", OutputType, OutputType.OUTPUT),
        file_name=file_name,
        file_size=_size(row),
        file_type=row.text("file_type"),
        bucket=row.required_text("s3_bucket"),
        key=_key(prefix, file_name),
        metadata=row.json("metadata"),
        access_control=_access(row, users),
        **row.timestamps(),
    )


def _key(prefix: str, file_name: str) -> str:
    """The key of the object, of which ODTP stores only the part before the file name."""
    if prefix == file_name or prefix.endswith(f"/{file_name}"):
        return prefix
    return f"{prefix.rstrip('/')}/{file_name}"


def _size(row: SourceRow) -> int | None:
    size = row.values.get("file_size")
    if isinstance(size, int | float) and not isinstance(size, bool) and 0 <= size < math.inf:
        return int(size)
    if size is not None:
        row.note(f"file_size is {preview(plain(size))}, which is not a size; left out.")
    return None


def _access(row: SourceRow, users: Rows) -> AccessControl:
    readers = []
    for reader in reader_references(row):
        id = f"user_{hex_of(reader)}"
        if id in users:
            readers.append(id)
        else:
            row.note(f"authorized_users has {preview(plain(reader))}, a user who is not here; left out.")
    return AccessControl(public=is_public_output(row), authorized_users=list(dict.fromkeys(readers)))


async def import_results(run: ImportRun) -> None:
    """Import the results. A result without an execution gets the one that all its outputs belong to."""
    await run.import_collection(documents.Result, "results", _results)


async def _results(rows: list[SourceRow]) -> Build:
    outputs = await stored_rows(
        documents.Output, (f"output_{hex}" for row in rows for hex in _output_hexes(row)), "stepRef"
    )
    steps = await stored_rows(documents.Step, (output["stepRef"] for output in outputs.values()), "executionRef")
    executions = {id: steps[output["stepRef"]]["executionRef"] for id, output in outputs.items()}
    execution_ids = [id for row in rows if (id := row.reference("execution", "executionRef"))]
    fields = ("digitalTwinRef", "ownerRef", "public", "readerRefs")
    stored = await stored_rows(documents.Execution, [*execution_ids, *executions.values()], *fields)
    return lambda row: _result(row, stored[_execution(row, stored, executions)], executions)


def _output_hexes(row: SourceRow) -> list[str]:
    return _hexes(row.items("output"))


def _hexes(values: list[Any]) -> list[str]:
    return [hex for value in values if (hex := hex_of(value))]


def _execution(row: SourceRow, stored: Rows, executions: dict[str, str]) -> str:
    if row.values.get("executionRef") is not None:
        return resolve_reference(row, "execution", stored, "executionRef")
    found = {executions[id] for hex in _output_hexes(row) if (id := f"output_{hex}") in executions}
    if len(found) != 1:
        raise RowError(f"It names no execution, and its outputs are of {len(found)} executions.")
    row.note("It names no execution; imported as a result of the execution of its outputs.")
    return found.pop()


def _result(row: SourceRow, execution: dict[str, Any], outputs: dict[str, str]) -> documents.Result:
    listed = [f"output_{hex}" for hex in dict.fromkeys(_output_hexes(row))]
    if missing := [id.partition("_")[2] for id in listed if id not in outputs]:
        row.note(f"Its output names outputs that are not here ({', '.join(missing)}); left out.")
    if row.reference("twin", "digitalTwinRef") not in (None, execution["digitalTwinRef"]):
        row.note("Its digitalTwinRef is not the twin of its execution; imported as a result of the execution's twin.")
    return documents.Result(
        id=row.id("result"),
        digital_twin_ref=execution["digitalTwinRef"],
        execution_ref=execution["_id"],
        owner_ref=execution["ownerRef"],
        public=execution["public"],
        reader_refs=readers_of(execution),
        title=row.name(f"result {row.hex}", "title"),
        description=row.text("description"),
        tags=tags(row),
        output_refs=[id for id in listed if id in outputs],
        **row.timestamps(),
    )
