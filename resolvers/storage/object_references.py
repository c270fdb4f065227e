"""References: the objects of the bucket that documents name.

There are three kinds: archives, outputs whose bytes this server verified, and open uploads. Documents of the catalogue
are in the database itself, and no document names an export.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import documents
from documents.base import kind_of
from resolvers.filters import Filter
from resolvers.reads.relations import Document
from resolvers.reads.rows import Row, collection_of
from resolvers.storage.upload import OPEN_STATUSES

PAGE_SIZE = 1_000
"""References that are read at a time."""


@dataclass(frozen=True)
class Reference:
    """An object that a document names, and the size in bytes, SHA-256 and generation that it has by the document.

    Objects that are not `required` may be missing. Without a generation their bytes were never verified.
    """

    key: str
    document: str
    bucket: str
    generation: int | None
    size: int | None
    sha256: str | None
    required: bool


@dataclass(frozen=True)
class Source:
    """Documents that name objects, and the fields in which they do."""

    document: Document
    where: Filter
    bucket: str
    key: str
    size: str
    required: bool = True

    async def count(self) -> int:
        """The number of these documents."""
        return await collection_of(self.document).count_documents(self.where)

    async def pages(self) -> AsyncIterator[list[Reference]]:
        """The references of these documents, in pages."""
        fields = dict.fromkeys((self.bucket, self.key, self.size, "generation", "sha256"), 1)
        async with collection_of(self.document).find(self.where, fields, batch_size=PAGE_SIZE) as rows:
            while page := await rows.to_list(PAGE_SIZE):
                yield [self._reference(row) for row in page]

    def _reference(self, row: Row) -> Reference:
        return Reference(
            key=row[self.key],
            document=row["_id"],
            bucket=row[self.bucket],
            generation=row.get("generation"),
            size=row.get(self.size),
            sha256=row.get("sha256"),
            required=self.required,
        )


OPEN_UPLOADS: Filter = {"status": {"$in": [status.value for status in OPEN_STATUSES]}}
# Outputs without a generation name bytes that this server never read, often in buckets of others.
VERIFIED_OUTPUTS: Filter = {"generation": {"$ne": None}}
# Uploads come first: one that is registered while references are read is then found as an archive or output as well.
SOURCES = (
    Source(documents.Upload, OPEN_UPLOADS, "bucket", "key", "size", required=False),
    Source(documents.Archive, {}, "bucket", "key", "size_bytes"),
    Source(documents.Output, VERIFIED_OUTPUTS, "s3_bucket", "s3_key", "file_size"),
)
"""The documents that name objects, in the order in which they have to be read."""


def source_of(reference: Reference) -> Source:
    """The source of a reference."""
    return next(source for source in SOURCES if source.document.kind == kind_of(reference.document))
