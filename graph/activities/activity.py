"""Activities in the GraphQL schema: the interface, and the mutations with which workers run them."""

from datetime import datetime
from enum import Enum
from typing import cast

import strawberry
from strawberry.types import Info

import documents
from documents.activities import activity
from graph.activities.log_entry import LogConnection, LogWhere
from graph.core.enums import describe_enum
from graph.core.fields import loader_of
from graph.core.mutation import (
    convert_each,
    idempotency_key,
    mutation,
    optional,
    or_none,
    plain_values,
    required,
    run_mutation,
    run_without_transaction,
    user_errors_field,
    without_unset,
)
from graph.core.user_error_types import UserError
from graph.core.view import computed, connection, interface, page_arguments, stored, view
from graph.core.where import sort_key
from graph.provenance.connections import ArtifactConnection
from graph.provenance.traceable import Traceable
from graph.provenance.used_input import UsedInput, used_values
from resolvers.activities.claim import claim_activity
from resolvers.activities.idempotent_replay import repeat_claim, repeat_report
from resolvers.activities.lease import MIN_LEASE_SECONDS, extend_lease
from resolvers.activities.lifecycle import ErrorReport, TransformReport, complete_activity, release_activity
from resolvers.activities.report_access import MAX_WORKER_NAME_LENGTH
from resolvers.limits import MAX_LEASE_SECONDS, MAX_LOG_PAGE_SIZE
from resolvers.provenance.generated_artifacts import generated_artifacts, generated_paths
from resolvers.provenance.used_artifacts import used_artifacts, used_paths
from resolvers.reads.rows import Row

ActivityStatus = describe_enum(
    activity.ActivityStatus,
    "The state of an activity. SUCCEEDED, FAILED, CANCELLED and SKIPPED are final.",
    PENDING="The activity waits for other activities.",
    READY="A worker can claim the activity, once availableAt has passed.",
    RUNNING="A worker runs the activity and holds a lease on it.",
    SUCCEEDED="The activity ended successfully.",
    FAILED="The activity ended with a failure, explained by its error.",
    CANCELLED="The activity was cancelled before its end, by a user or because an activity that it depends on failed.",
    SKIPPED="The activity was not needed.",
)


@view(activity.CodeReference)
class CodeReference:
    """An exact reference to code: a repository at a commit."""

    repository: str = stored(
        description="URL of the repository in normal form, such as https://host/owner/name, however it was spelled "
        "when it was given. Empty when the repository is unknown."
    )
    path: str | None = stored(description="Path of the file within the repository, when only one file was run.")
    commit: str = stored(
        description="Hash of the commit. For a tool that the run used beside its own code, the tag of its release."
    )


@view(activity.ActivityError)
class ActivityError:
    """The reason why an activity failed or was cancelled."""

    code: str = stored(description="The error as a code for programs.")
    message: str = stored(description="Human-readable explanation of the error.")
    retryable: bool = stored(description="Whether another attempt may succeed.")


@interface
class Activity(Traceable):
    """An activity: a run that is waiting, running or ended."""

    status: ActivityStatus = stored(description="The activity's state.")  # type: ignore[valid-type]
    code: list[CodeReference] = stored(
        description="The exact code that the activity runs, frozen when the activity was created. Commits are never "
        "names of branches."
    )
    attempt: int = stored(description="Number of attempts that have been started; 0 before the first.")
    handed_back: int = stored(
        description="Number of attempts that workers handed back. These do not count towards the activity's limit of "
        "three attempts."
    )
    available_at: datetime | None = stored(
        description="When the activity can be claimed again, after a retryable failure or after a worker handed it "
        "back. Null when it need not wait."
    )
    worker: str | None = stored(description="Name of the worker that runs the activity, or ran it last.")
    lease_expires_at: datetime | None = stored(
        description="When the worker's lease expires unless the worker extends it. Null while no worker holds one."
    )
    created_at: datetime = stored(description="When the activity was created.")
    started_at: datetime | None = stored(
        description="When the activity's latest attempt started. Null before the first attempt."
    )
    ended_at: datetime | None = stored(description="When the activity ended. Null before that.")
    error: ActivityError | None = stored(
        description="The reason why the activity's latest attempt failed, or why the activity was cancelled. Null "
        "when there is none."
    )
    logs: LogConnection = connection(
        documents.LogEntry,
        "activity_ref",
        sort_key(documents.LogEntry, "sequence"),
        where=LogWhere,
        max_page_size=MAX_LOG_PAGE_SIZE,
        description="The activity's log, in order of sequence. A page has at most 1,000 lines.",
    )
    used: ArtifactConnection = computed(
        used_artifacts,
        paths_of=used_paths,
        arguments=page_arguments(),
        finds_nodes=True,
        description="Exactly what the activity read and you may see, in the order in which it was recorded; frozen "
        "when the activity ends. Empty also when nobody recorded it: the provenance of what the activity generated "
        "tells this as a gap.",
    )
    generated: ArtifactConnection = computed(
        generated_artifacts,
        paths_of=generated_paths,
        arguments=page_arguments(),
        finds_nodes=True,
        description="What the activity made and you may see, oldest first. For a step, the outputs and snapshots of "
        "all its attempts.",
    )


