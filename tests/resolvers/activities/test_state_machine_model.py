"""Claims, expired leases, late reports, hand-backs, cancels and re-runs in any order, against a model of the table.

RUNS says how many runs are tried, 60 unless told otherwise.
"""

import asyncio
import os
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import documents
from documents.activities.activity import ActivityStatus
from documents.base import now
from documents.mongo.database import Database
from documents.mongo.transaction import in_transaction
from resolvers.activities.active_workers import active_workers
from resolvers.activities.claim import claim_activity
from resolvers.activities.lease import extend_lease, requeue_expired
from resolvers.activities.lifecycle import complete_activity, release_activity
from resolvers.activities.log_entry import LogLine, append_logs
from resolvers.reads.rows import collection_of
from resolvers.twins.cancel_execution import cancel_execution
from resolvers.twins.rerun import RerunStrategy, rerun_execution
from resolvers.user_errors import InvalidState, NotFound, Refusals
from resolvers.writes.transaction import run_in_transaction
from tests.support.asking import ADMIN
from tests.support.builders import a_twin, everything_kept, keep
from tests.support.clock import Clock
from tests.support.patience import within
from tests.support.runs import Dag, a_worker, new_dag

RUNS = int(os.environ.get("RUNS", "60"))
LEASE = 60
OPEN = ("PENDING", "READY", "RUNNING")
WORKERS = st.integers(0, 2)
STEPS = st.integers(0, 4)
OUTCOMES = st.sampled_from(["SUCCEEDED", "FAILED", "RETRYABLE"])
REASONS = st.sampled_from([None, "the disk is full"])
READERS = ("runners", "borrowers")
BEHIND = st.sampled_from([0, 0, 0, 1])
"""The number of attempts by which a report is behind."""

ACTIONS = st.one_of(
    st.tuples(st.just("claim"), WORKERS),
    st.tuples(st.just("claim"), WORKERS),
    st.tuples(st.just("claim_all")),
    st.tuples(st.just("wait"), st.sampled_from([20, 40, 60])),
    st.tuples(st.just("sweep")),
    st.tuples(st.just("extend"), WORKERS, STEPS),
    st.tuples(st.just("complete"), WORKERS, STEPS, BEHIND, OUTCOMES),
    st.tuples(st.just("complete_held"), STEPS, OUTCOMES),
    st.tuples(st.just("complete_held"), STEPS, OUTCOMES),
    st.tuples(st.just("complete_all"), st.lists(OUTCOMES, min_size=5, max_size=5)),
    st.tuples(st.just("append"), WORKERS, STEPS, BEHIND, st.integers(1, 3)),
    st.tuples(st.just("hand_back"), WORKERS, STEPS, BEHIND, REASONS),
    st.tuples(st.just("hand_back_held"), STEPS, REASONS),
    st.tuples(st.just("cancel")),
    st.tuples(st.just("rerun"), st.sampled_from(["ALL_STEPS", "FROM_FAILURE"])),
)
SHAPES = st.lists(st.sets(st.integers(0, 3)), min_size=1, max_size=5).map(
    lambda wanted: [sorted(one for one in awaited if one < place) for place, awaited in enumerate(wanted)]
)


@dataclass
class ModelStep:
    """A step's state according to the table."""

    awaits: list[int]
    status: str
    attempt: int = 0
    handed_back: int = 0
    available_at: int | None = None
    failed: dict[int, int] = field(default_factory=dict)
    """The time from which each worker with a retryable failure may claim the step again."""
    reasons: dict[int, int] = field(default_factory=dict)
    """The number of times that each worker has handed the step back with a reason."""
    kept: dict[int, int] = field(default_factory=dict)
    """Until when it is kept from a worker."""
    worker: int | None = None
    until: int = 0
    lines: dict[int, str] = field(default_factory=dict)
    base: int = 0
    reused: bool = False

    @property
    def tries(self) -> int:
        return self.attempt - self.handed_back


