"""Outputs of steps and results of executions, out of an ODTP database."""

import math
from typing import Any

import documents
from documents.output import AccessControl, OutputType
from resolvers.ingest.odtp_executions import tags
from resolvers.ingest.odtp_fields import shown
from resolvers.ingest.odtp_people import known
from resolvers.ingest.odtp_rows import Refused, SourceRow
from resolvers.ingest.odtp_stage import Build, Import, stored
from resolvers.ingest.odtp_values import hex_of, plain

Rows = dict[str, dict[str, Any]]


async def import_outputs(at: Import, collection: str) -> None:
    """Take the outputs of a collection, by the steps that they name: a step's own `output` names only the last."""
    await at.take_all(documents.Output, collection, _outputs)


async def _outputs(rows: list[SourceRow]) -> Build:
    ids = [id for row in rows if (id := row.reference("step", "stepRef"))]
    steps = await stored(documents.Step, ids, "ownerRef")
    users = await stored(documents.User, (f"user_{hex}" for row in rows for hex in _hexes(_allowed(row))), "_id")
    return lambda row: _output(row, steps[known(row, "step", steps, "stepRef")], users)


def _output(row: SourceRow, step: dict[str, Any], users: Rows) -> documents.Output:
    prefix = row.required("s3_key")
    file_name = row.named(prefix.rstrip("/").rpartition("/")[2], "file_name")
    return documents.Output(
        id=row.id("output"),
        step_ref=step["_id"],
        owner_ref=step["ownerRef"],
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
    """The key of the object: ODTP keeps only what stands before the name of the file."""
    if prefix == file_name or prefix.endswith(f"/{file_name}"):
        return prefix
    return f"{prefix.rstrip('/')}/{file_name}"


def _size(row: SourceRow) -> int | None:
    size = row.values.get("file_size")
    if isinstance(size, int | float) and not isinstance(size, bool) and 0 <= size < math.inf:
        return int(size)
    if size is not None:
        row.note(f"file_size is {shown(plain(size))}, which is no size; left out.")
    return None


def _control(row: SourceRow) -> dict[str, Any]:
    control = row.values.get("access_control")
    return control if isinstance(control, dict) else {}


def _allowed(row: SourceRow) -> list[Any]:
    """Those whom an output names as its readers, without the nulls that stand for nobody."""
    named = _control(row).get("authorized_users")
    return [one for one in (named if isinstance(named, list) else [named]) if one not in (None, "")]


def _access(row: SourceRow, users: Rows) -> AccessControl:
    allowed = []
    for one in _allowed(row):
        id = f"user_{hex_of(one)}"
        if id in users:
            allowed.append(id)
        else:
            row.note(f"authorized_users has {shown(plain(one))}, who is not here; left out.")
    return AccessControl(public=_control(row).get("public") is True, authorized_users=list(dict.fromkeys(allowed)))


async def import_results(at: Import) -> None:
    """Take the results. One that names no execution belongs to that of its outputs, when it is one."""
    await at.take_all(documents.Result, "results", _results)


async def _results(rows: list[SourceRow]) -> Build:
    outputs = await stored(documents.Output, (f"output_{hex}" for row in rows for hex in _listed(row)), "stepRef")
    steps = await stored(documents.Step, (output["stepRef"] for output in outputs.values()), "executionRef")
    executions = {id: steps[output["stepRef"]]["executionRef"] for id, output in outputs.items()}
    named = [id for row in rows if (id := row.reference("execution", "executionRef"))]
    fields = ("digitalTwinRef", "ownerRef", "public")
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
    row.note("It names no execution; taken as a result of that of its outputs.")
    return found.pop()


def _result(row: SourceRow, execution: dict[str, Any], outputs: dict[str, str]) -> documents.Result:
    listed = [f"output_{hex}" for hex in dict.fromkeys(_listed(row))]
    if missing := [id.partition("_")[2] for id in listed if id not in outputs]:
        row.note(f"Its output names outputs that are not here ({', '.join(missing)}); left out.")
    if row.reference("twin", "digitalTwinRef") not in (None, execution["digitalTwinRef"]):
        row.note("Its digitalTwinRef is not the twin of its execution; taken as a result of that one.")
    return documents.Result(
        id=row.id("result"),
        digital_twin_ref=execution["digitalTwinRef"],
        execution_ref=execution["_id"],
        owner_ref=execution["ownerRef"],
        public=execution["public"],
        title=row.named(f"result {row.hex}", "title"),
        description=row.text("description"),
        tags=tags(row),
        output_refs=[id for id in listed if id in outputs],
        **row.times(),
    )