@strawberry.enum(description="A kind of activity that workers can claim.")
class ActivityKind(Enum):
    STEP = strawberry.enum_value("STEP", description="A step of an execution.")
    TRANSFORM = strawberry.enum_value("TRANSFORM", description="A run of a resource's code.")


@strawberry.enum(description="The outcome of an activity, as reported by its worker.")
class ActivityOutcome(Enum):
    SUCCEEDED = strawberry.enum_value("SUCCEEDED", description="The activity succeeded.")
    FAILED = strawberry.enum_value(
        "FAILED", description="The activity failed; error gives the reason, and whether another attempt may succeed."
    )


def _worker() -> str:
    length = f"one line of at most {MAX_WORKER_NAME_LENGTH} characters"
    return required(f"The worker's name, different for each worker; {length}.")  # type: ignore[no-any-return]


def _lease_seconds() -> int:
    bounds = f"{MIN_LEASE_SECONDS} to {MAX_LEASE_SECONDS:,}"
    return optional(f"The length of the lease from now on, {bounds} seconds.", default=60)  # type: ignore[no-any-return]


@strawberry.input(description="A worker's request for an activity to run.")
class ClaimActivityInput:
    idempotency_key: str | None = idempotency_key()
    worker: str = _worker()
    kinds: list[ActivityKind] | None = optional("The kinds of activity that the worker can run. Defaults to all kinds.")
    lease_seconds: int = _lease_seconds()


@strawberry.input(description="A worker's request to keep its lease on an activity.")
class ExtendLeaseInput:
    idempotency_key: str | None = idempotency_key()
    id: strawberry.ID = required("Id of the activity that the worker holds.")
    worker: str = _worker()
    attempt: int | None = optional(
        "The attempt that the worker claimed. An earlier attempt is refused. Required when a worker of this name held "
        "an earlier attempt."
    )
    lease_seconds: int = _lease_seconds()


@strawberry.input(description="An activity that a worker hands back before its end.")
class ReleaseActivityInput:
    idempotency_key: str | None = idempotency_key()
    id: strawberry.ID = required("Id of the activity that the worker holds.")
    worker: str = _worker()
    attempt: int = required("The attempt that the worker claimed. An earlier attempt is refused.")
    reason: str | None = optional(
        "Human-readable reason why the worker cannot run the activity, such as a full disk; one line of at most 1,000 "
        "characters, recorded in the activity's log. With a reason, the activity waits before it can be claimed "
        "again, longer each time."
    )


@strawberry.input(description="The reason why an activity failed.")
class ActivityErrorInput:
    code: str = required("The error as a code for programs; one line of at most 100 characters.")
    message: str = required("Human-readable explanation of the error; at most 10,000 characters.")
    retryable: bool = optional(
        "Whether another attempt may succeed. An activity has at most three attempts.", default=False
    )


@strawberry.input(description="A worker's report that an activity has ended.")
class CompleteActivityInput:
    idempotency_key: str | None = idempotency_key()
    id: strawberry.ID = required("Id of the activity that the worker holds.")
    worker: str = _worker()
    attempt: int = required("The attempt that the worker claimed. An earlier attempt is refused.")
    outcome: ActivityOutcome = required("The outcome of the activity.")
    error: ActivityErrorInput | None = optional("The reason why the activity failed; only with the outcome FAILED.")
    validated: bool | None = optional("Whether the output of a transform passed validation; for transforms only.")
    logs: str | None = optional("URL of a transform's logs; for transforms only.")
    notebook: str | None = optional("URL of a transform's notebook; for transforms only.")
    used: list[UsedInput] | None = optional(
        "What the activity turned out to have read beside what is recorded already, at most 1,000 artifacts. An empty "
        "list records that it read nothing else; null or absence, that nothing is said. Not recorded when the activity "
        "becomes READY again."
    )


