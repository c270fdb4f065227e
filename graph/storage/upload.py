"""Uploads in the GraphQL schema: signed URLs to which clients send bytes before they register them."""

from datetime import datetime
from typing import TYPE_CHECKING

import strawberry
from strawberry.types import Info

import documents
from documents.storage.upload import UploadPurpose as StoredUploadPurpose
from graph.core.enums import describe_enum
from graph.core.mutation import idempotency_key, mutation, required, run_mutation, user_errors_field
from graph.core.scalars import BigInt
from graph.core.user_error_types import UserError
from graph.core.view import computed, stored, view
from resolvers.storage.upload import create_upload, upload_targets

if TYPE_CHECKING:
    from graph.twins.output import SignedUrl

UploadPurpose = describe_enum(
    StoredUploadPurpose,
    "The purpose of an upload.",
    ARCHIVE="A report of a Galaxy instance, to be registered with registerArchive.",
    OUTPUT="A file that a step produced, to be registered with registerOutput.",
)


@view(documents.Upload)
class Upload:
    """A reserved place for bytes that a client is going to send. It belongs to the user or worker who created it."""

    id: strawberry.ID = stored(description="The upload's id, for registering the uploaded bytes.")
    target: "SignedUrl" = computed(
        upload_targets,
        "key",
        "size",
        "media_type",
        "expires_at",
        description="The signed URL to which to send all bytes in one request.",
    )
    expires_at: datetime = stored(
        description="When the upload expires. Bytes that have not been registered by then are deleted."
    )


@strawberry.input(description="An upload to create. The server chooses the name of the object in the bucket.")
class CreateUploadInput:
    idempotency_key: str | None = idempotency_key()
    purpose: UploadPurpose = required("The purpose of the upload.")  # type: ignore[valid-type]
    file_name: str = required("The file's name, for display only.")
    media_type: str = required("The file's media type, such as text/csv.")
    size_bytes: BigInt = required("The file's exact size in bytes.")
    sha256: str = required("SHA-256 of the file's bytes, in hexadecimal.")


@strawberry.type(description="The upload that was created, or the reasons why none was.")
class CreateUploadPayload:
    upload: Upload | None = strawberry.field(
        description="The upload, with the URL to which to send the bytes. Null when the call was refused.", default=None
    )
    user_errors: list[UserError] = user_errors_field()


@strawberry.type
class UploadMutation:
    @mutation(
        "Announce bytes and get a signed URL to which to send them. Nothing refers to the bytes until they are "
        "registered with registerArchive or registerOutput. For signed-in users and workers. Refused with "
        "LIMIT_EXCEEDED when the file is too large or too many of your uploads are waiting to be registered."
    )
    async def create_upload(self, info: Info, input: CreateUploadInput) -> CreateUploadPayload:
        return await run_mutation(
            info,
            input,
            CreateUploadPayload,
            lambda session, viewer: create_upload(
                session,
                viewer,
                purpose=input.purpose,
                file_name=input.file_name,
                media_type=input.media_type,
                size_bytes=input.size_bytes,
                sha256=input.sha256,
            ),
        )
