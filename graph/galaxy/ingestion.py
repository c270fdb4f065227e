"""Ingestions of archives in the GraphQL schema."""

from typing import TYPE_CHECKING

import strawberry
from strawberry.types import Info

import documents
import resolvers.galaxy.ingestion
from documents.galaxy import ingestion
from graph.activities.activity import Activity
from graph.core.enums import describe_enum
from graph.core.mutation import idempotency_key, mutation, optional, or_none, required, run_mutation, user_errors_field
from graph.core.pagination import Connection
from graph.core.scalars import BigInt
from graph.core.user_error_types import UserError
from graph.core.view import argument, computed, connection, lookup, one, stored, view
from graph.galaxy.rejection import Rejection
from resolvers.galaxy.ingestion import cancel_ingestion, counts, ingest_archives, progress, reprocess_archives

if TYPE_CHECKING:
    from graph.galaxy.generation import Generation
    from graph.galaxy.instance import Instance

IngestionKind = describe_enum(
    ingestion.IngestionKind,
    "The purpose of an ingestion.",
    INGEST="The ingestion adds archives to an existing generation.",
    REPROCESS="The ingestion reads all archives of an instance again, into a new generation.",
)


@view(resolvers.galaxy.ingestion.Progress)
class Progress:
    """The progress of an activity."""

    unit: str = stored(description="The unit in which progress is counted.")
    completed: BigInt = stored(description="Number of units completed.")
    total: BigInt | None = stored(description="Number of units in total. Null while unknown.")
    rejected: BigInt = stored(description="Number of rows rejected so far.")


@view(resolvers.galaxy.ingestion.Counts)
class IngestionCounts:
    """Totals over the archives that an ingestion has read completely."""

    archives: BigInt = stored(description="Number of archives read.")
    jobs: BigInt = stored(description="Number of jobs.")
    metrics: BigInt = stored(description="Number of measurements of the jobs.")
    datasets: BigInt = stored(description="Number of datasets that the jobs read or wrote.")
    parameters: BigInt = stored(description="Number of parameters of the jobs.")
    duplicates: BigInt = stored(
        description="Number of the jobs that another archive of the generation contains as well. The generation "
        "counts each of them once."
    )
    rejected: BigInt = stored(description="Number of rejected rows of any kind.")


@view(documents.Ingestion)
class Ingestion(Activity):
    """An ingestion: an activity that reads archives into a generation."""

    instance: "Instance" = one(
        documents.Instance, "instance_ref", description="The instance whose archives are ingested."
    )
    kind: IngestionKind = stored("purpose", description="The purpose of the ingestion.")  # type: ignore[valid-type]
    dry_run: bool = stored(description="Whether the archives are only read and counted, without storing jobs.")
    reason: str | None = stored(description="The reason why archives are read again. Null when they are not.")
    generation: "Generation | None" = one(
        documents.Generation,
        "generation_ref",
        description="The generation that the archives become part of. Null for a dry run.",
    )
    progress: Progress = computed(
        progress, description="The progress of the ingestion. Its total is null while unknown."
    )
    counts: IngestionCounts = computed(counts, description="Totals over the archives read so far.")
    rejections: Connection[Rejection] = connection(
        documents.Rejection,
        "ingestion_ref",
        description="Rows, archive members and archives that were rejected, by archive and in the order in which they "
        "were found.",
    )


@view()
class IngestionQuery:
    ingestion: Ingestion | None = lookup(
        documents.Ingestion,
        argument("id", strawberry.ID, description="The ingestion's id."),
        description="The ingestion with this id. Null when no such ingestion exists or you may not see it.",
    )


@strawberry.input(description="Archives to ingest.")
class IngestArchivesInput:
    idempotency_key: str | None = idempotency_key()
    instance_id: strawberry.ID = required(
        "Id of the instance whose archives to ingest; you must be one of its owners or an administrator."
    )
    archive_ids: list[strawberry.ID] | None = optional(
        "Ids of the instance's archives to ingest, at most 1,000. Defaults to all archives that the active generation "
        "lacks, except those that this version of the parser has refused."
    )
    dry_run: bool = optional("Whether to read and count only, without storing jobs.", default=False)


@strawberry.input(description="An instance whose archives to read again.")
class ReprocessArchivesInput:
    idempotency_key: str | None = idempotency_key()
    instance_id: strawberry.ID = required(
        "Id of the instance whose archives to read again; you must be one of its owners or an administrator."
    )
    reason: str = required("The reason for reading the archives again, in one line.")
    activate: bool = optional(
        "Whether to activate the new generation as soon as it is complete. Ignored with dryRun.", default=False
    )
    dry_run: bool = optional(
        "Whether to read and count only, without storing jobs or creating a generation.", default=False
    )


@strawberry.input(description="An ingestion to cancel before its end.")
class CancelIngestionInput:
    idempotency_key: str | None = idempotency_key()
    id: strawberry.ID = required("Id of the ingestion; you must be an owner of its instance or an administrator.")
    reason: str | None = optional("Human-readable reason, recorded as the ingestion's error.")


@strawberry.type(description="The ingestion that was written, or the reasons why nothing was written.")
class IngestionPayload:
    ingestion: Ingestion | None = strawberry.field(
        description="The ingestion in its current state. Null when the call was refused.", default=None
    )
    user_errors: list[UserError] = user_errors_field()


@strawberry.type
class IngestionMutation:
    @mutation(
        "Queue archives of an instance for ingestion into its active generation. Archives that the generation "
        "contains, or that are queued for it already, are not read again; when none is left, the call returns an "
        "ingestion that is SUCCEEDED at once. When the active generation cannot take the archives, because an earlier "
        "version of the parser derived it or because one of them replaces an archive in it, the ingestion is a "
        "REPROCESS that activates its new generation when complete. If this version of the parser has already derived "
        "a generation that is not active, because readers were switched back from it, the archives are added to that "
        "one. For the instance's owners and administrators."
    )
    async def ingest_archives(self, info: Info, input: IngestArchivesInput) -> IngestionPayload:
        return await run_mutation(
            info,
            input,
            IngestionPayload,
            lambda session, viewer: ingest_archives(
                session,
                viewer,
                instance_id=input.instance_id,
                archive_ids=or_none(input.archive_ids),
                dry_run=input.dry_run,
            ),
        )

    @mutation(
        "Read all archives of an instance again, into a new generation beside the active one. Readers do not see the "
        "new generation until it is activated. For the instance's owners and administrators."
    )
    async def reprocess_archives(self, info: Info, input: ReprocessArchivesInput) -> IngestionPayload:
        return await run_mutation(
            info,
            input,
            IngestionPayload,
            lambda session, viewer: reprocess_archives(
                session,
                viewer,
                instance_id=input.instance_id,
                reason=input.reason,
                activate=input.activate,
                dry_run=input.dry_run,
            ),
        )

    @mutation(
        "Cancel an ingestion before its end. Archives that are part of a generation by then stay in it, and the "
        "others leave nothing behind. A generation that was being built is DISCARDED. For the instance's owners and "
        "administrators. Refused with INVALID_STATE when the ingestion has ended."
    )
    async def cancel_ingestion(self, info: Info, input: CancelIngestionInput) -> IngestionPayload:
        return await run_mutation(
            info,
            input,
            IngestionPayload,
            lambda session, viewer: cancel_ingestion(session, viewer, id=input.id, reason=or_none(input.reason)),
        )
