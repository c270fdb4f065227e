"""The input with which clients say what an activity used."""

import strawberry

from graph.core.mutation import optional, without_unset
from graph.core.scalars import BigInt
from resolvers.provenance.used import UsedValues


@strawberry.input(
    description="An artifact that an activity used: one of this server by its id, or data elsewhere by its URL."
)
class UsedInput:
    id: strawberry.ID | None = optional(
        "Id of a distribution, output, result, archive, generation or external data that you may read; the id of a "
        "dataset version stands for its distribution. Give either id or url."
    )
    url: str | None = optional(
        "The http, https, gs or s3 URL at which the data lies. Users, passwords, signatures and keys of shared links "
        "are removed from it. Give either id or url."
    )
    version: str | None = optional(
        "Version of the data that was read at the url, such as an object's generation, an ETag or a commit. When "
        "neither version nor sha256 is given, the state that was read is recorded as unknown."
    )
    sha256: str | None = optional(
        "SHA-256 of the bytes that were read, in hexadecimal. With an id, the call is refused with CHECKSUM_MISMATCH "
        "when the artifact has another one. With a url, another hash is another state, also of the same version."
    )
    size_bytes: BigInt | None = optional("Size in bytes of the data at the url.")
    media_type: str | None = optional("Media type of the data at the url, such as text/csv.")
    step_key: str | None = optional(
        "Only for an output that a new step is to fetch: step key under which the output appears in inputFiles; the "
        "worker names the folder after it. Defaults to the key of the step that produced the output, or to 'used' "
        "when you may not see that step."
    )


def used_values(used: UsedInput) -> UsedValues:
    """The artifact as plain values, without the fields left out."""
    return without_unset(
        UsedValues(
            id=used.id,
            url=used.url,
            version=used.version,
            sha256=used.sha256,
            size_bytes=used.size_bytes,
            media_type=used.media_type,
            step_key=used.step_key,
        )
    )
