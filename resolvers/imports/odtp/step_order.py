"""The steps of ODTP's executions in their order, and the status of each.

ODTP keeps the order in the execution's list of steps and runs them one after the other. It derives no status, so it is
read off the times and the error flag.
"""

from typing import Any

from documents.activities.activity import ActivityStatus as Status
from resolvers.imports.odtp.bson_values import both_forms, hex_of
from resolvers.imports.odtp.collection_import import Import
from resolvers.imports.odtp.source_row import SourceRow

Ordered = dict[str, list[SourceRow]]
"""The steps of each execution in running order, by its hexadecimal id."""


async def steps_in_order(at: Import, executions: list[SourceRow]) -> Ordered:
    """The steps of some executions, without their logs.

    A step belongs to the execution that it names, else to the one that lists it. Steps that no list contains come last.
    """
    listed = {row.hex: _listed(row) for row in executions if row.hex}
    found = await _steps(at, list(listed), [hex for hexes in listed.values() for hex in hexes])
    owner = {hex: execution for execution, hexes in listed.items() for hex in hexes}
    owner |= {hex: named for hex, step in found.items() if (named := hex_of(step.values.get("executionRef")))}
    ordered: Ordered = {execution: [] for execution in listed}
    for hex, step in found.items():
        if owner[hex] in ordered:
            ordered[owner[hex]].append(step)
    for execution, steps in ordered.items():
        places = {hex: place for place, hex in enumerate(listed[execution])}
        steps.sort(key=lambda step: (places.get(step.hex or "", len(places)), step.hex))
    return ordered


def missing_steps(execution: SourceRow, steps: list[SourceRow]) -> list[str]:
    """The ids in an execution's list that are not steps of it."""
    found = {step.hex for step in steps}
    return [hex for hex in _listed(execution) if hex not in found]


def _listed(execution: SourceRow) -> list[str]:
    return list(dict.fromkeys(hex for one in execution.items("steps") if (hex := hex_of(one))))


async def _steps(at: Import, executions: list[str], listed: list[str]) -> dict[str, SourceRow]:
    either = [{"_id": {"$in": both_forms(listed)}}, {"executionRef": {"$in": both_forms(executions)}}]
    found: dict[str, SourceRow] = {}
    async for values in at.source["steps"].find({"$or": either}, {"logs": 0}, sort=[("_id", 1)]):
        row = SourceRow("steps", values)
        if row.hex:
            found.setdefault(row.hex, row)
    return found


def statuses(execution: dict[str, Any], steps: list[SourceRow]) -> list[Status]:
    """The status of each step of an execution.

    A step that was never started is PENDING, not READY: importing an execution does not start it. It is SKIPPED when
    the execution was run without it, and CANCELLED once a step before it has failed.
    """
    found: list[Status] = []
    for step in steps:
        status = _status(step)
        if status is Status.PENDING and Status.FAILED in found:
            status = Status.CANCELLED
        elif status is Status.PENDING and execution.get("start_timestamp") and step.values.get("run_step") is False:
            status = Status.SKIPPED
        found.append(status)
    return found


def _status(step: SourceRow) -> Status:
    if step.values.get("error") is True:
        return Status.FAILED
    if step.values.get("end_timestamp"):
        return Status.SUCCEEDED
    return Status.RUNNING if step.values.get("start_timestamp") else Status.PENDING


def overall(execution: dict[str, Any], steps: list[Status]) -> Status:
    """The status of an execution, which follows from its steps, and without any from its own times."""
    if not steps:
        ended, started = execution.get("end_timestamp"), execution.get("start_timestamp")
        return Status.SUCCEEDED if ended else Status.RUNNING if started else Status.PENDING
    if Status.FAILED in steps:
        return Status.FAILED
    if all(step in (Status.SUCCEEDED, Status.SKIPPED) for step in steps):
        return Status.SUCCEEDED
    return Status.PENDING if all(step is Status.PENDING for step in steps) else Status.RUNNING
