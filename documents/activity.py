"""What steps and transforms share: something that ran, runs, or waits to run."""

from enum import StrEnum

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, Embedded, Timestamp, now


class ActivityStatus(StrEnum):
    """Where an activity stands. The last four are terminal."""

    PENDING = "PENDING"
    READY = "READY"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    SKIPPED = "SKIPPED"


OPEN = (ActivityStatus.PENDING, ActivityStatus.READY, ActivityStatus.RUNNING)
"""The states of what has not ended."""


class CodeReference(Embedded):
    """Exact code: a repository at a commit, and a file in it when the activity ran a single one."""

    repository: str
    path: str | None = None
    commit: str


class ActivityError(Embedded):
    """Why an activity failed."""

    code: str
    message: str
    retryable: bool = False


class Activity(Document):
    """Status, frozen code, lease, log and times of one run.

    `claimed_by` is the key of the viewer who holds it, or held it last; `claimants` are those of all who ever did.
    `log_end` is the highest sequence of its log lines, and `log_base` what `log_end` was when the attempt began.
    `handed_back` is how many of the attempts do not count, because their workers stopped and said so. `reports` rises
    whenever something must not happen beside an end of the activity.
    """

    status: ActivityStatus = ActivityStatus.PENDING
    code: list[CodeReference] = Field(default_factory=list)
    attempt: int = 0
    handed_back: int = 0
    worker: str | None = None
    claimed_by: str | None = None
    claimants: list[str] = Field(default_factory=list)
    lease_expires_at: Timestamp | None = Field(None, alias="leaseExpiresAt")
    log_base: int = 0
    log_end: int = 0
    reports: int = 0
    created_at: Timestamp = Field(default_factory=now)
    started_at: Timestamp | None = Field(None, alias="start_timestamp")
    ended_at: Timestamp | None = Field(None, alias="end_timestamp")
    error: ActivityError | None = None


def activity_indexes() -> list[IndexModel]:
    """What every collection of activities is asked for: those that wait, oldest first, and leases that have lapsed."""
    running = {"status": ActivityStatus.RUNNING.value}
    return [
        IndexModel([("status", 1), ("created_at", 1), ("_id", 1)]),
        IndexModel([("leaseExpiresAt", 1)], name="leases", partialFilterExpression=running),
    ]
