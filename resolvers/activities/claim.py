"""Claims: each waiting activity is leased to one worker, the oldest first, however many workers ask at once.

The update that leases an activity also freezes what it uses: the outputs that a step may take from the steps it waits
for, and the files that made a transform due.

A claim leases an activity by a conditional update, and tries another when a concurrent claim was faster. An execution
is updated when it begins, and when a new viewer runs it, not by each claim.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import NamedTuple

from pymongo.errors import DuplicateKeyError

import documents
from documents.activities.activity import OPEN, ActivityStatus
from documents.base import kind_of, now
from documents.mongo.transaction import Session, in_transaction
from documents.provenance.frozen_inputs import frozen_inputs
from resolvers.access.roles import require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.activities.active_workers import ACTIVE_AFTER_CLAIM, Holder, active_workers
from resolvers.activities.claim_queue import Choice, candidates
from resolvers.activities.lease import check_lease_seconds, note_lease, take_over
from resolvers.activities.report_access import MAX_EARLIER_WORKERS, check_worker_name
from resolvers.activities.reuse_access import grant_reuse_access
from resolvers.activities.state_machine import Transition, apply_transition
from resolvers.concurrency.keyed_lock import keyed_lock
from resolvers.file_events.changed_files import changed_files
from resolvers.file_events.file_event import clear_pending_files
from resolvers.provenance.external_data.external_state import PUBLIC, upsert_external_data
from resolvers.reads.relations import Document
from resolvers.reads.rows import Row, collection_of
from resolvers.user_errors import Forbidden
from resolvers.writes.idempotency import KeyedCall, NothingWritten, StoreOutcome
from resolvers.writes.transaction import Outcome, RetryTransaction

CLAIMABLE: dict[str, Document] = {"STEP": documents.Step, "TRANSFORM": documents.Transform}


class ClaimRequest(NamedTuple):
    """A worker's request for an activity, and the keyed call that stores its outcome."""

    worker: str
    viewer: Viewer
    duration: timedelta
    store: StoreOutcome | None = None

    @property
    def holder(self) -> Holder:
        """The worker that asks."""
        return Holder(self.viewer.key, self.worker)


async def claim_activity(
    viewer: Viewer, call: KeyedCall | None = None, *, worker: str, lease_seconds: int, kinds: list[str] | None = None
) -> Outcome:
    """Lease the oldest available activity to the worker and return it; None, and when to ask again, when there is none.

    An empty answer does not use up the idempotency key.
    """
    require_role(viewer, Role.WORKER, allow_bound=True)
    name, duration = check_worker_name(worker, "worker"), check_lease_seconds(lease_seconds, "leaseSeconds")
    request = ClaimRequest(name, viewer, duration)
    claimable = _claimable(viewer, kinds)
    if viewer.bound_to is None:
        active_workers.note(request.holder, {document.kind for document in claimable}, now() + ACTIVE_AFTER_CLAIM)
    if call is None:
        return await _claim_next(claimable, request)
    # Calls with the same key are serialised: the activity that the first is about to take is not offered to the second,
    # which would answer that nothing waits.
    async with (
        keyed_lock("claim", call.reservation.id),
        candidates(claimable, request.holder, viewer.bound_to) as choice,
    ):
        # Idle workers ask all the time, which must not cause writes.
        if not choice.rows and not await call.is_known():
            return _empty_outcome(choice)
        return await call.run(
            lambda store: _claim_next_or_nothing_written(claimable, request._replace(store=store), choice)
        )


def _claimable(viewer: Viewer, kinds: list[str] | None) -> tuple[Document, ...]:
    """The documents of these kinds that the viewer may claim. Raises Forbidden where its token is bound and there are
    none."""
    claimable = tuple(document for kind, document in CLAIMABLE.items() if kinds is None or kind in kinds)
    if viewer.bound_to is None:
        return claimable
    if documents.Transform not in claimable:
        raise Forbidden(f"This token is bound to {viewer.bound_to}, so it claims transforms alone.", "kinds")
    return (documents.Transform,)


