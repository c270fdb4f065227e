"""Outputs of steps in the GraphQL schema."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import strawberry
from strawberry.types import Info

import documents
import resolvers.storage.signed_url
from documents.twins.output import OutputType as StoredOutputType
from graph.core.enums import describe_enum
from graph.core.mutation import (
    expected_revision,
    idempotency_key,
    mutation,
    optional,
    or_none,
    required,
    run_mutation,
    user_errors_field,
)
from graph.core.pagination import Connection
from graph.core.scalars import JSON, BigInt
from graph.core.user_error_types import UserError
from graph.core.view import argument, computed, embedded, lookup, one, root_connection, stored, view
from graph.core.where import Condition, DateTimeFilter, StringFilter, enum_filter, where_input
from graph.provenance.artifact import Artifact
from resolvers.twins.output import DEFAULT_URL_SECONDS, download_urls, update_output_access
from resolvers.twins.readers import authorized_users
from resolvers.twins.register_output import register_output, verify_output_upload

if TYPE_CHECKING:
    from graph.twins.step import Step
    from graph.twins.user import User

OutputType = describe_enum(
    StoredOutputType,
    "The role of a file that a step produced.",
    OUTPUT="A file for which the step was run.",
    SNAPSHOT="A snapshot of the step's working directory.",
)

OutputWhere = where_input(
    "Output",
    documents.Output,
    type=Condition(enum_filter(OutputType), "output_type", "Filter by the output's type."),
    output_type=Condition(
        list[OutputType],  # type: ignore[valid-type]
        "output_type",
        "Filter by the output's type, given as a list of accepted values.",
        instead="type",
    ),
    file_name=Condition(StringFilter, "file_name", "Filter by the output's file name."),
    file_type=Condition(StringFilter, "file_type", "Filter by the output's media type."),
    sha256=Condition(StringFilter, "sha256", "Filter by the SHA-256 of the output's bytes, in lower-case hexadecimal."),
    created_at=Condition(DateTimeFilter, "created_at", "Filter by the time when the output was registered."),
)


DOWNLOAD_URL_FIELDS = (
    "bucket",
    "key",
    "generation",
    "file_name",
    "file_type",
    "owner_ref",
    "runners",
    "borrowers",
    "reader_refs",
    "access_control.public",
    "access_control.authorized_users",
)
"""Stored fields from which a signed download URL is made."""


def expires_in() -> Any:
    """Return the argument that sets the lifetime of a signed URL."""
    return argument(
        "expires_in",
        int | None,
        description="Lifetime of the signed URL in seconds, from 1 to 3,600.",
        default=DEFAULT_URL_SECONDS,
    )


@view(documents.Output)
class AccessControl:
    """Read access to an output, in addition to the owner of its digital twin and the users with whom the digital twin
    is shared.
    """

    public: bool = stored("access_control.public", description="Whether everybody may read the output.")
    authorized_users: "list[User]" = computed(
        authorized_users,
        "access_control.authorized_users",
        "owner_ref",
        description="Users who may read the output even if it is not public. Empty for viewers who may not change the "
        "output.",
    )


@view(resolvers.storage.signed_url.SignedUrl)
class SignedUrl:
    """Temporary access to the bytes of one object."""

    url: str = stored(description="The URL to which to send the request. Anybody who has the URL may use it.")
    method: str = stored(description="The HTTP method of the request, GET or PUT.")
    headers: JSON = stored(description="HTTP headers that the request must carry, as an object of values by name.")
    expires_at: datetime = stored(description="When the URL expires.")


@view(documents.Output)
class Output(Artifact):
    """A file that a step produced, with access rights of its own: making a digital twin public does not make its
    outputs public.

    Users with whom the digital twin is shared may read its outputs too.
    """

    step: "Step | None" = one(
        documents.Step,
        "step_ref",
        description="The step that produced the output. Null when only the output is shared with you.",
    )
    attempt: int = stored(description="The attempt of the step that produced the output; 0 for imported outputs.")
    type: OutputType = stored(  # type: ignore[valid-type]
        "output_type", description="The role of the file: an output for which the step was run, or a snapshot."
    )
    output_type: OutputType = stored(  # type: ignore[valid-type]
        description="The role of the file: an output for which the step was run, or a snapshot.", instead="type"
    )
    file_name: str = stored(description="The output's file name, or its path below the step's output directory.")
    file_size: BigInt | None = stored(description="The output's size in bytes. Null when unknown.")
    file_type: str | None = stored(description="The output's media type. Null when unknown.")
    sha256: str | None = stored(description="SHA-256 of the output's bytes, in hexadecimal. Null when unknown.")
    bucket: str = stored(description="Name of the bucket that contains the output.")
    key: str = stored(description="Name of the output's object within the bucket.")
    metadata: JSON | None = stored(description="Metadata that the step recorded about the output.")
    access_control: AccessControl = embedded(description="Read access to the output.")
    download_url: SignedUrl | None = computed(
        download_urls,
        *DOWNLOAD_URL_FIELDS,
        arguments=[expires_in()],
        description="A short-lived signed URL for downloading the output, created for this request. Null when the "
        "output is not in this server's bucket.",
    )
    created_at: datetime = stored(description="When the output was registered.")
    updated_at: datetime = stored(description="When the output last changed.")
    revision: int = stored(
        description="The output's revision number, incremented by each change. Pass it as expectedRevision to refuse "
        "overwriting newer changes."
    )


@view()
class OutputQuery:
    output: Output | None = lookup(
        documents.Output,
        argument("id", strawberry.ID, description="The output's id."),
        description="The output with this id. Null when no such output exists or you may not see it.",
    )
    outputs: Connection[Output] = root_connection(
        documents.Output,
        where=OutputWhere,
        description="All outputs that you may see, of any step, oldest first. Filtering by sha256 finds every output "
        "with the bytes of a given file.",
    )


@strawberry.input(description="A file that a running step produced.")
class RegisterOutputInput:
    idempotency_key: str | None = idempotency_key()
    step_id: strawberry.ID = required("Id of the step, which must be running.")
    attempt: int | None = optional(
        "The attempt of the step that produced the file. The call is refused when the step has moved on to another "
        "attempt. Required of a worker whose token held an earlier attempt."
    )
    type: OutputType | None = optional("The role of the file; OUTPUT when omitted.")  # type: ignore[valid-type]
    output_type: OutputType = optional(  # type: ignore[valid-type]
        "The role of the file.",
        default=StoredOutputType.OUTPUT,
        deprecation_reason="Use type.",
    )
    file_name: str = required(
        "The output's file name, or its path below the step's output directory; unique within the attempt."
    )
    file_type: str | None = optional("The output's media type; defaults to that of the upload.")
    upload_id: strawberry.ID | None = optional(
        "Id of the upload with the file's bytes. Give either uploadId, or bucket and key."
    )
    bucket: str | None = optional(
        "Name of the bucket that contains the file, when the file was not uploaded to this server."
    )
    key: str | None = optional("Name of the file's object within the bucket.")
    file_size: BigInt | None = optional("Size in bytes of the file in the bucket.")
    metadata: JSON | None = optional("Metadata that the step records about the output.")
    public: bool = optional("Whether everybody may read the output.", default=False)
    authorized_user_ids: list[strawberry.ID] | None = optional(
        "Ids of users who may read the output even if it is not public.", default_factory=list
    )
    authorized_user_names: list[str] | None = optional(
        "Display names of users who may read the output even if it is not public."
    )


@strawberry.input(
    description="Changes to the read access to an output. Omitted fields stay unchanged, and users that are not named "
    "keep their access."
)
class UpdateOutputAccessInput:
    idempotency_key: str | None = idempotency_key()
    id: strawberry.ID = required("Id of the output.")
    expected_revision: int | None = expected_revision()
    public: bool | None = optional("Whether everybody may read the output.")
    authorize_user_ids: list[strawberry.ID] | None = optional(
        "Ids of users who may read the output from now on.", default_factory=list
    )
    authorize_user_names: list[str] | None = optional("Display names of users who may read the output from now on.")
    revoke_user_ids: list[strawberry.ID] | None = optional(
        "Ids of users who may no longer read the output.", default_factory=list
    )
    revoke_user_names: list[str] | None = optional("Display names of users who may no longer read the output.")


@strawberry.type(description="The output that was written, or the reasons why nothing was written.")
class OutputPayload:
    output: Output | None = strawberry.field(
        description="The output in its current state. Null when the call was refused.", default=None
    )
    user_errors: list[UserError] = user_errors_field()


@strawberry.type
class OutputMutation:
    @mutation(
        "Register a file that a running step produced as an output. The server reads an uploaded file's bytes first, "
        "which takes time for large files: on IN_PROGRESS they are still being read, so retry later. For the worker "
        "that holds the step, the step's owner and administrators. Refused with INVALID_STATE when the step is not "
        "running."
    )
    async def register_output(self, info: Info, input: RegisterOutputInput) -> OutputPayload:
        return await run_mutation(
            info,
            input,
            OutputPayload,
            lambda session, viewer: register_output(
                session,
                viewer,
                step_id=input.step_id,
                attempt=or_none(input.attempt),
                type=or_none(input.type),
                output_type=input.output_type,
                file_name=input.file_name,
                file_type=or_none(input.file_type),
                upload_id=or_none(input.upload_id),
                bucket=or_none(input.bucket),
                key=or_none(input.key),
                file_size=or_none(input.file_size),
                metadata=or_none(input.metadata),
                public=input.public,
                authorized_user_ids=or_none(input.authorized_user_ids),
                authorized_user_names=or_none(input.authorized_user_names),
            ),
            precheck=lambda viewer: verify_output_upload(viewer, upload_id=or_none(input.upload_id)),
        )

    @mutation(
        "Make an output public or private, or grant and revoke read access for users. Signed URLs that were issued "
        "before work until they expire. For the output's owner and administrators."
    )
    async def update_output_access(self, info: Info, input: UpdateOutputAccessInput) -> OutputPayload:
        return await run_mutation(
            info,
            input,
            OutputPayload,
            lambda session, viewer: update_output_access(
                session,
                viewer,
                id=input.id,
                expected_revision=or_none(input.expected_revision),
                public=or_none(input.public),
                authorize_user_ids=or_none(input.authorize_user_ids),
                authorize_user_names=or_none(input.authorize_user_names),
                revoke_user_ids=or_none(input.revoke_user_ids),
                revoke_user_names=or_none(input.revoke_user_names),
            ),
        )
