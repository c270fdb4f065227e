"""What steps and transforms share: something that ran, runs, or waits to run."""

from enum import StrEnum

from pydantic import Field

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
    """Status, frozen code, lease and times of one run."""

    status: ActivityStatus = ActivityStatus.PENDING
    code: list[CodeReference] = Field(default_factory=list)
    attempt: int = 0
    worker: str | None = None
    lease_expires_at: Timestamp | None = Field(None, alias="leaseExpiresAt")
    created_at: Timestamp = Field(default_factory=now)
    started_at: Timestamp | None = Field(None, alias="start_timestamp")
    ended_at: Timestamp | None = Field(None, alias="end_timestamp")
    error: ActivityError | None = None
