"""Reports of servers as they were uploaded, as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import strawberry
from strawberry.types import Info

import documents
import documents.archive
from graph.connection import Connection
from graph.mutation import idempotency_key, mutation, perform, refused, wanted
from graph.node import Node
from graph.scalars import JSON, BigInt
from graph.user_errors import UserError
from graph.view import gathered, one, stored, view
from graph.where import By, DateTimeFilter, OrderDirection, StringFilter, order_input, where_input
from resolvers.archive import before_registering, register_archive
from resolvers.filters import Filter

if TYPE_CHECKING:
    from graph.ingestion import Ingestion
    from graph.instance import Instance


def _is_set(path: str, wanted: bool) -> Filter:
    return {path: {"$ne": None} if wanted else None}


ArchiveWhere = where_input(
    "Archive",
    documents.Archive,
    combined=False,
    identifier=By(StringFilter, "identifier", "What its server calls it."),
    received_at=By(DateTimeFilter, "received_at", "When it was uploaded."),
    quarantined=By(bool, "quarantine", "Whether this release cannot ingest it.", _is_set),
)
ArchiveOrder = order_input(
    "Archive",
    documents.Archive,
    OrderDirection.DESC,
    RECEIVED_AT="received_at",
    GENERATED_AT="generated_at",
    IDENTIFIER="identifier",
)


@view(documents.archive.StateCount)
class StateCount:
    """How many jobs a report says to hold in one state."""

    state: str = stored(description="The state, in the words of the server.")
    count: BigInt = stored(description="How many jobs.")


@view(documents.Archive)
class Archive(Node):
    """A report as it was uploaded. Raw, immutable, kept for ever: everything derived can be derived again."""

    instance: Instance = one(documents.Instance, "instance_ref", description="The server that it tells of.")
    identifier: str = stored(description="What its server calls it: the time at which it was made.")
    schema_version: int | None = stored(description="The version of its metadata; null when it has none.")
    generated_at: datetime | None = stored(description="When its server made it.")
    received_at: datetime = stored(description="When it was uploaded.")
    sha256: str = stored(description="SHA-256 of its bytes, in hexadecimal.")
    size_bytes: BigInt = stored(description="Its size in bytes.")
    metadata: JSON = stored(description="The report's own metadata document.")
    declared_jobs: list[StateCount] = stored(description="How many jobs it says to hold.")
    active_users: int | None = stored(description="Users who ran something in its time, as it says.")
    total_users: int | None = stored(description="Users of the server, as it says.")
    quarantine: str | None = stored(description="Why it cannot be ingested by this release, when it cannot.")
    superseded_by: Archive | None = one(
        documents.Archive, "superseded_by_ref", description="The report that was uploaded in its place."
    )
    ingestions: Connection[Ingestion] = gathered(
        documents.Ingestion,
        "ingestion_refs",
        description="The ingestions that took it up, the last 1,000, oldest first.",
    )


@strawberry.input(description="A report whose bytes were uploaded with createUpload, for the purpose ARCHIVE.")
class RegisterArchiveInput:
    idempotency_key: str | None = idempotency_key()
    instance_id: strawberry.ID = wanted("The server that it tells of, one of your own.")
    identifier: str = wanted("What the server calls it, such as 1501836597.08.")
    upload_id: strawberry.ID = wanted("The upload with its bytes.")
    metadata: JSON = wanted(
        "The report's own metadata document. A report that replaces another of its identifier names that one's "
        'report_hash in it as "supersedes".'
    )


@strawberry.type(description="A report that was registered, or why it was not.")
class RegisterArchivePayload:
    archive: Archive | None = strawberry.field(description="As it is kept.", default=None)
    already_existed: bool = strawberry.field(description="These exact bytes were already here.", default=False)
    user_errors: list[UserError] = refused()


@strawberry.type
class ArchiveMutation:
    @mutation(
        "Register a report of your instance. The same report again changes nothing; one that this release cannot "
        "ingest is kept all the same, with the reason as its quarantine."
    )
    async def register_archive(self, info: Info, input: RegisterArchiveInput) -> RegisterArchivePayload:
        return await perform(info, RegisterArchivePayload, register_archive, input, before=before_registering)
