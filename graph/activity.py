"""What ran, runs, or waits to run, as clients see it."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import cast

import strawberry
from strawberry.types import Info

import documents
from documents import activity
from graph.declared import reader_of
from graph.enums import described
from graph.log_entry import MOST_ENTRIES, LogConnection, LogWhere
from graph.mutation import mutation, optional, perform, perform_by_itself, refused, wanted
from graph.node import Node
from graph.user_errors import UserError
from graph.view import interface, many, stored, view
from graph.where import sort_key
from resolvers.claiming import LONGEST_LEASE, LONGEST_NAME, SHORTEST_LEASE, claim_activity
from resolvers.fetch import Row
from resolvers.reporting import complete_activity, extend_lease, release_activity

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


@strawberry.enum(description="What can be claimed.")
class ActivityKind(Enum):
    STEP = strawberry.enum_value("STEP", description="A step of an execution.")
    TRANSFORM = strawberry.enum_value("TRANSFORM", description="A run of a resource's code.")


@strawberry.enum(description="How an activity ended, as its worker says.")
class ActivityOutcome(Enum):
    SUCCEEDED = strawberry.enum_value("SUCCEEDED", description="Well.")
    FAILED = strawberry.enum_value("FAILED", description="Not well; error says why, and whether trying again may help.")


def _worker() -> str:
    return wanted(f"Who you are: one line of at most {LONGEST_NAME} characters, another for each worker.")  # type: ignore[no-any-return]


def _lease_seconds() -> int:
    bounds = f"{SHORTEST_LEASE} to {LONGEST_LEASE:,}"
    return wanted(f"How long you may be silent from now on, {bounds} seconds.", default=60)  # type: ignore[no-any-return]


@strawberry.input(description="Asks for something to run.")
class ClaimActivityInput:
    worker: str = _worker()
    kinds: list[ActivityKind] | None = optional("What you can run; everything, when absent.")
    lease_seconds: int = _lease_seconds()


@strawberry.input(description="Says that a worker is alive.")
class ExtendLeaseInput:
    id: strawberry.ID = wanted("What you hold.")
    worker: str = _worker()
    lease_seconds: int = _lease_seconds()


@strawberry.input(description="Hands an activity back.")
class ReleaseActivityInput:
    id: strawberry.ID = wanted("What you hold.")
    worker: str = _worker()
    attempt: int = wanted("The attempt that you claimed. An earlier one is refused.")


@strawberry.input(description="Why an activity failed.")
class ActivityErrorInput:
    code: str = wanted("For programs: one line of at most 100 characters.")
    message: str = wanted("For people: at most 10,000 characters.")
    retryable: bool = wanted("Whether trying again may help. An activity is begun at most three times.", default=False)


@strawberry.input(description="Ends an activity.")
class CompleteActivityInput:
    id: strawberry.ID = wanted("What you hold.")
    worker: str = _worker()
    attempt: int = wanted("The attempt that you claimed. An earlier one is refused.")
    outcome: ActivityOutcome = wanted("How it ended.")
    error: ActivityErrorInput | None = optional("Why it failed; only with FAILED.")
    validated: bool | None = optional("Of a transform: whether what it made was found to be good.")
    logs: str | None = optional("Of a transform: URL of its logs.")
    notebook: str | None = optional("Of a transform: URL of its notebook.")


@strawberry.type(description="An activity that was claimed or reported on, or why it was not.")
class ActivityPayload:
    activity: Activity | None = strawberry.field(
        description="As it is now. Null without userErrors when nothing waits to be claimed.", default=None
    )
    user_errors: list[UserError] = refused()


@strawberry.type
class ActivityMutation:
    @mutation(
        "Leases the oldest READY activity, or answers null when none waits. Never the same one to two workers while "
        "the lease lasts. You may read an execution, its steps and their outputs while you run steps of it."
    )
    async def claim_activity(self, info: Info, input: ClaimActivityInput) -> ActivityPayload:
        return await perform_by_itself(info, ActivityPayload, claim_activity, input)

    @mutation("Keep what you hold. Refused with INVALID_STATE once the lease has lapsed, or the activity has ended.")
    async def extend_lease(self, info: Info, input: ExtendLeaseInput) -> ActivityPayload:
        return await perform_by_itself(info, ActivityPayload, extend_lease, input)

    @mutation(
        "Hand back what you hold, because you stop before it is done. It is READY again at once, and this attempt is "
        "none of the three that it has. The same again answers the same again; once the lease has lapsed, or the "
        "activity has ended, it is refused with INVALID_STATE."
    )
    async def release_activity(self, info: Info, input: ReleaseActivityInput) -> ActivityPayload:
        return await perform(info, ActivityPayload, release_activity, input)

    @mutation(
        "End what you hold. A retryable failure makes it READY again, until it was begun three times. What waited for "
        "it becomes READY or, when it failed, CANCELLED. The same report again answers the same again; one of an "
        "attempt that is over is refused with INVALID_STATE and changes nothing. The answer shows the execution with "
        "its steps, and the outputs of this one, even when that was its end and you may not read it from then on."
    )
    async def complete_activity(self, info: Info, input: CompleteActivityInput) -> ActivityPayload:
        payload = await perform(info, ActivityPayload, complete_activity, input)
        if payload.activity is not None:
            reader_of(info).answer_report(cast(Row, payload.activity))
        return payload
