"""Outputs of steps, as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import strawberry
from strawberry.types import Info

import documents
import resolvers.signed_url
from documents.output import OutputType as StoredOutputType
from graph.enums import described
from graph.mutation import expected_revision, idempotency_key, mutation, optional, perform, refused, wanted
from graph.node import Node
from graph.scalars import JSON, BigInt
from graph.user_errors import UserError
from graph.view import argument, computed, facet, one, stored, view
from graph.where import By, DateTimeFilter, StringFilter, where_input
from resolvers.output import DEFAULT_SECONDS, authorized_users, download_urls, update_output_access
from resolvers.registering import before_registering, register_output

if TYPE_CHECKING:
    from graph.step import Step
    from graph.user import User

OutputType = described(
    StoredOutputType,
    "Whether a file is what the step was run for.",
    OUTPUT="What the step was run for.",
    SNAPSHOT="A picture of the step's working directory.",
)

OutputWhere = where_input(
    "Output",
    documents.Output,
    combined=False,
    output_type=By(list[OutputType], "output_type", "Of one of these types."),  # type: ignore[valid-type]
    file_name=By(StringFilter, "file_name", "Its name."),
    file_type=By(StringFilter, "file_type", "Its media type."),
    created_at=By(DateTimeFilter, "created_at", "When it was registered."),
)


DOWNLOAD_NEEDS = (
    "bucket",
    "key",
    "generation",
    "file_name",
    "file_type",
    "owner_ref",
    "runners",
    "borrowers",
    "access_control.public",
    "access_control.authorized_users",
)
"""What a signed URL for reading is made from."""


def expires_in() -> Any:
    """The argument that says how long a signed URL works."""
    return argument("expires_in", int | None, description="For how many seconds, 1 to 3600.", default=DEFAULT_SECONDS)


@view(documents.Output)
class AccessControl:
    """Who may read an output, beside the owner of its twin."""

    public: bool = stored("access_control.public", description="Whether everybody may read it.")
    authorized_users: list[User] = computed(
        authorized_users,
        "access_control.authorized_users",
        "owner_ref",
        description="Who may read it all the same; empty for those who may not change it.",
    )


@view(resolvers.signed_url.SignedUrl)
class SignedUrl:
    """A way to the bytes of one object, for a short time."""

    url: str = stored(description="Where to send the request. Whoever has it may use it.")
    method: str = stored(description="GET or PUT.")
    headers: JSON = stored(description="Headers that the request must carry.")
    expires_at: datetime = stored(description="Until when it works.")


@view(documents.Output)
class Output(Node):
    """A file that a step produced, with rights of its own: a public twin does not publish its outputs."""

    step: Step = one(documents.Step, "step_ref", description="What produced it.")
    attempt: int = stored(description="The attempt of its step that made it; 0 when it was imported.")
    output_type: OutputType = stored(description="Whether it is what the step was run for.")  # type: ignore[valid-type]
    file_name: str = stored(description="Its name.")
    file_size: BigInt | None = stored(description="Its size in bytes.")
    file_type: str | None = stored(description="Its media type.")
    sha256: str | None = stored(description="SHA-256 of its bytes, in hexadecimal.")
    bucket: str = stored(description="The bucket where it lies.")
    key: str = stored(description="Its name in the bucket.")
    metadata: JSON | None = stored(description="What its step tells about it.")
    access_control: AccessControl = facet(description="Who may read it.")
    download_url: SignedUrl | None = computed(
        download_urls,
        *DOWNLOAD_NEEDS,
        arguments=[expires_in()],
        description="A short-lived signed URL, made for this request. Null when the bytes are not in a bucket of ours.",
    )
    created_at: datetime = stored(description="When it was registered.")
    updated_at: datetime = stored(description="When it last changed.")
    revision: int = stored(description="Rises by one with each change; for expectedRevision.")


@strawberry.input(description="A file that a running step produced.")
class RegisterOutputInput:
    idempotency_key: str | None = idempotency_key()
    step_id: strawberry.ID = wanted("The step, which must be running.")
    attempt: int | None = optional("The attempt that made it: refused when the step is at another one by now.")
    output_type: OutputType = wanted(  # type: ignore[valid-type]
        "Whether it is what the step was run for.", default=StoredOutputType.OUTPUT
    )
    file_name: str = wanted("Its name, or its path below the step's output directory; unique within the attempt.")
    file_type: str | None = optional("Its media type; that of the upload when absent.")
    upload_id: strawberry.ID | None = optional("Bytes that were uploaded here …")
    bucket: str | None = optional("… or that lie elsewhere.")
    key: str | None = optional("Their name in that bucket.")
    file_size: BigInt | None = optional("Their size in bytes.")
    metadata: JSON | None = optional("What the step tells about it.")
    public: bool = wanted("Whether everybody may read it.", default=False)
    authorized_user_ids: list[strawberry.ID] | None = wanted("Who may read it all the same.", default_factory=list)


@strawberry.input(description="Who may read an output from now on. What is left out stays.")
class UpdateOutputAccessInput:
    id: strawberry.ID = wanted("Which output.")
    expected_revision: int | None = expected_revision()
    public: bool | None = optional("Whether everybody may read it.")
    authorize_user_ids: list[strawberry.ID] | None = wanted("Who may read it too.", default_factory=list)
    revoke_user_ids: list[strawberry.ID] | None = wanted("Who may not read it any more.", default_factory=list)


@strawberry.type(description="An output that was written, or why it was not.")
class OutputPayload:
    output: Output | None = strawberry.field(description="As it is now.", default=None)
    user_errors: list[UserError] = refused()


@strawberry.type
class OutputMutation:
    @mutation(
        "Register a file that a running step produced. Its bytes are read first, so this takes as long as there are "
        "many: IN_PROGRESS means that they are still being read, and to ask again."
    )
    async def register_output(self, info: Info, input: RegisterOutputInput) -> OutputPayload:
        return await perform(info, OutputPayload, register_output, input, before=before_registering)

    @mutation("Publish an output, or let users read it, or no longer. Signed URLs that are out work until they expire.")
    async def update_output_access(self, info: Info, input: UpdateOutputAccessInput) -> OutputPayload:
        return await perform(info, OutputPayload, update_output_access, input)