class Model:
    """An execution by the table alone."""

    def __init__(self, shape: list[list[int]]) -> None:
        self.time = 0
        self.steps = [ModelStep(awaits, "PENDING" if awaits else "READY") for awaits in shape]
        self.began = False
        self.heard: dict[int, int] = {}

    @property
    def status(self) -> str:
        found = {step.status for step in self.steps}
        if found.intersection(OPEN):
            return "RUNNING" if self.began else "READY"
        return next((one for one in ("FAILED", "CANCELLED") if one in found), "SUCCEEDED")

    def has_expired(self, step: ModelStep) -> bool:
        return step.status == "RUNNING" and step.until <= self.time

    def holds(self, worker: int, step: ModelStep, attempt: int) -> bool:
        running = step.status == "RUNNING" and not self.has_expired(step)
        return running and step.worker == worker and step.attempt == attempt

    def give_up(self) -> None:
        for step in self.steps:
            if self.has_expired(step) and step.tries == 3:
                self.end(step, "FAILED")

    def sweep(self) -> None:
        self.give_up()
        for step in self.steps:
            if self.has_expired(step):
                step.status, step.available_at = "READY", self.available_from(step)

    def available_from(self, step: ModelStep) -> int | None:
        if step.status == "READY":
            return step.available_at
        return None if step.tries < 2 else step.until + 60

    def may_claim(self, worker: int, step: ModelStep) -> bool:
        if step.status != "READY" and not self.has_expired(step):
            return False
        if (self.available_from(step) or 0) > self.time or step.kept.get(worker, 0) > self.time:
            return False
        others = any(until > self.time and other not in step.failed for other, until in self.heard.items())
        return not (worker in step.failed and step.tries == 2 and others)

    def hear(self, worker: int, seconds: int = 30) -> None:
        self.heard[worker] = max(self.heard.get(worker, 0), self.time + seconds)

    def claim(self, worker: int) -> int | None:
        self.hear(worker)
        self.give_up()
        for place, step in enumerate(self.steps):
            if self.may_claim(worker, step):
                self.begin(worker, step)
                return place
        return None

    def begin(self, worker: int, step: ModelStep) -> None:
        self.hear(worker, LEASE)
        step.status, step.worker, step.until, step.available_at = "RUNNING", worker, self.time + LEASE, None
        step.attempt += 1
        step.base = max(step.lines, default=0)
        self.began = True

    def complete(self, step: ModelStep, outcome: str) -> None:
        if outcome == "RETRYABLE" and step.tries < 3 and step.worker is not None:
            step.status, step.available_at = "READY", self.time + (10, 60)[step.tries - 1]
            step.failed[step.worker] = step.kept[step.worker] = step.available_at
        else:
            self.end(step, "SUCCEEDED" if outcome == "SUCCEEDED" else "FAILED")

    def hand_back(self, step: ModelStep, reason: str | None) -> None:
        step.status, step.handed_back = "READY", step.handed_back + 1
        if reason is not None and step.worker is not None:
            times = step.reasons[step.worker] = step.reasons.get(step.worker, 0) + 1
            step.available_at = self.time + min(600, 2 ** len(step.reasons))
            step.kept[step.worker] = self.time + min(600, 2**times)
            end = max(step.lines, default=0)
            step.lines[end + 1] = f"Attempt {step.attempt}: its worker w{step.worker} handed it back: {reason}"

    def end(self, step: ModelStep, status: str) -> None:
        step.status, step.available_at = status, None
        changed = True
        while changed:
            changed = False
            for one in self.steps:
                awaited = {self.steps[place].status for place in one.awaits}
                if one.status == "PENDING" and awaited == {"SUCCEEDED"}:
                    one.status, changed = "READY", True
                elif one.status == "PENDING" and awaited & {"FAILED", "CANCELLED"}:
                    one.status, changed = "CANCELLED", True

    def cancel(self) -> None:
        for step in self.steps:
            if step.status in OPEN:
                step.status, step.available_at = "CANCELLED", None

    def rerun(self, strategy: str) -> "Model":
        """The initial state of a re-run, in which no reused step depends on one that is run again."""
        again = Model([step.awaits for step in self.steps])
        again.time, again.heard = self.time, self.heard
        if strategy == "FROM_FAILURE":
            for step, earlier in zip(again.steps, self.steps, strict=True):
                step.reused = earlier.status == "SUCCEEDED"
                step.status = "SUCCEEDED" if step.reused else "PENDING"
            for step in again.steps:
                if step.status == "PENDING" and all(again.steps[one].status == "SUCCEEDED" for one in step.awaits):
                    step.status = "READY"
        return again


