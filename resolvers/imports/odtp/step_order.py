"""The steps of ODTP's executions in their order, and the status of each.

ODTP runs the steps of an execution's list one after another. It records no status, so that follows from the times and
the error flag.
"""

from typing import Any

from documents.activities.activity import ActivityStatus as Status
from resolvers.imports.odtp.bson_values import both_forms, hex_of
from resolvers.imports.odtp.collection_import import ImportRun
from resolvers.imports.odtp.source_row import SourceRow

StepsByExecution = dict[str, list[SourceRow]]
"""The steps of each execution in running order, by its hexadecimal id."""


async def steps_in_order(run: ImportRun, executions: list[SourceRow]) -> StepsByExecution:
    """The steps of the executions, without their logs.

    A step belongs to the execution that it names, else to the one that lists it. Steps that are in no list go last.
    """
    listed = {row.hex: _listed_steps(row) for row in executions if row.hex}
    by_hex = await _steps(run, list(listed), [hex for hexes in listed.values() for hex in hexes])
    owner = {hex: execution for execution, hexes in listed.items() for hex in hexes}
    owner |= {hex: execution for hex, step in by_hex.items() if (execution := hex_of(step.values.get("executionRef")))}
    ordered: StepsByExecution = {execution: [] for execution in listed}
    for hex, step in by_hex.items():
        if owner[hex] in ordered:
            ordered[owner[hex]].append(step)
    for execution, steps in ordered.items():
        positions = {hex: position for position, hex in enumerate(listed[execution])}
        steps.sort(key=lambda step: (positions.get(step.hex or "", len(positions)), step.hex))
    return ordered


def missing_steps(execution: SourceRow, steps: list[SourceRow]) -> list[str]:
    """The ids in an execution's list that are not steps of it."""
    own = {step.hex for step in steps}
    return [hex for hex in _listed_steps(execution) if hex not in own]


def _listed_steps(execution: SourceRow) -> list[str]:
    return list(dict.fromkeys(hex for reference in execution.items("steps") if (hex := hex_of(reference))))


async def _steps(run: ImportRun, executions: list[str], listed: list[str]) -> dict[str, SourceRow]:
    conditions = [{"_id": {"$in": both_forms(listed)}}, {"executionRef": {"$in": both_forms(executions)}}]
    by_hex: dict[str, SourceRow] = {}
    async for values in run.source["steps"].find({"$or": conditions}, {"logs": 0}, sort=[("_id", 1)]):
        row = SourceRow("steps", values)
        if row.hex:
            by_hex.setdefault(row.hex, row)
    return by_hex


def step_statuses(execution: dict[str, Any], steps: list[SourceRow]) -> list[Status]:
    """The status of each step of an execution.

    A step that was never started is PENDING, not READY: importing an execution does not start it. It is SKIPPED if the
    execution was run without it, and CANCELLED if a step before it has failed.
    """
    statuses: list[Status] = []
    for step in steps:
        status = _status(step)
        if status is Status.PENDING and Status.FAILED in statuses:
            status = Status.CANCELLED
        elif status is Status.PENDING and execution.get("start_timestamp") and step.values.get("run_step") is False:
            status = Status.SKIPPED
        statuses.append(status)
    return statuses


def _status(step: SourceRow) -> Status:
    if step.values.get("error") is True:
        return Status.FAILED
    if step.values.get("end_timestamp"):
        return Status.SUCCEEDED
    return Status.RUNNING if step.values.get("start_timestamp") else Status.PENDING


def execution_status(execution: dict[str, Any], steps: list[Status]) -> Status:
    """The status of an execution: it follows from its steps, or from its own times if it has none."""
    if not steps:
        ended, started = execution.get("end_timestamp"), execution.get("start_timestamp")
        return Status.SUCCEEDED if ended else Status.RUNNING if started else Status.PENDING
    if Status.FAILED in steps:
        return Status.FAILED
    if all(step in (Status.SUCCEEDED, Status.SKIPPED) for step in steps):
        return Status.SUCCEEDED
    return Status.PENDING if all(step is Status.PENDING for step in steps) else Status.RUNNING
