"""Importing outputs of steps and results of executions from an ODTP database."""

import math
from typing import Any

import documents
from documents.twins.output import AccessControl, OutputType
from resolvers.formats.odtp_yml.adjustments import preview
from resolvers.imports.odtp.bson_values import hex_of, plain
from resolvers.imports.odtp.collection_import import Build, Import, stored
from resolvers.imports.odtp.executions import tags
from resolvers.imports.odtp.rights import allowed, is_public_output
from resolvers.imports.odtp.source_row import Refused, SourceRow
from resolvers.imports.odtp.users import known
from resolvers.twins.twin_rights import readers_of

Rows = dict[str, dict[str, Any]]


async def import_outputs(at: Import, collection: str) -> None:
    """Import the outputs of a collection, by the steps that they name: a step's own `output` names only the last."""
    await at.take_all(documents.Output, collection, _outputs)


async def _outputs(rows: list[SourceRow]) -> Build:
    ids = [id for row in rows if (id := row.reference("step", "stepRef"))]
    steps = await stored(documents.Step, ids, "ownerRef", "readerRefs")
    users = await stored(documents.User, (f"user_{hex}" for row in rows for hex in _hexes(allowed(row))), "_id")
    return lambda row: _output(row, steps[known(row, "step", steps, "stepRef")], users)


def _output(row: SourceRow, step: dict[str, Any], users: Rows) -> documents.Output:
    prefix = row.required("s3_key")
    file_name = row.named(prefix.rstrip("/").rpartition("/")[2], "file_name")
    return documents.Output(
        id=row.id("output"),
        step_ref=step["_id"],
        owner_ref=step["ownerRef"],
        reader_refs=readers_of(step),
        output_type=row.member("output_type", OutputType, OutputType.OUTPUT),
        file_name=file_name,
        file_size=_size(row),
        file_type=row.text("file_type"),
        bucket=row.required("s3_bucket"),
        key=_key(prefix, file_name),
        metadata=row.json("metadata"),
        access_control=_access(row, users),
        **row.times(),
    )


def _key(prefix: str, file_name: str) -> str:
    """The key of the object: ODTP stores only the part before the file name."""
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
    for one in allowed(row):
        id = f"user_{hex_of(one)}"
        if id in users:
            readers.append(id)
        else:
            row.note(f"authorized_users has {preview(plain(one))}, a user who is not here; left out.")
    return AccessControl(public=is_public_output(row), authorized_users=list(dict.fromkeys(readers)))


async def import_results(at: Import) -> None:
    """Import the results. One without an execution belongs to that of its outputs, if they share one."""
    await at.take_all(documents.Result, "results", _results)


async def _results(rows: list[SourceRow]) -> Build:
    outputs = await stored(documents.Output, (f"output_{hex}" for row in rows for hex in _listed(row)), "stepRef")
    steps = await stored(documents.Step, (output["stepRef"] for output in outputs.values()), "executionRef")
    executions = {id: steps[output["stepRef"]]["executionRef"] for id, output in outputs.items()}
    named = [id for row in rows if (id := row.reference("execution", "executionRef"))]
    fields = ("digitalTwinRef", "ownerRef", "public", "readerRefs")
    here = await stored(documents.Execution, [*named, *executions.values()], *fields)
    return lambda row: _result(row, here[_execution(row, here, executions)], executions)


def _listed(row: SourceRow) -> list[str]:
    return _hexes(row.items("output"))


def _hexes(values: list[Any]) -> list[str]:
    return [hex for value in values if (hex := hex_of(value))]


def _execution(row: SourceRow, here: Rows, executions: dict[str, str]) -> str:
    if row.values.get("executionRef") is not None:
        return known(row, "execution", here, "executionRef")
    found = {executions[id] for hex in _listed(row) if (id := f"output_{hex}") in executions}
    if len(found) != 1:
        raise Refused(f"It names no execution, and its outputs are of {len(found)} executions.")
    row.note("It names no execution; imported as a result of the execution of its outputs.")
    return found.pop()


def _result(row: SourceRow, execution: dict[str, Any], outputs: dict[str, str]) -> documents.Result:
    listed = [f"output_{hex}" for hex in dict.fromkeys(_listed(row))]
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
        title=row.named(f"result {row.hex}", "title"),
        description=row.text("description"),
        tags=tags(row),
        output_refs=[id for id in listed if id in outputs],
        **row.times(),
    )
