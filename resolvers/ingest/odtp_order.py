"""The steps of ODTP's executions in their order, and where each stands.

ODTP keeps the order in the execution's list of steps and runs them one after the other. It derives no status, so it
is read off the times and the error flag.
"""

from typing import Any

from documents.activity import ActivityStatus as Status
from resolvers.ingest.odtp_rows import SourceRow
from resolvers.ingest.odtp_stage import Import
from resolvers.ingest.odtp_values import both_forms, hex_of

Ordered = dict[str, list[SourceRow]]
"""By the hexadecimal id of an execution, its steps as they run."""


async def steps_in_order(at: Import, executions: list[SourceRow]) -> Ordered:
    """The steps of some executions, without their logs.

    A step belongs to the execution that it names, else to the one that lists it. Those that no list has come last.
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
    """The ids in an execution's list that are no steps of it."""
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
    """Where each step of an execution stands.

    What was never started waits, and is not ready: importing an execution does not set it going. It is skipped when
    the execution was run without it, and cancelled once a step before it has failed.
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
    """Where an execution stands, which follows from its steps, and without any from its own times."""
    if not steps:
        ended, started = execution.get("end_timestamp"), execution.get("start_timestamp")
        return Status.SUCCEEDED if ended else Status.RUNNING if started else Status.PENDING
    if Status.FAILED in steps:
        return Status.FAILED
    if all(step in (Status.SUCCEEDED, Status.SKIPPED) for step in steps):
        return Status.SUCCEEDED
    return Status.PENDING if all(step is Status.PENDING for step in steps) else Status.RUNNING
