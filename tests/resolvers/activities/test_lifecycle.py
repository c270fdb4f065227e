"""Steps that end at the same moment: neither transaction sees the other, and still all that follows happens."""

import asyncio
from itertools import cycle
from types import SimpleNamespace
from typing import Any

import pytest

from documents.mongo.transaction import Session, in_transaction
from resolvers.activities import state_machine
from resolvers.activities.lifecycle import complete_activity
from tests.support.patience import within
from tests.support.runs import WORKER, Dag, a_dag, claim

pytestmark = pytest.mark.usefixtures("database")


async def end_at_once(dag: Dag, **outcomes: str) -> None:
    """Report these ends of steps in transactions, none of which is committed before each has done its work once."""
    tried = {key: asyncio.Event() for key in outcomes}

    async def end(key: str, outcome: str) -> None:
        async def work(session: Session) -> Any:
            given: dict[str, Any] = {"id": dag.steps[key].id, "worker": "worker-1", "attempt": 1, "outcome": outcome}
            try:
                return await complete_activity(session, WORKER, **given)
            finally:
                tried[key].set()
                await asyncio.gather(*(other.wait() for other in tried.values()))

        await in_transaction(work)

    async with asyncio.timeout(within()):
        await asyncio.gather(*(end(key, outcome) for key, outcome in outcomes.items()))


async def a_running_dag(**waits_for: str) -> Dag:
    """An execution whose steps that wait for nothing run."""
    dag = await a_dag(**waits_for)
    while await claim() is not None:
        pass
    return dag


@pytest.mark.parametrize("outcome", ["SUCCEEDED", "FAILED"])
async def test_parents_that_end_at_once_let_go_or_cancel_their_child(
    monkeypatch: pytest.MonkeyPatch, outcome: str
) -> None:
    dag = await a_running_dag(a="", b="", c="ab", d="c", w="", x="", y="", z="")
    # Each end is marked on another step, so that the two do not meet there by chance.
    marked = cycle({"_id": dag.steps[key].id} for key in "wxyz")
    monkeypatch.setattr(state_machine, "random", SimpleNamespace(choice=lambda _: next(marked)))

    await end_at_once(dag, a="SUCCEEDED", b=outcome)

    others = dict.fromkeys("wxyz", "RUNNING")
    children = {"c": "READY", "d": "PENDING"} if outcome == "SUCCEEDED" else dict.fromkeys("cd", "CANCELLED")
    assert await dag.statuses() == {"a": "SUCCEEDED", "b": outcome, **children, **others}


@pytest.mark.parametrize("outcome", ["SUCCEEDED", "FAILED"])
async def test_the_last_steps_that_end_at_once_end_their_execution(outcome: str) -> None:
    dag = await a_running_dag(a="", b="")

    await end_at_once(dag, a="SUCCEEDED", b=outcome)

    assert await dag.statuses() == {"a": "SUCCEEDED", "b": outcome}
    assert (await dag.stored_execution())["status"] == outcome