async def _claim_next_or_nothing_written(kinds: tuple[Document, ...], request: ClaimRequest, choice: Choice) -> Outcome:
    """Claim from the activities looked up already, or from others that wait. Raises NothingWritten if there is none."""
    claimed = await _claim_first_free(choice, request)
    outcome = {"activity": claimed} if claimed else await _claim_next(kinds, request)
    if outcome["activity"] is None:
        raise NothingWritten(outcome)
    return outcome


async def _claim_next(kinds: tuple[Document, ...], request: ClaimRequest) -> Outcome:
    while True:
        async with candidates(kinds, request.holder, request.viewer.bound_to) as choice:
            if claimed := await _claim_first_free(choice, request):
                return {"activity": claimed}
            if not choice.rows:
                return _empty_outcome(choice)


async def _claim_first_free(choice: Choice, request: ClaimRequest) -> Row | None:
    """Claim the first activity of a choice that no concurrent claim took first."""
    for row in choice.rows:
        if claimed := await _claim(row, request):
            note_lease(claimed, request.duration)
            return claimed
    return None


def _empty_outcome(choice: Choice) -> Outcome:
    return {"activity": None, "next_available_at": choice.next_at}


async def _claim(row: Row, request: ClaimRequest) -> Row | None:
    """Claim the activity; None when another worker was faster."""
    if kind_of(row["_id"]) == documents.Transform.kind:
        try:
            return await _claim_transform(row, request)
        except (DuplicateKeyError, RetryTransaction):
            # Another transform of the resource has begun, or another claim has stored a file that both use.
            return None
    row = row | {"frozen": await _frozen_inputs(row)}
    if _is_runner(row["execution"], request.viewer):
        return await _lease_alone(documents.Step, row, request)
    async with keyed_lock("join", row["executionRef"]):
        execution = await collection_of(documents.Execution).find_one({"_id": row["executionRef"]})
        if _is_runner(execution, request.viewer):
            return await _lease_alone(documents.Step, row, request)
        return await _lease_and_join(row, execution, request)


async def _frozen_inputs(row: Row) -> Row:
    """The fields that freeze what a step uses: none for a step that waits for nothing, for which nobody is asked.

    They are read before the step is leased, because they cannot change any more.
    """
    return await frozen_inputs(collection_of(documents.Step), row["_id"]) if row.get("dependsOn") else {}


async def _claim_transform(row: Row, request: ClaimRequest) -> Row | None:
    """Claim the transform, which uses the files that made it due; one that waited takes the pending files."""

    async def work(session: Session) -> Row | None:
        files = await changed_files(row["_id"], session)
        claimed = await _lease(documents.Transform, row | {"frozen": files.frozen}, request, session)
        if claimed is not None:
            await upsert_external_data(files.states, PUBLIC, session)
            if row["status"] != ActivityStatus.RUNNING:
                await clear_pending_files(claimed["resourceRef"], session)
        return claimed

    return await _run_in_transaction(work, request)


async def _run_in_transaction(work: Callable[[Session], Awaitable[Row | None]], request: ClaimRequest) -> Row | None:
    """Run `work` and, where the call has a key, store its outcome in the same transaction."""

    async def work_and_store(session: Session) -> Row | None:
        claimed = await work(session)
        if claimed is not None and request.store is not None:
            await request.store({"activity": claimed}, session)
        return claimed

    return await in_transaction(work_and_store)


async def _lease_alone(kind: Document, row: Row, request: ClaimRequest) -> Row | None:
    """Lease the activity by one write, in a transaction only where its outcome is to be stored."""
    if request.store is None:
        return await _lease(kind, row, request)
    return await _run_in_transaction(partial(_lease, kind, row, request), request)


def _is_runner(execution: Row | None, viewer: Viewer) -> bool:
    """Whether the viewer runs this execution already, so that only the step has to change.

    This holds until the step is claimed: an execution does not end while a step of it waits.
    """
    if execution is None or execution["status"] != ActivityStatus.RUNNING:
        return False
    return viewer.key in execution.get("runners", [])


