"""Ingestions of job reports, as clients see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import strawberry
from strawberry.types import Info

import documents
import resolvers.ingestion
from documents import ingestion
from graph.activity import Activity
from graph.connection import Connection
from graph.enums import described
from graph.mutation import idempotency_key, mutation, optional, perform, refused, wanted
from graph.rejection import Rejection
from graph.scalars import BigInt
from graph.user_errors import UserError
from graph.view import computed, many, one, stored, view
from resolvers.ingestion import cancel_ingestion, counts, ingest_archives, progress, reprocess_archives

if TYPE_CHECKING:
    from graph.generation import Generation
    from graph.instance import Instance

IngestionKind = described(
    ingestion.IngestionKind,
    "What an ingestion is for.",
    INGEST="It brings reports into a generation that is there.",
    REPROCESS="It reads all reports of a server into a generation of their own.",
)


@view(resolvers.ingestion.Progress)
class Progress:
    """How far something has come."""

    unit: str = stored(description="What is counted.")
    completed: BigInt = stored(description="How many are done.")
    total: BigInt | None = stored(description="How many there are in all; null while that is unknown.")
    rejected: BigInt = stored(description="How many rows could not be taken so far.")


@view(resolvers.ingestion.Counts)
class IngestionCounts:
    """What an ingestion has read, of all reports that were read to their end."""

    archives: BigInt = stored(description="Reports that were taken.")
    jobs: BigInt = stored(description="Jobs.")
    metrics: BigInt = stored(description="Measurements of these jobs.")
    datasets: BigInt = stored(description="Datasets that these jobs read or wrote.")
    parameters: BigInt = stored(description="Parameters of these jobs.")
    duplicates: BigInt = stored(
        description="Jobs of these that another report of the generation has as well. They are counted once there."
    )
    rejected: BigInt = stored(description="Rows that could not be taken, of any kind.")


@view(documents.Ingestion)
class Ingestion(Activity):
    """Reports on their way into a generation."""

    instance: Instance = one(documents.Instance, "instance_ref", description="The server whose reports they are.")
    kind: IngestionKind = stored("purpose", description="What it is for.")  # type: ignore[valid-type]
    dry_run: bool = stored(description="Whether the reports are only read and counted, and no jobs are kept.")
    reason: str | None = stored(description="Why reports are read again, when they are.")
    generation: Generation | None = one(
        documents.Generation, "generation_ref", description="What they become part of; null of a dry run."
    )
    progress: Progress = computed(progress, description="How far it has come. total is null while unknown.")
    counts: IngestionCounts = computed(counts, description="What was read so far.")
    rejections: Connection[Rejection] = many(
        documents.Rejection,
        "ingestion_ref",
        description="What could not be taken as it stands, report by report and in the order in which it was found.",
    )


@strawberry.input(description="Which reports to ingest.")
class IngestArchivesInput:
    idempotency_key: str | None = idempotency_key()
    instance_id: strawberry.ID = wanted("The server whose reports they are, one of your own.")
    archive_ids: list[strawberry.ID] | None = optional(
        "Reports of it, at most 1,000. All that the active generation lacks, when absent, but for those that this "
        "version of the reader has refused."
    )
    dry_run: bool = wanted("Read and count only; no jobs are kept.", default=False)


@strawberry.input(description="Whose reports to read again, and why.")
class ReprocessArchivesInput:
    idempotency_key: str | None = idempotency_key()
    instance_id: strawberry.ID = wanted("The server whose reports they are, one of your own.")
    reason: str = wanted("Why, in one line.")
    activate: bool = wanted(
        "Whether readers see the new generation as soon as it is complete. It means nothing with dryRun.", default=False
    )
    dry_run: bool = wanted("Read and count only; no jobs are kept, and there is no generation.", default=False)


@strawberry.input(description="Which ingestion to end.")
class CancelIngestionInput:
    id: strawberry.ID = wanted("The ingestion, of an instance of your own.")
    reason: str | None = optional("Why; it becomes the ingestion's error.")


@strawberry.type(description="An ingestion that was written, or why it was not.")
class IngestionPayload:
    ingestion: Ingestion | None = strawberry.field(description="As it is now.", default=None)
    user_errors: list[UserError] = refused()


@strawberry.type
class IngestionMutation:
    @mutation(
        "Queue reports of an instance of your own for ingestion. Those that its generation has, or that are on their "
        "way into it, are not read again; when nothing is left to do, the answer is an ingestion that has SUCCEEDED "
        "at once. It is a REPROCESS that activates itself when the generation cannot take them: because an earlier "
        "version of the reader made it, or because it has a report that one of these replaces. While this version of "
        "the reader has made one that is not active, since somebody switched back from it, they become part of that."
    )
    async def ingest_archives(self, info: Info, input: IngestArchivesInput) -> IngestionPayload:
        return await perform(info, IngestionPayload, ingest_archives, input)

    @mutation(
        "Read all reports of an instance of your own again, into a generation beside the active one. Readers see "
        "nothing of it until it is made active."
    )
    async def reprocess_archives(self, info: Info, input: ReprocessArchivesInput) -> IngestionPayload:
        return await perform(info, IngestionPayload, reprocess_archives, input)

    @mutation(
        "End an ingestion before it is done. Reports that are part of a generation by then stay so, the others leave "
        "nothing behind; a generation that was being built is DISCARDED."
    )
    async def cancel_ingestion(self, info: Info, input: CancelIngestionInput) -> IngestionPayload:
        return await perform(info, IngestionPayload, cancel_ingestion, input)