@strawberry.type(description="The activity that was reported on, or the reasons why the report was refused.")
class ActivityPayload:
    activity: Activity | None = strawberry.field(
        description="The activity in its current state. Null when the call was refused.", default=None
    )
    user_errors: list[UserError] = user_errors_field()


@strawberry.type(description="The activity that was claimed, or the reasons why none was.")
class ClaimActivityPayload:
    activity: Activity | None = strawberry.field(
        description="The claimed activity. Null with empty userErrors when no activity can be claimed at the moment.",
        default=None,
    )
    next_available_at: datetime | None = strawberry.field(
        description="When no activity was claimed: the earliest time at which a waiting one may become claimable. "
        "Null when none is waiting.",
        default=None,
    )
    user_errors: list[UserError] = user_errors_field()


def _error_report(error: ActivityErrorInput) -> ErrorReport:
    return ErrorReport(code=error.code, message=error.message, retryable=error.retryable)


@strawberry.type
class ActivityMutation:
    @mutation(
        "Claim the oldest READY activity whose availableAt has passed, and take a lease on it; activity is null when "
        "there is none. No other worker can claim the activity while the lease lasts. A worker that runs steps of an "
        "execution may read the execution, its steps and their outputs. A repeated call with the same idempotencyKey "
        "returns the same claim, with its attempt and lease, while you hold it, and is refused with INVALID_STATE "
        "after that: use another key for the next claim. No key is kept while nothing is claimed. For workers and "
        "administrators."
    )
    async def claim_activity(self, info: Info, input: ClaimActivityInput) -> ClaimActivityPayload:
        return await run_without_transaction(
            info,
            input,
            ClaimActivityPayload,
            lambda viewer, call: claim_activity(
                viewer,
                call,
                worker=input.worker,
                lease_seconds=input.lease_seconds,
                kinds=plain_values(or_none(input.kinds)),
            ),
            repeat=repeat_claim,
        )

    @mutation(
        "Extend the lease on an activity that you hold. Repeating the call is harmless; a repetition with the same "
        "idempotencyKey does not extend the lease again. For workers and administrators. Refused with INVALID_STATE "
        "when the lease has expired, another attempt has started, or the activity has ended."
    )
    async def extend_lease(self, info: Info, input: ExtendLeaseInput) -> ActivityPayload:
        return await run_without_transaction(
            info,
            input,
            ActivityPayload,
            lambda viewer, call: extend_lease(
                viewer,
                call,
                id=input.id,
                worker=input.worker,
                attempt=or_none(input.attempt),
                lease_seconds=input.lease_seconds,
            ),
            repeat=repeat_claim,
        )

    @mutation(
        "Hand back an activity that you hold, because you are stopping, or with a reason, because you cannot run it. "
        "The activity becomes READY again, at once or, with a reason, after a wait. The attempt does not count "
        "towards the activity's limit of three attempts. Repeating the call returns the same answer. For workers and "
        "administrators. Refused with INVALID_STATE when the lease has expired or the activity has ended."
    )
    async def release_activity(self, info: Info, input: ReleaseActivityInput) -> ActivityPayload:
        return await run_mutation(
            info,
            input,
            ActivityPayload,
            lambda session, viewer: release_activity(
                session, viewer, id=input.id, worker=input.worker, attempt=input.attempt, reason=or_none(input.reason)
            ),
            repeat=repeat_report,
        )

    @mutation(
        "Report that an activity you hold has ended. A retryable failure makes the activity READY again, from "
        "availableAt on, until it has had three attempts. Activities that depend on it become READY, or CANCELLED "
        "when it failed. Repeating the same report returns the same answer for 7 days after the end. The answer shows "
        "the execution with its steps and this activity's outputs, even if you may no longer read them afterwards. "
        "For workers and administrators. Refused with INVALID_STATE, and nothing changed, when the attempt is over."
    )
    async def complete_activity(self, info: Info, input: CompleteActivityInput) -> ActivityPayload:
        payload = await run_mutation(
            info,
            input,
            ActivityPayload,
            lambda session, viewer: complete_activity(
                session,
                viewer,
                id=input.id,
                worker=input.worker,
                attempt=input.attempt,
                outcome=plain_values(input.outcome),
                error=_error_report(input.error) if input.error else None,
                used=convert_each(used_values, or_none(input.used)),
                **without_unset(TransformReport(validated=input.validated, logs=input.logs, notebook=input.notebook)),
            ),
            repeat=repeat_report,
        )
        if payload.activity is not None:
            loader_of(info).show_reported_activity(cast(Row, payload.activity))
        return payload
