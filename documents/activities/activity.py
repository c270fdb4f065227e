"""Fields that steps, transforms and ingestions share: the state of work that ran, runs, or waits to run."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field
from pymongo import IndexModel

from documents.activities.repository_url import repository_url
from documents.base import Document, EmbeddedModel, Timestamp, now


class ActivityStatus(StrEnum):
    """The status of an activity. The last four are terminal."""

    PENDING = "PENDING"
    READY = "READY"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    SKIPPED = "SKIPPED"


OPEN = (ActivityStatus.PENDING, ActivityStatus.READY, ActivityStatus.RUNNING)
"""The statuses of activities that have not ended."""


class CodeReference(EmbeddedModel):
    """Exact code: a repository at a commit, and a file in it when the activity ran a single one.

    `repository` is in normal form, so that code is found however its repository was spelled; empty where it is unknown.
    """

    repository: Annotated[str, AfterValidator(repository_url)]
    path: str | None = None
    commit: str


class ActivityError(EmbeddedModel):
    """The error with which an activity failed."""

    code: str
    message: str
    retryable: bool = False


class Leaver(EmbeddedModel):
    """A worker that handed an activity back with a reason, or failed at it with a retryable error, and how often.

    It may not claim the activity before `until`.
    """

    key: str
    worker: str
    failures: int = 0
    hand_backs: int = 0
    until: Timestamp


class Activity(Document):
    """Status, frozen code, lease, log and times of one run.

    `claimed_by` is the key of the viewer who holds the activity, or held it last; `claimants` are the keys of all who
    ever held it, and `claimed_again` says whether that viewer had held an earlier attempt as well. `earlier_workers`
    are the names of the workers of earlier attempts, and `left_by` those of them who gave up on it. `log_end` is the
    highest sequence of its log lines, `log_base` the value of `log_end` when the attempt began, and `log_late` the
    highest number of a line that came late. `handed_back` is how many of the attempts do not count, because their
    workers handed them back. A READY activity cannot be claimed before `available_at`. `reports` is incremented by each
    write that must conflict with the end of the activity.
    """

    status: ActivityStatus = ActivityStatus.PENDING
    code: list[CodeReference] = []
    attempt: int = 0
    handed_back: int = 0
    available_at: Timestamp | None = Field(None, alias="availableAt")
    left_by: list[Leaver] = []
    worker: str | None = None
    earlier_workers: list[str] = []
    claimed_by: str | None = None
    claimants: list[str] = []
    claimed_again: bool = False
    lease_expires_at: Timestamp | None = Field(None, alias="leaseExpiresAt")
    log_base: int = 0
    log_end: int = 0
    log_late: int = 0
    reports: int = 0
    created_at: Timestamp = Field(default_factory=now)
    started_at: Timestamp | None = Field(None, alias="start_timestamp")
    ended_at: Timestamp | None = Field(None, alias="end_timestamp")
    error: ActivityError | None = None


def activity_indexes() -> list[IndexModel]:
    """Indexes that every collection of activities needs: waiting activities, oldest first, and expired leases.

    Activities that wait for their `availableAt` are sorted apart from the claimable ones: no claim reads them.
    """
    running = {"status": ActivityStatus.RUNNING.value}
    return [
        IndexModel([("status", 1), ("availableAt", 1), ("created_at", 1), ("_id", 1)]),
        IndexModel([("leaseExpiresAt", 1)], name="leases", partialFilterExpression=running),
    ]


def code_index() -> IndexModel:
    """The index of the activities that ran code of a repository, by commit."""
    return IndexModel([("code.repository", 1), ("code.commit", 1), ("_id", 1)])
