"""Outputs of steps, as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import documents
import resolvers.output
from documents.output import OutputType as StoredOutputType
from graph.enums import described
from graph.node import Node
from graph.scalars import JSON, BigInt
from graph.view import argument, computed, facet, one, stored, view
from graph.where import By, DateTimeFilter, StringFilter, where_input
from resolvers.output import DEFAULT_SECONDS, authorized_users, download_urls

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


@view(resolvers.output.SignedUrl)
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
        arguments=[
            argument("expires_in", int | None, description="For how many seconds, 1 to 3600.", default=DEFAULT_SECONDS)
        ],
        description="A short-lived signed URL, made for this request. Null when the bytes are not in a bucket of ours.",
    )
    created_at: datetime = stored(description="When it was registered.")
    updated_at: datetime = stored(description="When it last changed.")
    revision: int = stored(description="Rises by one with each change; for expectedRevision.")
