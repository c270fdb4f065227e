"""Executions to run, and workers who ask and report as clients do."""

from dataclasses import dataclass
from typing import Any

import documents
from documents.activities.activity import ActivityStatus
from resolvers.access.viewer import Role, Viewer
from tests.support import builders as new
from tests.support.asking import ADMIN, ask
from tests.support.builders import keep

ERRORS = """userErrors { __typename code message path ... on InvalidState { currentState allowedStates } }"""
ACTIVITY = """activity { __typename id status attempt worker leaseExpiresAt startedAt endedAt
  error { code message retryable } }"""


def a_worker(number: int = 1) -> Viewer:
    """A worker with credentials of its own."""
    return Viewer(Role.WORKER, token_id=f"token_{number:024x}")


WORKER = a_worker()


@dataclass
class Dag:
    """An execution that was kept, with its steps by key."""

    owner: documents.User
    execution: documents.Execution
    steps: dict[str, documents.Step]

    async def statuses(self) -> dict[str, str]:
        """The status of each step."""
        rows = documents.Step.get_pymongo_collection().find({"executionRef": self.execution.id}, sort=[("ordinal", 1)])
        return {row["key"]: row["status"] async for row in rows}

    async def stored_execution(self) -> dict[str, Any]:
        """The execution as it is stored now."""
        row: dict[str, Any] | None = await documents.Execution.get_pymongo_collection().find_one(
            {"_id": self.execution.id}
        )
        assert row is not None
        return row

    def key_of(self, id: str) -> str:
        """The key of the step with this id."""
        return next(key for key, step in self.steps.items() if step.id == id)


async def a_dag(**waits_for: str) -> Dag:
    """An execution of the steps that the names say, each of which waits for those that the letters of its value say."""
    dag = new_dag(**waits_for)
    twin = new.a_twin(dag.owner, id=dag.execution.digital_twin_ref)
    await keep(dag.owner, twin, dag.execution, *dag.steps.values())
    return dag


def new_dag(**waits_for: str) -> Dag:
    """The documents of a DAG for `a_dag` to insert, without the twin."""
    owner = new.a_user()
    execution = new.an_execution(new.a_twin(owner), status=ActivityStatus.READY)
    steps: dict[str, documents.Step] = {}
    for ordinal, (key, awaited) in enumerate(waits_for.items()):
        status = ActivityStatus.PENDING if awaited else ActivityStatus.READY
        ids = [steps[one].id for one in awaited]
        steps[key] = new.a_step(execution, key=key, ordinal=ordinal, status=status, depends_on=ids)
    return Dag(owner, execution, steps)


async def do(mutation: str, what: str, viewer: Viewer, **given: Any) -> Any:
    """The payload of a mutation, whatever it says."""
    name = f"{mutation[0].upper()}{mutation[1:]}Input!"
    query = f"mutation ($input: {name}) {{ payload: {mutation}(input: $input) {{ {what} {ERRORS} }} }}"
    return (await ask(query, viewer, input=given))["payload"]


async def claim(viewer: Viewer = WORKER, worker: str = "worker-1", **given: Any) -> Any:
    """The activity that was claimed, None when none waited."""
    payload = await do("claimActivity", ACTIVITY, viewer, worker=worker, **given)
    assert payload["userErrors"] == []
    return payload["activity"]


async def extend(id: str, viewer: Viewer = WORKER, worker: str = "worker-1", **given: Any) -> Any:
    """Extend a lease; returns the payload."""
    return await do("extendLease", ACTIVITY, viewer, id=id, worker=worker, **given)


async def complete(
    id: str,
    viewer: Viewer = WORKER,
    worker: str = "worker-1",
    attempt: int = 1,
    outcome: str = "SUCCEEDED",
    **given: Any,
) -> Any:
    """Complete an activity; returns the payload."""
    report = {"id": id, "worker": worker, "attempt": attempt, "outcome": outcome, **given}
    return await do("completeActivity", ACTIVITY, viewer, **report)


async def fail(id: str, *, retryable: bool = False, **given: Any) -> Any:
    """Report the failure of an activity; returns the payload."""
    error = {"code": "BROKEN", "message": "it broke", "retryable": retryable}
    return await complete(id, outcome="FAILED", error=error, **given)


async def append(id: str, *messages: str, first: int = 1, attempt: int = 1, viewer: Viewer = WORKER) -> Any:
    """Append log lines; returns the payload."""
    entries = [{"timestamp": "2024-01-01T00:00:00Z", "message": message} for message in messages]
    given = {"activityId": id, "attempt": attempt, "firstSequence": first, "entries": entries}
    return await do("appendLogs", "nextSequence", viewer, **given)


async def cancel(id: str, viewer: Viewer = ADMIN, **given: Any) -> Any:
    """Cancel an execution; returns the payload."""
    return await do("cancelExecution", "execution { id status startTimestamp endTimestamp }", viewer, id=id, **given)


def refusals(payload: Any) -> list[tuple[str, list[str]]]:
    """Code and path of each refusal."""
    return [(one["code"], one["path"]) for one in payload["userErrors"]]


def state_of(payload: Any) -> tuple[str, list[str]]:
    """The current state and the allowed states of the one InvalidState in a payload."""
    (error,) = payload["userErrors"]
    assert error["__typename"] == "InvalidState", error
    return error["currentState"], error["allowedStates"]
