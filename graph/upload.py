"""Uploads, as clients see them: a place for bytes, before anything refers to them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import strawberry
from strawberry.types import Info

import documents
from documents.upload import UploadPurpose as StoredUploadPurpose
from graph.enums import described
from graph.mutation import idempotency_key, mutation, perform, refused, wanted
from graph.scalars import BigInt
from graph.user_errors import UserError
from graph.view import computed, stored, view
from resolvers.uploads import create_upload, upload_targets

if TYPE_CHECKING:
    from graph.output import SignedUrl

UploadPurpose = described(
    StoredUploadPurpose,
    "What uploaded bytes will be.",
    ARCHIVE="A report of a server, for registerArchive.",
    OUTPUT="A file that a step produced, for registerOutput.",
)


@view(documents.Upload)
class Upload:
    """A place for bytes that were announced. It belongs to whoever created it."""

    id: strawberry.ID = stored(description="For registering what was uploaded.")
    target: SignedUrl = computed(
        upload_targets,
        "key",
        "size",
        "media_type",
        "expires_at",
        description="Where to send the bytes, all of them in one request.",
    )
    expires_at: datetime = stored(description="Until when the bytes must be registered; later they are removed.")


@strawberry.input(description="The server chooses the object's name; the client never does.")
class CreateUploadInput:
    idempotency_key: str | None = idempotency_key()
    purpose: UploadPurpose = wanted("What the bytes will be.")  # type: ignore[valid-type]
    file_name: str = wanted("The name of the file; it is only shown.")
    media_type: str = wanted("Its media type.")
    size_bytes: BigInt = wanted("Its exact size in bytes.")
    sha256: str = wanted("SHA-256 of its bytes, in hexadecimal.")


@strawberry.type(description="A place for bytes, or why there is none.")
class CreateUploadPayload:
    upload: Upload | None = strawberry.field(description="Where to send the bytes.", default=None)
    user_errors: list[UserError] = refused()


@strawberry.type
class UploadMutation:
    @mutation("Announce bytes, and learn where to send them. Nothing refers to them until they are registered.")
    async def create_upload(self, info: Info, input: CreateUploadInput) -> CreateUploadPayload:
        return await perform(info, CreateUploadPayload, create_upload, input)