class Run:
    """Applies each operation to the model and to the database, and compares them."""

    def __init__(self, shape: list[list[int]], clock: Clock) -> None:
        self.model = Model(shape)
        self.dag: Dag = new_dag(**{f"s{place}": "" for place in range(len(shape))})
        self.steps = list(self.dag.steps.values())
        for step, awaits in zip(self.steps, shape, strict=True):
            step.depends_on = [self.steps[place].id for place in awaits]
            step.status = ActivityStatus("PENDING" if awaits else "READY")
        self.clock = clock
        self.ended: list[tuple[str, list[dict[str, Any]]]] = []
        """The executions that were run again, with their steps."""

    async def act(self, name: str, *arguments: Any) -> None:
        await getattr(self, name)(*arguments)

    async def claim(self, worker: int) -> None:
        claimed = await self._claimed(worker)
        expected = self.model.claim(worker)
        assert claimed == (None if expected is None else self.steps[expected].id)

    async def claim_all(self) -> None:
        """Six at once, more than there are steps: nothing is left that one of those who got nothing might have."""
        workers = (0, 1, 2, 0, 1, 2)
        claimed = await asyncio.gather(*(self._claimed(worker) for worker in workers))
        model, got = self.model, {id: worker for worker, id in zip(workers, claimed, strict=True) if id}
        assert len(got) == sum(id is not None for id in claimed)
        for worker in workers:
            model.hear(worker)
        model.give_up()
        for step, kept in zip(model.steps, self.steps, strict=True):
            if kept.id in got:
                assert model.may_claim(got[kept.id], step)
                model.begin(got[kept.id], step)
        idle = {worker for worker, id in zip(workers, claimed, strict=True) if id is None}
        assert not any(model.may_claim(worker, step) for worker in idle for step in model.steps)

    async def _claimed(self, worker: int) -> str | None:
        found = await claim_activity(a_worker(worker), worker=f"w{worker}", lease_seconds=LEASE)
        return found["activity"] and str(found["activity"]["_id"])

    async def wait(self, seconds: int) -> None:
        self.clock.forward(seconds)
        self.model.time += seconds

    async def sweep(self) -> None:
        await requeue_expired()
        self.model.sweep()

    async def extend(self, worker: int, place: int) -> None:
        step = self.model.steps[place % len(self.steps)]
        holds = self.model.holds(worker, step, step.attempt)
        id = self.steps[place % len(self.steps)].id
        report: dict[str, Any] = {"id": id, "worker": f"w{worker}", "attempt": step.attempt, "lease_seconds": LEASE}
        await _as(holds, extend_lease(a_worker(worker), **report))
        if holds:
            self.model.hear(worker, LEASE)
            step.until = self.model.time + LEASE

    async def complete_held(self, place: int, outcome: str) -> None:
        worker = self.model.steps[place % len(self.steps)].worker
        await self.complete(0 if worker is None else worker, place, 0, outcome)

    async def complete(self, worker: int, place: int, behind: int, outcome: str) -> None:
        step = self.model.steps[place % len(self.steps)]
        attempt = step.attempt - behind
        holds = self.model.holds(worker, step, attempt)
        if await self._complete(worker, place, attempt, outcome, holds=holds) and holds:
            self.model.complete(step, outcome)

    async def complete_all(self, outcomes: list[str]) -> None:
        """All that is held, at once: as one after the other."""
        held = [
            (place, step)
            for place, step in enumerate(self.model.steps)
            if step.worker is not None and self.model.holds(step.worker, step, step.attempt)
        ]
        await asyncio.gather(
            *(self._complete(step.worker, place, step.attempt, outcomes[place], holds=True) for place, step in held)
        )
        for place, step in held:
            self.model.complete(step, outcomes[place])

    async def _complete(self, worker: int | None, place: int, attempt: int, outcome: str, *, holds: bool) -> bool:
        """Whether it was taken: what was said before may be said again, and changes nothing."""
        failed = outcome != "SUCCEEDED"
        error = {"code": "BROKEN", "message": "", "retryable": outcome == "RETRYABLE"} if failed else None
        report: dict[str, Any] = {
            "id": self.steps[place % len(self.steps)].id,
            "worker": f"w{worker}",
            "attempt": attempt,
            "outcome": "FAILED" if failed else "SUCCEEDED",
            "error": error,
        }
        try:
            await in_transaction(lambda session: complete_activity(session, a_worker(worker or 0), **report))
        except (InvalidState, NotFound):
            assert not holds
            return False
        return True

    async def append(self, worker: int, place: int, behind: int, count: int) -> None:
        step = self.model.steps[place % len(self.steps)]
        attempt = step.attempt - behind
        first = len([one for one in step.lines if one > step.base]) + 1
        entries = [LogLine(timestamp=now(), level="INFO", message=f"{attempt}-{first + n}") for n in range(count)]
        given: dict[str, Any] = {
            "activity_id": self.steps[place % len(self.steps)].id, "attempt": attempt, "first_sequence": first,
        }  # fmt: skip
        holds = self.model.holds(worker, step, attempt)
        viewer = a_worker(worker)
        await _as(holds, in_transaction(lambda session: append_logs(session, viewer, entries=entries, **given)))
        if holds:
            step.lines |= {step.base + first + n: entry["message"] for n, entry in enumerate(entries)}

    async def cancel(self) -> None:
        open_ = self.model.status in OPEN
        id = self.dag.execution.id
        await _as(open_, in_transaction(lambda session: cancel_execution(session, ADMIN, id=id)))
        self.model.cancel()

    async def hand_back_held(self, place: int, reason: str | None) -> None:
        worker = self.model.steps[place % len(self.steps)].worker
        await self.hand_back(0 if worker is None else worker, place, 0, reason)

    async def hand_back(self, worker: int, place: int, behind: int, reason: str | None) -> None:
        step = self.model.steps[place % len(self.steps)]
        report: dict[str, Any] = {
            "id": self.steps[place % len(self.steps)].id,
            "worker": f"w{worker}",
            "attempt": step.attempt - behind,
            "reason": reason,
        }
        holds = self.model.holds(worker, step, step.attempt - behind)
        viewer = a_worker(worker)
        try:
            await in_transaction(lambda session: release_activity(session, viewer, **report))
        except (InvalidState, NotFound):
            assert not holds
        else:
            # Releasing an activity a second time changes nothing.
            if holds:
                self.model.hand_back(step, reason)

    async def rerun(self, strategy: str) -> None:
        """Another execution in the place of one that has ended, which stays as it is."""
        model, id = self.model, self.dag.execution.id
        if strategy == "FROM_FAILURE" and model.status not in ("FAILED", "CANCELLED"):
            kept = await everything_kept()
            with pytest.raises(Refusals, match="needs a FAILED or CANCELLED one"):
                await run_in_transaction(
                    lambda session: rerun_execution(session, ADMIN, execution_id=id, strategy=RerunStrategy(strategy))
                )
            assert await everything_kept() == kept
            return
        if model.status in OPEN:
            # It may be run again as well, but then there were two to follow.
            return
        before = await self._kept()
        made = await run_in_transaction(
            lambda session: rerun_execution(session, ADMIN, execution_id=id, strategy=RerunStrategy(strategy))
        )
        assert await self._kept() == before
        self.ended.append((self.dag.execution.id, before))
        self.dag.execution = documents.Execution.model_validate(made["execution"])
        rows = collection_of(documents.Step).find({"executionRef": self.dag.execution.id}, sort=[("ordinal", 1)])
        self.steps = [documents.Step.model_validate(row) async for row in rows]
        self.model = model.rerun(strategy)

    async def _kept(self, execution: str | None = None) -> list[dict[str, Any]]:
        """The steps of an execution as they are kept, but for who may read them."""
        match = {"executionRef": execution or self.dag.execution.id}
        rows = await collection_of(documents.Step).find(match, sort=[("ordinal", 1)]).to_list()
        return [{name: value for name, value in row.items() if name not in READERS} for row in rows]

    async def check(self) -> None:
        """The database stands where the model does, and nothing is half done."""
        model = self.model
        for id, before in self.ended:
            assert await self._kept(id) == before
        match = {"executionRef": self.dag.execution.id}
        rows = await collection_of(documents.Step).find(match, sort=[("ordinal", 1)]).to_list()
        assert [(row["status"], row["attempt"]) for row in rows] == [(one.status, one.attempt) for one in model.steps]
        execution = await self.dag.stored_execution()
        assert execution["status"] == model.status
        assert (execution["start_timestamp"] is not None) == model.began
        ended = model.status not in OPEN
        assert (execution["end_timestamp"] is not None) == ended
        if ended:
            assert execution["runners"] == []
            assert [row["runners"] for row in rows] == [[] for _ in rows]
        for row, step in zip(rows, model.steps, strict=True):
            assert (row["leaseExpiresAt"] is not None) == (step.status == "RUNNING")
            assert (row["availableAt"] is not None) == (step.available_at is not None)
            assert (row["reusedFrom"] is not None) == step.reused
            # A reused step did not run, so it has no times of its own.
            assert (row["end_timestamp"] is not None) == (step.status not in OPEN and not step.reused)
            assert row["worker"] == (None if step.worker is None else f"w{step.worker}")
            found = collection_of(documents.LogEntry).find({"activityRef": row["_id"]}, sort=[("sequence", 1)])
            assert {line["sequence"]: line["logstring"] async for line in found} == step.lines


async def _as(taken: bool, report: Awaitable[Any]) -> None:
    """A report that is taken or, when it is refused, changes nothing."""
    before = None if taken else await everything_kept()
    try:
        await report
    except (InvalidState, NotFound):
        assert not taken
        assert await everything_kept() == before
    else:
        assert taken


@pytest.mark.timeout(within(600 + RUNS))
@given(shape=SHAPES, actions=st.lists(ACTIONS, min_size=5, max_size=30))
@settings(
    max_examples=RUNS,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
async def test_whatever_happens_in_whatever_order_steps_stand_where_the_table_leads(
    database: Database, clock: Clock, shape: list[list[int]], actions: list[tuple[Any, ...]]
) -> None:
    for document in (documents.Step, documents.Execution, documents.LogEntry, documents.DigitalTwin, documents.User):
        await collection_of(document).delete_many({})
    active_workers.forget()
    run = Run(shape, clock)
    twin = a_twin(run.dag.owner, id=run.dag.execution.digital_twin_ref)
    await keep(run.dag.owner, twin, run.dag.execution, *run.steps)

    for action in actions:
        await run.act(*action)
        await run.check()
