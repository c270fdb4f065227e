"""Data that lies elsewhere, in the GraphQL schema."""

from datetime import datetime
from typing import Any

import strawberry
from strawberry import UNSET

import documents
from graph.core.pagination import Connection
from graph.core.scalars import BigInt
from graph.core.view import argument, computed, connection, stored, view
from graph.core.where import sort_key
from graph.provenance.artifact import Artifact
from resolvers.access.viewer import Viewer
from resolvers.provenance.external_data.facts import media_types, sizes, times
from resolvers.provenance.external_data.find_external_data import find_external_data
from resolvers.provenance.external_data.same_bytes import same_bytes
from resolvers.reads.rows import Row


@view(documents.ExternalData)
class ExternalData(Artifact):
    """Data that lies elsewhere, in one state: a file or a table at a URL, told apart from its other states by version
    and hash. Everybody may see what a public run read. What private runs read is shown to their owners, and as a part
    of these runs.
    """

    url: str = stored(
        description="The URL at which the data lies, in normal form and without users, passwords, signatures and keys "
        "of shared links."
    )
    version: str | None = stored(
        description="The version of the data in this state, such as an object's generation, an ETag or a commit. Null "
        "when nobody said which."
    )
    sha256: str | None = stored(
        description="SHA-256 of the data's bytes in this state, in hexadecimal, as it was reported. Null when unknown."
    )
    size_bytes: BigInt | None = computed(
        sizes,
        "public",
        "size_bytes",
        description="Size of the data in bytes, as the first public run reported it, or else your own, or the owner of "
        "the run through which you see the data. Null when unknown.",
    )
    media_type: str | None = computed(
        media_types,
        "public",
        "media_type",
        description="Media type of the data, reported like sizeBytes. Null when unknown.",
    )
    states: "Connection[ExternalData]" = connection(
        documents.ExternalData,
        "url",
        sort_key(documents.ExternalData, "created_at"),
        of="url",
        description="All states of the data at this URL that you may see by themselves: those that public runs "
        "reported, the first reported first, and then those that only private runs reported.",
    )
    same_as: Artifact | None = computed(
        same_bytes,
        "sha256",
        finds_nodes=True,
        description="An output or an archive of this server with the same bytes, as told by sha256: the oldest output "
        "that you may see, or else the oldest archive. Null when there is none.",
    )
    created_at: datetime = computed(
        times,
        "public",
        "created_at",
        description="When a run first reported that it used the data in this state: a public run, or else one of "
        "yours, or of the owner of the run through which you see the data.",
    )


async def _find_at_root(parents: list[Row], viewer: Viewer, **arguments: Any) -> list[Row | None]:
    given = {name: value for name, value in arguments.items() if value is not UNSET}
    found = await find_external_data(viewer, **given)
    return [found for _ in parents]


@view()
class ExternalDataQuery:
    external_data: ExternalData | None = computed(
        _find_at_root,
        arguments=[
            argument("id", strawberry.ID | None, description="The external data's id."),
            argument("url", str | None, description="The URL at which the data lies, in any spelling."),
            argument("version", str | None, description="The version of the data at the URL."),
        ],
        description="The external data with this id, or at this URL. Of several states at the URL, or with the given "
        "version, the one that was reported last. Null when no such state exists. Give id or url.",
    )
