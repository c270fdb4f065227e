"""Archives in the GraphQL schema: reports of Galaxy instances as they were uploaded."""

from datetime import datetime
from typing import TYPE_CHECKING

import strawberry
from strawberry.types import Info

import documents
import documents.galaxy.archive
from graph.core.mutation import idempotency_key, mutation, required, run_mutation, user_errors_field
from graph.core.pagination import Connection
from graph.core.scalars import JSON, BigInt
from graph.core.user_error_types import UserError
from graph.core.view import argument, connection_by_ids, lookup, one, stored, view
from graph.core.where import Condition, DateTimeFilter, OrderDirection, StringFilter, order_input, where_input
from graph.provenance.artifact import Artifact
from resolvers.filters import Filter
from resolvers.galaxy.archive import register_archive, verify_archive_upload

if TYPE_CHECKING:
    from graph.galaxy.ingestion import Ingestion
    from graph.galaxy.instance import Instance


def _is_set(path: str, wanted: bool) -> Filter:
    return {path: {"$ne": None} if wanted else None}


ArchiveWhere = where_input(
    "Archive",
    documents.Archive,
    identifier=Condition(StringFilter, "identifier", "Filter by the archive's identifier, which its instance chose."),
    received_at=Condition(DateTimeFilter, "received_at", "Filter by the time when the archive was uploaded."),
    quarantine=Condition(
        StringFilter,
        "quarantine",
        "Filter by the reason why this release cannot ingest the archive; null matches archives that it can ingest.",
    ),
    quarantined=Condition(
        bool, "quarantine", "Filter by whether this release cannot ingest the archive.", _is_set, instead="quarantine"
    ),
)
ArchiveOrder = order_input(
    "Archive",
    documents.Archive,
    OrderDirection.DESC,
    RECEIVED_AT="received_at",
    GENERATED_AT="generated_at",
    IDENTIFIER="identifier",
)


@view(documents.galaxy.archive.StateCount)
class StateCount:
    """The number of jobs in one state, as declared by a report."""

    state: str = stored(description="The state, in the instance's own terms.")
    count: BigInt = stored(description="Number of jobs in the state.")


@view(documents.Archive)
class Archive(Artifact):
    """An archive: a report of a Galaxy instance exactly as it was uploaded, never changed or deleted.

    Jobs and usage can be derived from it again at any time.
    """

    instance: "Instance" = one(
        documents.Instance, "instance_ref", description="The instance that the archive reports on."
    )
    identifier: str = stored(
        description="The archive's identifier, chosen by its instance: the time at which the report was made."
    )
    schema_version: int | None = stored(
        description="Version of the format of the archive's metadata. Null when the metadata gives none."
    )
    generated_at: datetime | None = stored(description="When the instance made the report. Null when unknown.")
    received_at: datetime = stored(description="When the archive was uploaded.")
    sha256: str = stored(description="SHA-256 of the archive's bytes, in hexadecimal.")
    size_bytes: BigInt = stored(description="The archive's size in bytes.")
    metadata: JSON = stored(description="The report's own metadata document.")
    declared_jobs: list[StateCount] = stored(
        description="Numbers of jobs by state, as declared by the report's metadata."
    )
    active_users: int | None = stored(
        description="Number of users who ran jobs in the period of the report, as declared by its metadata. Null when "
        "it declares none."
    )
    total_users: int | None = stored(
        description="Number of users of the instance, as declared by the report's metadata. Null when it declares none."
    )
    quarantine: str | None = stored(
        description="The reason why this release cannot ingest the archive. Null when it can."
    )
    superseded_by: "Archive | None" = one(
        documents.Archive,
        "superseded_by_ref",
        description="The archive that replaces this one. Null while this one has not been replaced.",
    )
    ingestions: "Connection[Ingestion]" = connection_by_ids(
        documents.Ingestion,
        "ingestion_refs",
        description="The latest 1,000 ingestions that included the archive, oldest first.",
    )


@view()
class ArchiveQuery:
    archive: Archive | None = lookup(
        documents.Archive,
        argument("id", strawberry.ID, description="The archive's id."),
        description="The archive with this id. Null when no such archive exists or you may not see it.",
    )


@strawberry.input(
    description="A report to register, whose bytes were uploaded with createUpload for the purpose ARCHIVE."
)
class RegisterArchiveInput:
    idempotency_key: str | None = idempotency_key()
    instance_id: strawberry.ID = required(
        "Id of the instance that the archive reports on; you must be one of its owners or an administrator."
    )
    identifier: str = required("The archive's identifier, chosen by its instance, such as 1501836597.08.")
    upload_id: strawberry.ID = required("Id of the upload with the archive's bytes.")
    metadata: JSON = required(
        "The report's own metadata document. A report that replaces another one with the same identifier names the "
        'report_hash of that one as "supersedes" in its metadata.'
    )


@strawberry.type(description="The archive that was registered, or the reasons why it was not.")
class RegisterArchivePayload:
    archive: Archive | None = strawberry.field(
        description="The archive as it is stored. Null when the call was refused.", default=None
    )
    already_existed: bool = strawberry.field(
        description="Whether an archive with exactly these bytes was registered before.", default=False
    )
    user_errors: list[UserError] = user_errors_field()


@strawberry.type
class ArchiveMutation:
    @mutation(
        "Register an uploaded report of an instance as an archive. Registering the same report again has no effect. A "
        "report that this release cannot ingest is kept as well, with the reason in quarantine. For the instance's "
        "owners and administrators. Refused with ALREADY_EXISTS when the instance has another report with this "
        "identifier that this one does not supersede."
    )
    async def register_archive(self, info: Info, input: RegisterArchiveInput) -> RegisterArchivePayload:
        return await run_mutation(
            info,
            input,
            RegisterArchivePayload,
            lambda session, viewer: register_archive(
                session,
                viewer,
                instance_id=input.instance_id,
                identifier=input.identifier,
                upload_id=input.upload_id,
                metadata=input.metadata,
            ),
            precheck=lambda viewer: verify_archive_upload(viewer, upload_id=input.upload_id),
        )
