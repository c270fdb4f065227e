"""What ran, runs, or waits to run, as clients see it."""

from __future__ import annotations

from datetime import datetime

import documents
from documents import activity
from graph.enums import described
from graph.log_entry import MOST_ENTRIES, LogConnection, LogWhere
from graph.node import Node
from graph.view import interface, many, stored, view
from graph.where import sort_key

ActivityStatus = described(
    activity.ActivityStatus,
    "PENDING waits for other activities, READY can be claimed, RUNNING holds a lease; the last four are terminal and "
    "never left.",
    PENDING="Waits for other activities.",
    READY="Can be claimed by a worker.",
    RUNNING="A worker holds a lease on it.",
    SUCCEEDED="Done, and well.",
    FAILED="Done, and not well: see error.",
    CANCELLED="Ended before it was done, by somebody or because what it waited for failed.",
    SKIPPED="Not needed.",
)


@view(activity.CodeReference)
class CodeReference:
    """Exact code: a repository at a commit."""

    repository: str = stored(description="The repository's URL.")
    path: str | None = stored(description="The file within it, when one alone was run.")
    commit: str = stored(description="The commit's hash.")


@view(activity.ActivityError)
class ActivityError:
    """Why an activity failed."""

    code: str = stored(description="For programs.")
    message: str = stored(description="For people.")
    retryable: bool = stored(description="Whether trying again may help.")


@interface
class Activity(Node):
    """Something that ran, runs, or waits to run."""

    status: ActivityStatus = stored(description="Where it stands.")  # type: ignore[valid-type]
    code: list[CodeReference] = stored(
        description="The exact code that runs, frozen when the activity is created. Never a branch name."
    )
    attempt: int = stored(description="How often it was begun; 0 before the first time.")
    worker: str | None = stored(description="Who runs it, or ran it last.")
    lease_expires_at: datetime | None = stored(description="Until when its worker may be silent.")
    created_at: datetime = stored(description="When it was asked for.")
    started_at: datetime | None = stored(description="When it began to run.")
    ended_at: datetime | None = stored(description="When it ended.")
    error: ActivityError | None = stored(description="Why it failed.")
    logs: LogConnection = many(
        documents.LogEntry,
        "activity_ref",
        sort_key(documents.LogEntry, "sequence"),
        where=LogWhere,
        most=MOST_ENTRIES,
        description="What it wrote, in order of sequence, at most 1,000 lines a page.",
    )