async def _lease(kind: Document, row: Row, request: ClaimRequest, session: Session | None = None) -> Row | None:
    at, key, claimants = now(), request.viewer.key, row.get("claimants", [])
    # The log position is part of the condition, since the new attempt's lines are numbered after it.
    match = {"_id": row["_id"], "attempt": row["attempt"], "log_end": row.get("log_end")}
    earlier = list(dict.fromkeys([*row.get("earlier_workers", []), *([row["worker"]] if row.get("worker") else [])]))
    changes = {
        "worker": request.worker,
        "earlier_workers": earlier[-MAX_EARLIER_WORKERS:],
        "claimed_by": key,
        "claimants": list(dict.fromkeys([*claimants, key])),
        "claimed_again": key in claimants,
        "leaseExpiresAt": at + request.duration,
        "log_base": row.get("log_end") or 0,
        **row.get("frozen", {}),
    }
    if row["status"] == ActivityStatus.RUNNING:
        return await take_over(kind, match, changes, at, session)
    return await apply_transition(kind, Transition.CLAIM, match, changes, at, session)


async def _lease_and_join(row: Row, execution: Row | None, request: ClaimRequest) -> Row | None:
    """Lease the step together with its execution, which the viewer runs from now on."""
    id, key = row["executionRef"], request.viewer.key
    if execution and execution["status"] == ActivityStatus.RUNNING:
        # Other workers write to unended steps, so one transaction over all steps would seldom succeed. Unended steps
        # therefore get the runner beforehand, one by one, and ended steps in the transaction.
        unended = {"executionRef": id, "status": {"$in": list(OPEN)}, "runners": {"$ne": key}}
        await collection_of(documents.Step).update_many(unended, {"$addToSet": {"runners": key}})

    async def work(session: Session) -> Row | None:
        claimed = await _lease(documents.Step, row, request, session)
        if claimed is not None:
            await _join_execution(claimed, key, session)
        return claimed

    return await _run_in_transaction(work, request)


async def _join_execution(claimed: Row, key: str, session: Session) -> None:
    """Let a runner read the step's execution while it runs; the execution begins now at the latest."""
    execution_id, at = claimed["executionRef"], claimed["start_timestamp"]
    runs = {"$eq": ["$status", ActivityStatus.RUNNING.value]}
    changes = {
        "status": ActivityStatus.RUNNING.value,
        "start_timestamp": {"$ifNull": ["$start_timestamp", at]},
        "updated_at": {"$cond": [runs, "$updated_at", at]},
        "revision": {"$cond": [runs, "$revision", {"$add": ["$revision", 1]}]},
        "runners": {"$setUnion": [{"$ifNull": ["$runners", []]}, [{"$literal": key}]]},
    }
    await collection_of(documents.Execution).update_one({"_id": execution_id}, [{"$set": changes}], session=session)
    await grant_reuse_access(execution_id, claimed["ownerRef"], key, session)
    steps = collection_of(documents.Step)
    is_no_runner, add_runner = {"runners": {"$ne": key}}, {"$addToSet": {"runners": key}}
    await steps.update_many({"executionRef": execution_id} | is_no_runner, add_runner, session=session)
    # A step that has just begun for the first time has no outputs yet, and it is mostly the only one that has begun.
    other_steps = {"_id": {"$ne": claimed["_id"]}} if claimed["attempt"] == 1 else {}
    has_begun = {"$or": [{"attempt": {"$gt": 0}}, {"status": {"$nin": list(OPEN)}}]}
    match = {"executionRef": execution_id} | other_steps | has_begun
    ids = [step["_id"] async for step in steps.find(match, {"_id": 1}, session=session)]
    if ids:
        outputs = collection_of(documents.Output)
        await outputs.update_many({"stepRef": {"$in": ids}} | is_no_runner, add_runner, session=session)
