"""Retries: when an unfinished activity may be claimed again, and by which workers.

A wait holds for all workers, so that a temporary cause has time to pass. A worker that handed an activity back waits
longer each time, and the last attempt is not given to a worker that failed before while there is another.
"""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

from documents.base import kind_of
from resolvers.activities.active_workers import Holder, active_workers
from resolvers.activities.state_machine import MOST_ATTEMPTS, tries
from resolvers.filters import Filter
from resolvers.reads.rows import Row

RETRY_WAITS = (timedelta(seconds=10), timedelta(seconds=60))
"""Waits after the first and the second retryable failure. Of lapsed leases only the second has a wait."""
FIRST_HAND_BACK_WAIT = timedelta(seconds=2)
"""Wait after a hand-back with a reason: doubled for all by each further worker, and for a worker by each of its own."""
MAX_HAND_BACK_WAIT = timedelta(minutes=10)
LAST_ATTEMPT_KEPT = timedelta(hours=1)
"""How long the last attempt is kept from workers that failed before, while other workers are active."""
MAX_LEAVERS = 20
"""Workers remembered on one activity."""


def after_failure(row: Row, at: datetime) -> Row:
    """The changes to an activity whose attempt failed, and which has another."""
    until = at + RETRY_WAITS[min(tries(row), len(RETRY_WAITS)) - 1]
    leaver = _leaver(row)
    leaver |= {"failures": leaver["failures"] + 1, "until": until}
    return {"availableAt": until, "left_by": _with(row, leaver)}


def after_hand_back(row: Row, at: datetime) -> Row:
    """The changes to an activity that its worker handed back with a reason."""
    leaver = _leaver(row)
    leaver |= {"hand_backs": leaver["hand_backs"] + 1}
    leaver |= {"until": at + _hand_back_wait(leaver["hand_backs"])}
    left_by = _with(row, leaver)
    workers = sum(one["hand_backs"] > 0 for one in left_by)
    return {"availableAt": at + _hand_back_wait(workers), "left_by": left_by}


def available_from(row: Row) -> datetime | None:
    """The time from which any worker may claim an activity; None when it may be claimed now."""
    if row.get("availableAt") is not None:
        return _utc(row["availableAt"])
    lease = row.get("leaseExpiresAt")
    return None if lease is None or tries(row) < 2 else _utc(lease) + RETRY_WAITS[-1]


def kept_from(row: Row, holder: Holder, at: datetime) -> datetime | None:
    """The time until which an available activity is kept from this worker; None when the worker may have it."""
    leaver = next((one for one in row.get("left_by") or [] if _holder(one) == holder), None)
    if leaver is None:
        return None
    if _utc(leaver["until"]) > at:
        return _utc(leaver["until"])
    return _until_others_had_the_last(row, at) if leaver["failures"] else None


def not_kept_from_all(holders: Collection[Holder], at: datetime) -> Filter:
    """A filter for activities that at least one of these workers has not left recently."""
    if not 0 < len(holders) <= MAX_LEAVERS:
        return {}
    lately = [{"key": key, "worker": worker, "until": {"$gt": at}} for key, worker in holders]
    return {"$nor": [{"$and": [{"left_by": {"$elemMatch": leaver}} for leaver in lately]}]}


def _until_others_had_the_last(row: Row, at: datetime) -> datetime | None:
    failed = [one for one in row["left_by"] if one["failures"]]
    until = max(_utc(one["until"]) for one in failed) + LAST_ATTEMPT_KEPT
    if tries(row) < MOST_ATTEMPTS - 1 or until <= at:
        return None
    holders = {_holder(one) for one in failed}
    return until if active_workers.has_other(kind_of(row["_id"]), holders, at) else None


def _hand_back_wait(number: int) -> timedelta:
    # More doublings would exceed what a timedelta can hold.
    doublings: int = 2 ** min(number - 1, 20)
    return min(FIRST_HAND_BACK_WAIT * doublings, MAX_HAND_BACK_WAIT)


def _leaver(row: Row) -> Row:
    """The record of earlier failures of the worker that holds the activity."""
    holder = Holder(row["claimed_by"], row["worker"])
    known = next((one for one in row.get("left_by") or [] if _holder(one) == holder), None)
    return dict(known) if known else {**holder._asdict(), "failures": 0, "hand_backs": 0}


def _with(row: Row, leaver: Row) -> list[Row]:
    others = [one for one in row.get("left_by") or [] if _holder(one) != _holder(leaver)]
    return [*others, leaver][-MAX_LEAVERS:]


def _holder(leaver: dict[str, Any]) -> Holder:
    return Holder(leaver["key"], leaver["worker"])


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC)
