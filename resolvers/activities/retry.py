"""Retries: when an unfinished activity may be claimed again, and by which workers.

A delay holds for all workers, so that a temporary cause has time to pass. It is longer each time for a worker that
hands an activity back, and the last attempt is reserved for workers that have not failed before, while such are active.
"""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

from documents.base import kind_of
from resolvers.activities.active_workers import Holder, active_workers
from resolvers.activities.state_machine import counted_attempts
from resolvers.filters import Filter
from resolvers.limits import (
    FIRST_HAND_BACK_DELAY,
    FIRST_RETRY_DELAY,
    MAX_ATTEMPTS,
    MAX_HAND_BACK_DELAY,
    SECOND_RETRY_DELAY,
)
from resolvers.reads.rows import Row

RETRY_DELAYS = (FIRST_RETRY_DELAY, SECOND_RETRY_DELAY)
"""Delays after the first and the second retryable failure. Of expired leases only the second has one."""
LAST_ATTEMPT_RESERVATION = timedelta(hours=1)
"""How long the last attempt is reserved for workers that have not failed before, while such workers are active."""
MAX_LEAVERS = 20
"""Workers that left an activity, remembered on it."""


def after_failure(row: Row, at: datetime) -> Row:
    """The changes to an activity whose attempt failed, and which has another."""
    until = at + RETRY_DELAYS[min(counted_attempts(row), len(RETRY_DELAYS)) - 1]
    leaver = _leaver(row)
    leaver |= {"failures": leaver["failures"] + 1, "until": until}
    return {"availableAt": until, "left_by": _leavers_with(row, leaver)}


def after_hand_back(row: Row, at: datetime) -> Row:
    """The changes to an activity that its worker handed back with a reason."""
    leaver = _leaver(row)
    leaver |= {"hand_backs": leaver["hand_backs"] + 1}
    leaver |= {"until": at + _hand_back_delay(leaver["hand_backs"])}
    left_by = _leavers_with(row, leaver)
    workers = sum(record["hand_backs"] > 0 for record in left_by)
    return {"availableAt": at + _hand_back_delay(workers), "left_by": left_by}


def available_from(row: Row) -> datetime | None:
    """The time from which any worker may claim an activity; None when it may be claimed now."""
    if row.get("availableAt") is not None:
        return _utc(row["availableAt"])
    lease = row.get("leaseExpiresAt")
    return None if lease is None or counted_attempts(row) < 2 else _utc(lease) + RETRY_DELAYS[-1]


def reserved_until(row: Row, holder: Holder, at: datetime) -> datetime | None:
    """The time until which an available activity is reserved for other workers; None when this worker may have it."""
    leaver = _record_of(row, holder)
    if leaver is None:
        return None
    if _utc(leaver["until"]) > at:
        return _utc(leaver["until"])
    return _last_attempt_reserved_until(row, at) if leaver["failures"] else None


def not_left_recently_filter(holders: Collection[Holder], at: datetime) -> Filter:
    """The filter for activities that at least one of these workers has not left recently."""
    if not 0 < len(holders) <= MAX_LEAVERS:
        return {}
    recent = [{"key": key, "worker": worker, "until": {"$gt": at}} for key, worker in holders]
    return {"$nor": [{"$and": [{"left_by": {"$elemMatch": leaver}} for leaver in recent]}]}


def _last_attempt_reserved_until(row: Row, at: datetime) -> datetime | None:
    failed = [leaver for leaver in row["left_by"] if leaver["failures"]]
    until = max(_utc(leaver["until"]) for leaver in failed) + LAST_ATTEMPT_RESERVATION
    if counted_attempts(row) < MAX_ATTEMPTS - 1 or until <= at:
        return None
    holders = {_holder(leaver) for leaver in failed}
    return until if active_workers.has_other(kind_of(row["_id"]), holders, at) else None


def _hand_back_delay(number: int) -> timedelta:
    # More doublings would exceed what a timedelta can hold.
    doublings: int = 2 ** min(number - 1, 20)
    return min(FIRST_HAND_BACK_DELAY * doublings, MAX_HAND_BACK_DELAY)


def _leaver(row: Row) -> Row:
    """The record of the worker that holds the activity: its earlier failures and hand-backs."""
    holder = Holder(row["claimed_by"], row["worker"])
    earlier = _record_of(row, holder)
    return dict(earlier) if earlier else {**holder._asdict(), "failures": 0, "hand_backs": 0}


def _leavers_with(row: Row, leaver: Row) -> list[Row]:
    others = [other for other in row.get("left_by") or [] if _holder(other) != _holder(leaver)]
    return [*others, leaver][-MAX_LEAVERS:]


def _record_of(row: Row, holder: Holder) -> Row | None:
    """The record of a worker that left the activity, None when it did not."""
    return next((leaver for leaver in row.get("left_by") or [] if _holder(leaver) == holder), None)


def _holder(leaver: dict[str, Any]) -> Holder:
    return Holder(leaver["key"], leaver["worker"])


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC)
